"""Turns what Hydra and OmegaConf raise into one message: what is wrong with an override, and what to do about it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from seqtrain.config.allow import TOP_LEVEL
from seqtrain.config.check import SETTINGS, way_to_add
from seqtrain.config.names import did_you_mean, nearest
from seqtrain.config.places import Sources, groups, options
from seqtrain.config.schema import constructor
from seqtrain.errors import UserError

SETTINGS_OF = {
    "hydra.launcher": ("launcher=slurm", "seqtrain.slurm.settings.Settings"),
    "hydra.sweeper": ("sweep=optuna", "seqtrain.sweep.settings.Settings"),
}
"""Keys of Hydra's own part that an option of ours sets: the option, and what there is under them."""


@contextmanager
def friendly(overrides: list[str], sources: Sources | None = None) -> Iterator[None]:
    """Turns what Hydra and OmegaConf raise into one message for the user."""
    try:
        yield
    except MissingConfigException as error:
        raise _missing(error, sources) from error
    except OverrideParseException as error:
        raise _unreadable(overrides, error) from error
    except HydraException as error:
        raise UserError(_explained(error)) from error
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        raise UserError(f"{key}: {_first_line(error)}" if key else _first_line(error)) from error
    except yaml.YAMLError as error:
        raise UserError(f"a configuration file is not YAML: {error}") from error
    except ValueError as error:
        if "Config group override" not in str(error):
            raise
        raise UserError(
            f"{_first_line(error)}", "To leave a group out, name its option `none`, where it has one."
        ) from error


def _missing(error: MissingConfigException, sources: Sources | None) -> UserError:
    if sources is not None and error.missing_cfg_file == sources.name:
        places = [place for place in (sources.extra, sources.directory) if place is not None]
        names = sorted({file.stem for place in places for file in place.glob("*.yaml")})
        return UserError(
            f"--config-name {sources.name}: no such file in {' or '.join(map(str, places))}"
            f"{did_you_mean(sources.name, names)} Files there: {', '.join(names) or 'none'}"
        )
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    if not group:
        return UserError(_first_line(error))
    known = list(error.options or options(group))
    listed = ", ".join(known) or "none"
    return UserError(f"{group}={option}: no such option{did_you_mean(option, known)} Options of {group}: {listed}")


def _unreadable(overrides: list[str], error: OverrideParseException) -> UserError:
    override = error.override
    if override and "=" not in override and not override.startswith("~"):
        return UserError(
            f"{override}: not an override, which is written KEY=VALUE", "A command comes first: seqtrain COMMAND ..."
        )
    return UserError(
        f"{override}: cannot be read: {_reason(error)}",
        "Quote values with spaces, commas, brackets or equals signs for Hydra as well: \"key='a, b'\".",
    )


def _reason(error: OverrideParseException) -> str:
    lines = [line for line in str(error).splitlines() if not line.startswith(("Error parsing", "See http"))]
    return lines[0] if lines else "it does not follow the grammar of overrides"


def _explained(error: HydraException) -> str:
    text = str(error)
    key = re.match(r"Could not override '([^']+)'", text)
    if key:
        return _no_such_key(key[1])
    twice = re.match(r"Multiple values for (\w+)\..*'override \S+ (\S+)'|(\w+) appears more than once", text)
    if twice:
        return _chosen_twice(twice[1] or twice[3], twice[2])
    if text.startswith("Ambiguous value") and (found := re.search(r"argument '([^']+)'", text)):
        name, _, value = found[1].partition("=")
        return f"{found[1]}: several values; for one run each add -m, for a list write {name}=[{value}]"
    several = re.match(r"Sweep parameters '(.+)' requires --multirun", text)
    if several:
        return f"{several[1]}: several values; to run all of them add -m, to search for the best sweep=optuna"
    named = re.match(r"Error resolving interpolation '([^']+)', possible interpolation keys: (.*)", text)
    if named:  # `recipe: ${model}-${data}` after `~model`
        absent = [name for name in re.findall(r"\$\{(\w+)\}", named[1]) if name not in named[2].split(", ")]
        return "\n".join(f"{name}: is needed, but is not there" for name in absent)
    cause = error.__cause__
    return f"{_first_line(error)}: {_first_line(cause)}" if cause and str(cause) else _first_line(error)


def _no_such_key(key: str) -> str:
    top = key.split(".")[0]
    if found := SETTINGS_OF.get(key.rpartition(".")[0]):
        option, target = found
        names = list(known.parameters) if (known := constructor(target)) else []
        node, _, name = key.rpartition(".")
        if name in names:
            return f"{key}: is there only with {option}; add {option}"
        return f"{key}: no such key{did_you_mean(name, names, f'{node}.')} Keys with {option}: {', '.join(names)}"
    group, placed, place = key.partition("@")
    if placed and group in groups():
        name = place.rpartition(".")[2]
        way = way_to_add(group, name) or f"{group}={name if name in options(group) else 'NAME'}"
        return f"{key}: an option has no place of its own; it is chosen by {way}"
    if "." in key and top in (*TOP_LEVEL, *SETTINGS, "hydra"):
        return f"{key}: no such key in {top}"
    names = sorted({*groups(), *TOP_LEVEL, *SETTINGS})
    near = nearest(top, names)
    suggestion = f"; did you mean {key.replace(top, near, 1)}?" if near else "."
    return f"{key}: no such key{suggestion} Keys and groups: {', '.join(names)}"


def _chosen_twice(group: str, option: str | None) -> str:
    added = way_to_add(group, option) if option else ""
    return (
        f"+{group}={option or '...'}: something is chosen of {group} already; to have this in its place"
        f" {group}={option or 'NAME'}" + (f", to have it as well {added}" if added else "")
    )


def _first_line(error: BaseException | Any) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
