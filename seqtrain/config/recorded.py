"""A configuration out of a run's record, which anybody may have written: what of it is taken over, and what never is.

Which classes it may name is the allow-list's affair. Here it is kept from reaching out otherwise: by references to what
is outside of it, by saying where files go, by loggers that send, and by processes that it would have started.
"""

import contextlib
import json
import os
import re
import shlex
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from seqtrain.config.allow import to_plain
from seqtrain.config.check import check
from seqtrain.config.compose import compose, parse
from seqtrain.config.directories import is_harmless, quoted
from seqtrain.config.flat import CHANGES_NOTHING
from seqtrain.config.pair import check_pair
from seqtrain.config.places import conf_directory
from seqtrain.config.together import check_together
from seqtrain.errors import UserError

READ = ("root", "hub", "path", "val_path", "test_path", "train", "val", "test")
"""Parameters of data sets that say where they are."""

WRITTEN = ("directory", "dirpath", "filename")
"""Parameters of callbacks that say where files go."""

SENT = ("profiler", "model_registry")
"""Parameters of the trainer that write files elsewhere, or send them, and change no result."""

ALONE: Mapping[str, Any] = {"devices": 1, "num_nodes": 1}
"""What a run of one process is trained with, whatever it found when it was recorded."""

DEFAULT_CACHE = "data/cache"


def of_record(recorded: Mapping[str, Any]) -> DictConfig:
    """A recorded configuration as one that can be checked.

    Raises:
        UserError: a key or a text in it cannot be what a configuration has: every one with its key.
    """
    problems = list(_foreign(recorded, ""))
    if problems:
        raise UserError("\n".join(problems))
    return OmegaConf.create(dict(recorded))


def changed(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration with what the user sets of the data, `data.KEY=VALUE`, and of the trainer.

    Raises:
        UserError: an override cannot be read, or there is no such group in the configuration.
    """
    config = config.copy()
    for override in parse(list(overrides)):
        if override.is_sweep_override():
            raise UserError(f"{override.input_line}: several values", "A run has one: write lists in brackets, [a,b].")
        OmegaConf.update(config, override.key_or_group, override.value(), force_add=True)
    return config


def contained(config: DictConfig, *, given: Sequence[str], logger: Sequence[str]) -> tuple[DictConfig, list[str]]:
    """A checked configuration that writes into its run's directory only, sends nothing and runs in one process.

    Args:
        config: the recorded one, with what the user has set in it.
        given: the keys that the user has set.
        logger: overrides that choose the logger in place of the recorded one.

    Returns:
        The configuration, and what was not taken over of what the record says.

    Raises:
        UserError: it would fetch data from where the user did not say, or there is no such logger.
    """
    plain = to_plain(config)
    left = ["logger"] if plain["logger"] else []
    plain |= {"logger": to_plain(compose(list(logger)).logger), "resume": None}
    if "data.cache" not in given and plain["data"].pop("cache", DEFAULT_CACHE) != DEFAULT_CACHE:
        left.append("data.cache")
    for name, node in (plain["callbacks"] or {}).items():
        for key in WRITTEN:
            if node and node.get(key) is not None:
                node[key] = None
                left.append(f"callbacks.{name}.{key}")
    trainer = plain["trainer"]
    for key, value in {**dict.fromkeys(SENT), **ALONE}.items():
        if trainer.get(key, value) != value:
            left.append(f"trainer.{key}")
            trainer[key] = value
    trainer["devices"] = 1  # where the record has none, the trainer would take all that there are
    _refuse_sources(plain["data"], given)
    return OmegaConf.create(plain), left


def check_all(config: DictConfig, choices: Mapping[str, str]) -> None:
    """Refuses a configuration that is not right, with all that can be wrong with it but for the data's files."""
    check(config, choices)
    check_pair(config, choices)
    check_together(config)


def sources(data: Mapping[str, Any]) -> list[str]:
    """The files and folders that a data set's configuration reads, as `data.KEY=PATH`."""
    return [f"data.{key}={text}" for key, text in _places(data) if os.path.exists(os.path.expanduser(text))]


def overrides_of(config: DictConfig, asked: Sequence[str]) -> list[str]:
    """Overrides that today's files compose to a configuration, so that its run can be gone on with.

    Args:
        config: the configuration.
        asked: overrides that lead near it, the last of a key counting; those that could do harm are left out.
    """
    near: dict[str, str] = {}
    for line in asked:
        with contextlib.suppress(UserError):
            (override,) = parse([line])
            key = override.get_key_element().lstrip("+~")
            if is_harmless(override) and "${" not in line and key.split(".")[0] not in (*CHANGES_NOTHING, "arm"):
                near[key] = line
    lines = list(near.values())
    try:
        found = to_plain(compose(lines))
    except UserError:
        lines, found = [], to_plain(compose([]))
    had, has = ({k: v for k, v in c.items() if k not in ("study", "resume")} for c in (found, to_plain(config)))
    return [*lines, *_steps(had, has, "")]


def _steps(found: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """The overrides that make one plain configuration of another."""
    for key in sorted(found.keys() - wanted.keys()):
        if found[key] is None:  # Hydra takes that for a key that is not there
            yield f"++{prefix}{key}=0"
        yield f"~{prefix}{key}"
    for key, value in wanted.items():
        if isinstance(value, dict) and isinstance(found.get(key), dict):
            yield from _steps(found[key], value, f"{prefix}{key}.")
        elif key not in found or json.dumps(found[key]) != json.dumps(value):  # 1 and 1.0 are not the same
            yield f"++{prefix}{key}={_written(value)}"


def _written(value: Any) -> str:
    """A plain value in the grammar of overrides."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def _places(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in READ:
        value = data.get(key)
        yield from ((key, text) for text in (value if isinstance(value, list) else [value]) if isinstance(text, str))


def _refuse_sources(data: Mapping[str, Any], given: Sequence[str]) -> None:
    for key, text in _places(data):
        place = Path(os.path.expanduser(text))
        if f"data.{key}" in given or place.is_file() or place.is_dir():
            continue
        if place.exists():
            raise UserError(f"data.{key}={text}: is no file and no folder", f"Give the data's place: data.{key}=PATH.")
        if key == "hub" and text not in _hubs():
            raise UserError(
                f"data.hub={text}: a data set of the hub that is none of {', '.join(sorted(_hubs()))}",
                f"To have it fetched, say so: data.hub={shlex.quote(text)}",
            )


@cache
def _hubs() -> frozenset[str]:
    """The data sets of the hub that today's configuration files name."""
    files = (conf_directory() / "data").glob("*.yaml")
    nodes = (yaml.safe_load(file.read_text(encoding="utf-8")) for file in files)
    return frozenset(node["hub"] for node in nodes if node.get("hub"))


def _foreign(value: Any, key: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if not isinstance(name, str) or not re.fullmatch(r"[^\W\d][\w-]*", name):
                yield from _odd_name(key, name)
            yield from _foreign(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _foreign(inner, f"{key}.{place}")
    elif isinstance(value, str):
        if "${" in value:
            yield f"{key}={value!r}: refers to something else, which is not looked up for a record; give it a value"
        elif any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in value):
            yield f"{key}={value!r}: has control characters"


def _odd_name(key: str, name: Any) -> Iterator[str]:
    # Names in a study, of published results, say, are any text.
    odd = not isinstance(name, str) or any(unicodedata.category(c) == "Cc" for c in name)
    if odd or key.split(".")[0] != "study":
        yield f"{key}: {name!r} is no name of a key"
