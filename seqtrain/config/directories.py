"""Which directory a run is written to, and from which checkpoint a run goes on."""

import contextlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from seqtrain.config.allow import to_plain
from seqtrain.config.arguments import take
from seqtrain.config.check import SETTINGS
from seqtrain.config.compose import parse
from seqtrain.config.flat import differing
from seqtrain.errors import UserError
from seqtrain.runs.record import Run

RUN_DIRECTORY = "SEQTRAIN_RUN_DIR"
"""The environment variable by which the first process tells further ones of the same run where to write."""

AUTO = "auto"


@dataclass(frozen=True)
class Resumed:
    """A run that is gone on with.

    Attributes:
        directory: its directory.
        checkpoints: what can be loaded, the newest first: the one after, if one is damaged.
    """

    directory: Path
    checkpoints: list[Path]


def is_run(directory: Path) -> bool:
    """Whether a run was begun in a directory."""
    return (directory / "manifest.json").is_file()


def is_finished(directory: Path) -> bool:
    """Whether a run in a directory came to its end."""
    try:
        manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("status") == "finished"


def refuse_changed(directory: Path, cfg: DictConfig) -> None:
    """Refuses to take a run that is finished for one that is asked for with another configuration.

    Args:
        directory: where the run would be written.
        cfg: the composed configuration that is asked for.

    Raises:
        UserError: names what differs, or the run's configuration cannot be read.
    """
    if not is_finished(directory):
        return
    run = Run(directory)
    found = differing(run.plain_config(run.manifest), to_plain(cfg))
    if found:
        shown = ", ".join(f"{key} was {had!r} and is {has!r}" for key, (had, has) in list(found.items())[:4])
        more = f" and {len(found) - 4} more" if len(found) > 4 else ""
        raise UserError(
            f"{directory} holds a run that was finished with another configuration: {shown}{more}",
            "Remove that directory to train it again, or write all of them elsewhere: hydra.sweep.dir=PATH.",
        )


def refuse_existing(directory: Path, *, one_of_many: bool = False, key: str = "hydra.run.dir") -> None:
    """Refuses to write a new run where one is, or where nothing can be written.

    Args:
        directory: where the run would be written.
        one_of_many: whether it is a job of a multirun.
        key: what chooses the directory of a single run.

    Raises:
        UserError: names the ways on.
    """
    key = "hydra.sweep.dir" if one_of_many else key
    try:
        there = next(place for place in (directory.absolute(), *directory.absolute().parents) if place.exists())
        taken = is_run(directory)
    except OSError as error:
        raise _cannot_be_created(directory, error, key) from error
    if taken:
        go_on = "Go on with all of them: resume=auto." if one_of_many else f"Go on with it: resume={directory}."
        raise UserError(f"{directory} already holds a run", f"{go_on} Or write elsewhere: {key}=PATH.")
    if not there.is_dir():
        raise UserError(f"{directory}: {there} is a file, not a directory", f"Write elsewhere: {key}=PATH.")
    if not os.access(there, os.W_OK):
        raise UserError(f"{directory}: {there} cannot be written to", f"Write elsewhere: {key}=PATH.", code=1)
    try:
        _try_to_create(directory.absolute())
    except OSError as error:
        raise _cannot_be_created(directory, error, key) from error


def find_resumed(path: str) -> Resumed:
    """The run that `resume=PATH` names: a run's directory, or a checkpoint in one.

    Raises:
        UserError: there is no such path, no run or no checkpoint; names what there is.
    """
    place = Path(path)
    if not place.exists():
        raise UserError(f"resume={path}: no such run or checkpoint", _there_is(place.parent))
    if place.is_file():
        for directory in place.absolute().parents[:2]:
            if is_run(directory):
                return Resumed(directory, [place])
        raise UserError(f"resume={path}: not in a run's directory", "A checkpoint is RUN/checkpoints/NAME.ckpt.")
    if not is_run(place):
        raise UserError(f"resume={path}: holds no run (no manifest.json)", _there_is(place))
    found = Run(place).resumable
    if not found:
        afresh = f"To begin it afresh: resume=auto hydra.run.dir={path}, with what it was started with."
        raise UserError(f"resume={path}: the run has no checkpoint to go on from", afresh)
    return Resumed(place, found)


