"""From what a command is given to the runs that it means, and from runs to groups of them. Imports no torch."""

import glob
from collections.abc import Sequence
from pathlib import Path

from seqtrain.errors import UserError
from seqtrain.runs import local
from seqtrain.runs.record import Run
from seqtrain.runs.records import Arm, RunRecord


def collect(places: Sequence[str]) -> list[RunRecord]:
    """The runs that places lead to, each once, in the order in which they began.

    Args:
        places: directories of runs or of multiruns, or patterns of them, as `runs/*/2026*`.

    Raises:
        UserError: a place is none of these, or the record of a run cannot be read.
    """
    found: dict[str, RunRecord] = {}
    for place in places:
        for directory in _directories(place):
            found.setdefault(str(directory.resolve()), local.read(directory))
    return sorted(found.values(), key=lambda record: str(record.manifest.get("started", "~")))


def arms(records: Sequence[RunRecord]) -> list[Arm]:
    """The runs by what they are runs of, in the order in which the first of each began.

    A study says what a run is one of; of other runs it is what they were asked for, as far as it differs and is not the
    seed.
    """
    asked = [[o for o in record.manifest.get("overrides", []) if not o.startswith("seed=")] for record in records]
    common = set.intersection(*map(set, asked)) if asked else set()
    grouped: dict[str, list[RunRecord]] = {}
    for record, overrides in zip(records, asked, strict=True):
        own = ", ".join(override for override in overrides if override not in common)
        grouped.setdefault(record.study.arm or own or record.choices.get("model", "all"), []).append(record)
    return [Arm(label, sorted(found, key=lambda record: record.seed or 0)) for label, found in grouped.items()]


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
    return [path] if _is_run(path) else sorted(place for place in path.iterdir() if _is_run(place))
