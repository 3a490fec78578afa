"""From what a command is given to the runs that it means, and from runs to groups of them. Imports no torch."""

import glob
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqtrain.config.flat import flattened
from seqtrain.config.names import did_you_mean
from seqtrain.errors import UserError
from seqtrain.runs import local, wandb_offline, wandb_online
from seqtrain.runs.differences import is_silent
from seqtrain.runs.files import text_of
from seqtrain.runs.markdown import first_line
from seqtrain.runs.record import Run
from seqtrain.runs.records import Arm, RunRecord

log = logging.getLogger(__name__)

LONG = 60
"""Characters of what a group of runs was asked for that do as its label; of more it is called by its model."""


def collect(places: Sequence[str]) -> list[RunRecord]:
    """The runs that places lead to, each once, in the order of the places, those of one place as they began.

    Of a run that is found in its own directory and in W&B, too, the directory counts; of one that is found in W&B's
    folders and on its server, the folders. One of several in a folder or a pattern that cannot be read is left out with
    a warning.

    Args:
        places: directories of runs, of multiruns or of evaluations, or patterns of them, as `runs/*/2026*`; W&B's logs
            (`run-ID.wandb`), its folders of them, or patterns of these; `wandb:ENTITY/PROJECT/ID`,
            `wandb:ENTITY/PROJECT` and `wandb:ENTITY/PROJECT?FILTER` (see `seqtrain.runs.wandb_online`).

    Raises:
        UserError: a place is none of these, or the record of a run that was named, or of all in a place, cannot be
            read.
    """
    found: dict[str, RunRecord] = {}
    logs: dict[Path, Path] = {}
    rank: dict[str, int] = {}  # by the records' places, which for W&B's logs are these or their folders
    for number, place in enumerate(places):
        if not place.startswith(wandb_online.PREFIX):
            paths = _paths(place)
            for file in (path for path in paths if not path.is_dir()):
                logs.setdefault(file.resolve(), file)
                rank |= {str(at): rank.get(str(at), number) for at in (file, file.parent)}
            for identity, record in _local([path for path in paths if path.is_dir()], named=Path(place)).items():
                found.setdefault(identity, record)
                rank.setdefault(record.place, number)
    tracked: dict[str, RunRecord] = wandb_offline.read(logs.values()) if logs else {}
    for number, place in enumerate(places):
        if place.startswith(wandb_online.PREFIX):
            online = wandb_online.read(place)
            tracked = {**online, **tracked}
            rank |= {record.place: rank.get(record.place, number) for record in online.values()}
    here = {text_of(Path(directory, "wandb", "id")) for directory in found}
    known = {identity.strip() for identity in here if identity is not None}
    records = [*found.values(), *(record for identity, record in tracked.items() if identity not in known)]
    return sorted(records, key=lambda record: (rank[record.place], str(record.manifest.get("started", "~"))))


def arms(records: Sequence[RunRecord]) -> list[Arm]:
    """The runs by what they are runs of, in the order of the first of each.

    A study says what a run is one of; of other runs it is what they were asked for, as far as it differs and is not the
    seed, or what else makes no difference.
    """
    asked = [[o for o in record.manifest.get("overrides", []) if not is_silent(o)] for record in records]
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


def _local(paths: Sequence[Path], *, named: Path) -> dict[str, RunRecord]:
    """The runs and the evaluations in directories, by their absolute paths; of several what can be read."""
    found: dict[str, RunRecord] = {}
    unreadable: list[UserError] = []
    for path in paths:
        read = local.read if _is_run(path) else local.read_evaluation
        try:
            found[str(path.resolve())] = read(path)
        except UserError as error:
            if path == named:
                raise
            unreadable.append(error)
    if unreadable and not found:
        raise unreadable[0]
    for left in unreadable:
        log.warning("left out: %s", first_line(left))
    return found


def _is_run(place: Path) -> bool:
    return Run.exists(place) or (place / ".hydra" / "config.yaml").is_file()


def _paths(place: str) -> list[Path]:
    """The directories of the runs at a place, or the logs of W&B."""
    path = Path(place)
    if not path.exists() and glob.has_magic(place):
        if not (found := [run for name in sorted(glob.glob(place)) for run in _inside(Path(name))]):
            raise UserError(f"no run at {place}: the pattern matches none", "Give directories of runs or of multiruns.")
        return found
    if not path.exists():
        raise UserError(f"no run at {place}: there is no such directory", "Give the directory of a run or a multirun.")
    if found := _inside(path):
        return found
    deeper = sorted({place.parent.parent.name for place in path.glob("*/*/manifest.json")})
    hint = f"There are multiruns in it: {', '.join(deeper)}." if deeper else "Give what training printed as `run`."
    raise UserError(f"{path} is neither the directory of a run nor of a multirun, nor one of W&B's", hint)


def _inside(path: Path) -> list[Path]:
    """The run or the evaluation that a directory is, the runs of a multirun, or else W&B's logs at a path."""
    if _is_run(path) or local.is_evaluation(path):
        return [path]
    logs = wandb_offline.find(path)
    if not path.is_dir() or any(log.parent == path for log in logs):  # whose `files` have a manifest, too
        return logs
    return sorted(place for place in path.iterdir() if _is_run(place)) or logs