def resumed_overrides(overrides: list[str], resumed: Resumed) -> list[str]:
    """The overrides of a run that is gone on with, then those given now; of two for one key the one given now counts.

    Raises:
        UserError: the run does not say what it was started with, or what it says could run code.
    """
    file, before = _recorded_overrides(resumed.directory)
    now = {_key(override) for override in overrides}
    before = [override for override in before if _key(override) != "resume"]
    for override in parse(before):
        if not is_harmless(override):
            raise UserError(
                f"{file}: {override.input_line}: not an override that a run is recorded with; it could run any code",
                "Somebody changed this file: do not go on with the run, or take the line out.",
            )
    kept = [override for override in before if _key(override) not in now]
    given, _ = take(overrides, "hydra.run.dir")
    directory = [] if given else [f"hydra.run.dir={quoted(str(resumed.directory))}"]
    return [*kept, *overrides, *directory]


def _recorded_overrides(directory: Path) -> tuple[Path, list[str]]:
    """What a run was started with, and the file that says it: the manifest, or that of Hydra, where it does not.

    Hydra writes its file anew at every start, and a process that was killed then leaves a part of it.
    """
    with contextlib.suppress(OSError, ValueError):
        manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
        if isinstance(manifest, dict) and isinstance(manifest.get("overrides"), list):
            return directory / "manifest.json", [str(override) for override in manifest["overrides"]]
    file = directory / ".hydra" / "overrides.yaml"
    try:
        return file, [str(override) for override in yaml.safe_load(file.read_text(encoding="utf-8")) or []]
    except (OSError, yaml.YAMLError, TypeError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read: {error}", "Without it the run cannot be gone on with.") from error


def quoted(text: str) -> str:
    """A text as Hydra's override grammar takes it, whatever characters it has."""
    escaped = re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return f"'{escaped}'"


def is_harmless(override: Override) -> bool:
    """Whether an override from a foreign run's record sets only what the check of a configuration covers.

    It does not cover Hydra's own part, whose callbacks, launchers and loggers are classes that Hydra makes, and a path
    in an option's place reads a file that can set this part.
    """
    if "hydra" in re.split(r"\W+", override.get_key_element()):
        return False
    if "." in override.key_or_group or override.key_or_group in SETTINGS:
        return True
    value = override.value()
    options = value if isinstance(value, list) else [value]
    return not any(isinstance(o, str) and ("${" in o or o.startswith("/") or ".." in o.split("/")) for o in options)


def _try_to_create(directory: Path) -> None:
    """Makes a directory and takes it away again: what permissions promise, a file system need not keep."""
    missing = [place for place in (directory, *directory.parents) if not place.exists()]
    made = []
    try:
        for place in reversed(missing):
            place.mkdir(exist_ok=True)
            made.append(place)
    finally:
        for place in reversed(made):
            with contextlib.suppress(OSError):  # another process may be writing there by now
                place.rmdir()


def _cannot_be_created(directory: Path, error: OSError, key: str) -> UserError:
    return UserError(f"{directory}: cannot be created: {error.strerror}", f"Write elsewhere: {key}=PATH.", code=1)


def _key(override: str) -> str:
    return override.lstrip("+~").split("=")[0]


def _there_is(place: Path) -> str:
    if not place.is_dir():
        return f"{place} does not exist either."
    runs = sorted(found.parent for found in place.glob("*/manifest.json"))
    if runs:
        return "Runs there: " + ", ".join(map(str, runs[-8:]))
    names = sorted(found.name for found in place.iterdir())
    return f"In {place} there is: {', '.join(names[:12]) or 'nothing'}."
