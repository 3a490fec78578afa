"""What a W&B run of ours says, as a record; from its log or from its server. Imports no torch."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from seqtrain.errors import UserError
from seqtrain.runs.nonfinite import unspelled
from seqtrain.runs.record import migrated
from seqtrain.runs.records import RunRecord, Source

log = logging.getLogger(__name__)

STEP = "trainer/global_step"
"""Optimizer steps, counted from 0, as Lightning's logger logs them: `step` in `metrics.jsonl`."""

REWOUND = "trainer/rewound_to"
"""What a resumed run logs first: the optimizer steps that had been taken at its checkpoint."""

MANIFEST = "run"
"""The key of W&B's config that our logger puts the manifest under, beside the composed configuration."""


class ForeignRunError(UserError):
    """A W&B run that seqtrain did not log."""


def record(
    *, place: str, name: str, config: dict[str, Any], broken: bool, source: Source, reopened: bool = False
) -> RunRecord:
    """The record of a W&B run.

    Args:
        place: what it is found by.
        name: what it is called.
        config: W&B's config.
        broken: whether W&B knows that it ended otherwise than well. A run that could not say so itself has failed.
        source: its history and files.
        reopened: whether it has been resumed since its config said how it stands.

    Raises:
        ForeignRunError: there is no manifest in its config.
        UserError: the manifest is of a version that this code does not know.
    """
    found = unspelled(config)
    manifest = found.get(MANIFEST)
    if not isinstance(manifest, dict) or "status" not in manifest:
        raise ForeignRunError(
            f"{place} is no run of seqtrain: there is no manifest ({MANIFEST}.status) in its W&B config",
            "Only what was logged by logger=wandb can be read, and not if its log is cut short before that.",
        )
    own = {key: value for key, value in found.items() if key not in (MANIFEST, "_wandb")}
    manifest = migrated(manifest, place)
    status = "running" if reopened else manifest["status"]
    status = "failed" if broken and status == "running" else status
    described = {**manifest, "status": status, "config": own}
    return RunRecord(place=place, name=name, manifest=described, config=own, source=source)


def ours(readers: Iterable[Callable[[], tuple[str, RunRecord]]], place: str) -> dict[str, RunRecord]:
    """The runs at a place by W&B's ids. If some of several were not logged by seqtrain, a warning says how many.

    Raises:
        UserError: none was, or one of ours cannot be read.
    """
    found: dict[str, RunRecord] = {}
    foreign: list[ForeignRunError] = []
    for read in readers:
        try:
            identity, run = read()
            found[identity] = run
        except ForeignRunError as error:
            foreign.append(error)
    if foreign and not found:
        raise foreign[0]
    if foreign:
        log.warning("%s: left out %d W&B runs that seqtrain did not log.", place, len(foreign))
    return found


def history(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl` in what was logged to W&B: steps and numbers.

    Where a run was resumed from a checkpoint, what had been logged after it is dropped: each step is there once.
    """
    lines: list[dict[str, Any]] = []
    for row in rows:
        step = row.get(STEP)
        if not isinstance(step, int | float):
            continue
        # A run of before it was logged where it goes on from: there its steps are less than before.
        begins = row.get(REWOUND, step if lines and step < lines[-1]["step"] else None)
        if begins is not None:
            lines = [line for line in lines if line["step"] < begins]
        if metrics := _metrics(row):
            lines.append({"step": int(step), **metrics})
    return lines


def _metrics(row: dict[str, Any]) -> dict[str, Any]:
    found = unspelled(row)
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, int | float) and not name.startswith("_") and name not in (STEP, REWOUND)
    }
