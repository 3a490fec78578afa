"""From what a command is given to the runs that it means, and from runs to groups of them. Imports no torch."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqtrain.config.flat import flattened
from seqtrain.config.names import did_you_mean
from seqtrain.errors import UserError
from seqtrain.runs import local
from seqtrain.runs.record import Run
from seqtrain.runs.records import Arm, RunRecord

LONG = 60
"""Characters of what a group of runs was asked for that do as its label; of more it is called by its model."""


def collect(places: Sequence[str]) -> list[RunRecord]:
    """The runs that places lead to, each once, in the order in which they began.

    Args:
        places: directories of runs, of multiruns or of evaluations, or patterns of them, as `runs/*/2026*`.

    Raises:
        UserError: a place is none of these, or the record of a run cannot be read.
    """
    found: dict[str, RunRecord] = {}
    for place in places:
        for directory in _directories(place):
            read = local.read if _is_run(directory) else local.read_evaluation
            found.setdefault(str(directory.resolve()), read(directory))
    return sorted(found.values(), key=lambda record: str(record.manifest.get("started", "~")))


def arms(records: Sequence[RunRecord]) -> list[Arm]:
    """The runs by what they are runs of, in the order in which the first of each began.

    A study says what a run is one of; of other runs it is what they were asked for, as far as it differs and is not the
    seed.
    """
    asked = [[o for o in record.manifest.get("overrides", []) if not o.startswith("seed=")] for record in records]
    common = set.intersection(*map(set, asked)) if asked else set()
    found: dict[tuple[str, ...], list[RunRecord]] = {}
    for record, overrides in zip(records, asked, strict=True):
        own = tuple(override.lstrip("+") for override in overrides if override not in common)
        found.setdefault((record.study.arm,) if record.study.arm else own, []).append(record)
    made: list[Arm] = []
    for own, ours in found.items():
        label = ", ".join(own)
        if not label or len(label) > LONG:
            label = ours[0].choices.get("model", "all")
        taken = any(arm.label == label for arm in made)
        made.append(_arm(f"{label} ({ours[0].name})" if taken else label, ours))
    return made


def grouped(records: Sequence[RunRecord], keys: Sequence[str]) -> list[Arm]:
    """The runs by the values that they have at keys: a group whose option was chosen, `model`, or `model.hidden`.

    Raises:
        UserError: no run has anything at a key.
    """
    for key in keys:
        if all(_at(record, key) is None for record in records):
            there = sorted({name for record in records for name in (*record.choices, *flattened(record.config))})
            raise UserError(f"by={key}: no run has that key{did_you_mean(key, there)}", "`by=name` tells every run.")
    found: dict[str, list[RunRecord]] = {}
    for record in records:
        found.setdefault(", ".join(str(_at(record, key)) for key in keys), []).append(record)
    return [_arm(label, own) for label, own in found.items()]


def _at(record: RunRecord, key: str) -> Any:
    return record.name if key == "name" else record.choices.get(key, record.at(key))


def _arm(label: str, records: list[RunRecord]) -> Arm:
    return Arm(label, sorted(records, key=lambda record: record.seed or 0))


def _is_run(place: Path) -> bool:
    return Run.exists(place) or (place / ".hydra" / "config.yaml").is_file()


def _directories(place: str) -> list[Path]:
    """The directories of the runs at a place."""
    path = Path(place)
    if not path.exists() and glob.has_magic(place):
        matching = [Path(name) for name in sorted(glob.glob(place)) if Path(name).is_dir()]
        if not (found := [run for match in matching for run in _inside(match)]):
            raise UserError(f"no run at {place}: the pattern matches none", "Give directories of runs or of multiruns.")
        return found
    if not path.is_dir():
        raise UserError(f"no run at {place}: there is no such directory", "Give the directory of a run or a multirun.")
    if found := _inside(path):
        return found
    deeper = sorted({place.parent.parent.name for place in path.glob("*/*/manifest.json")})
    hint = f"There are multiruns in it: {', '.join(deeper)}." if deeper else "Give what training printed as `run`."
    raise UserError(f"{path} is neither the directory of a run nor of a multirun", hint)


def _inside(path: Path) -> list[Path]:
    if _is_run(path) or local.is_evaluation(path):
        return [path]
    return sorted(place for place in path.iterdir() if _is_run(place))
