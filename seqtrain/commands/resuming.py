"""What a training goes on from."""

import logging
from pathlib import Path
from typing import Any

from seqtrain.config.directories import AUTO, find_resumed
from seqtrain.runs.checkpoints import newest_good
from seqtrain.runs.drift import CONTENT
from seqtrain.runs.record import Run

log = logging.getLogger(__name__)


def checkpoint_to_resume(resume: str | None, directory: Path) -> tuple[Path | None, dict[Path, str]]:
    """The checkpoint that a run goes on from: the one that was named, or the newest that is whole, if there is one.

    Returns:
        The checkpoint, and what is wrong with newer ones.

    Raises:
        UserError: there are checkpoints, but none of them can be used.
    """
    if resume is None:
        return None, {}
    found = find_resumed(resume).checkpoints if resume != AUTO else Run(directory).resumable
    return newest_good(found) if found else (None, {})


def run_of(checkpoint: Path) -> Run:
    """The run that a checkpoint belongs to."""
    parents = checkpoint.absolute().parents
    return Run(next((place for place in parents[:2] if Run.exists(place)), parents[1]))


def parent_of(checkpoint: Path | None, directory: Path) -> dict[str, str] | None:
    """The run that another one goes on from, as its manifest has it; None where it goes on with itself."""
    if checkpoint is None or run_of(checkpoint).directory == directory.resolve():
        return None
    return {"run": str(run_of(checkpoint).directory), "why": f"resumed from {checkpoint.name}"}


def other_text(record: Run, data: Any) -> dict[str, str]:
    """The digests that splits had, of those that are others now."""
    before, now = record.manifest.get("data") or {}, data.description
    # The digest of a stream is of another kind than that of what is kept.
    alike = ("stream" in before) == ("stream" in now)
    other = {
        split: digest
        for split, digest in (before.get("splits") or {}).items()
        if now["splits"].get(split, digest) != digest and (alike or split != "train")
    }
    for split in other:
        log.warning(
            "The data of the split %s are not those that the run has had so far: results differ in them, too.",
            split,
        )
    return {f"{CONTENT}{split}": digest for split, digest in other.items()}
