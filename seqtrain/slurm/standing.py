"""How a job stands that was sent: by SLURM's queue, and by the record of its run. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from seqtrain.config.criterion import criterion_of_best
from seqtrain.errors import UserError
from seqtrain.runs.markdown import number
from seqtrain.runs.record import Run
from seqtrain.slurm.sent import Sent, SentJob

LOST = "lost"
"""Of a run that says it is running, but SLURM has no such job: it was killed before it could write how it ended."""

NOT_BEGUN = "not begun"

DAMAGED = "damaged"
"""Of a run whose record cannot be read."""


@dataclass(frozen=True)
class Standing:
    """How a job stands; what is not known is an empty text.

    Attributes:
        number: in its multirun.
        overrides: what was asked for.
        slurm: its state in SLURM's queue; empty once it has left it, `?` where SLURM cannot be asked.
        run: the status of the run, `LOST`, `NOT_BEGUN` or `DAMAGED`.
        epoch, step: the last that was logged.
        best: the best validation score so far.
        restarts: how often the run was gone on with.
        elapsed: since the run was begun, up to its end.
        log: what the job printed.
        damage: why the record of the run cannot be read.
    """

    number: int
    overrides: list[str]
    slurm: str
    run: str
    epoch: str
    step: str
    best: str
    restarts: int
    elapsed: str
    log: Path
    damage: UserError | None = None

    @property
    def is_left(self) -> bool:
        """Whether it is not finished, can be gone on with, and nothing will be done about it."""
        return not self.slurm and self.run not in ("finished", DAMAGED)


def standings(sent: Sent, known: Mapping[str, str] | None) -> list[Standing]:
    """How all jobs of a directory stand.

    Args:
        sent: what was sent from it.
        known: the state of every job that SLURM has; None where it cannot be asked.
    """
    return [_standing(sent, number, job, known) for number, job in sorted(sent.jobs.items())]


def _standing(sent: Sent, number: int, job: SentJob, known: Mapping[str, str] | None) -> Standing:
    state = "?" if known is None else known.get(job.id, "")
    log = sent.folder(sent.directory) / f"{number}.log"
    run = Run(sent.directory / job.directory)
    if not Run.exists(run.directory):
        return Standing(number, job.overrides, state, "" if state else NOT_BEGUN, "", "", "", 0, "", log)
    try:
        manifest = run.manifest
    except UserError as error:
        return Standing(number, job.overrides, state, DAMAGED, "", "", "", 0, "", log, error)
    status = str(manifest.get("status"))
    lines = run.metrics()
    last = lines[-1] if lines else {}
    return Standing(
        number,
        job.overrides,
        state,
        LOST if status == "running" and not state else status,
        _text(last.get("epoch")),
        _text(last.get("step")),
        _best(run, manifest, lines),
        len(manifest.get("resumed") or []),
        _elapsed(manifest),
        log,
    )


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _best(run: Run, manifest: Mapping[str, Any], lines: list[dict[str, Any]]) -> str:
    try:
        metric, goal = criterion_of_best(OmegaConf.create(run.plain_config(dict(manifest))))
    except UserError:
        return ""
    values = [value for line in lines if isinstance(value := line.get(metric), int | float) and isfinite(value)]
    return f"{metric} {number((max if goal == 'max' else min)(values))}" if values else ""


def _elapsed(manifest: Mapping[str, Any]) -> str:
    try:
        begun = datetime.fromisoformat(str(manifest.get("started")))
        ended = manifest.get("finished")
        until = datetime.fromisoformat(str(ended)) if ended else datetime.now(UTC)
    except ValueError:
        return ""
    return str(timedelta(seconds=round((until - begun).total_seconds())))
