"""W&B runs in folders: `offline-run-*`, and what an online run keeps on the disk. Imports no torch."""

import logging
from collections.abc import Iterable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from seqtrain.errors import UserError
from seqtrain.runs.files import text_of
from seqtrain.runs.markdown import first_line
from seqtrain.runs.records import RunRecord
from seqtrain.runs.wandb_log import Segment, read_rows, read_segment
from seqtrain.runs.wandb_record import MANIFEST, history, ours, record

log = logging.getLogger(__name__)

FOLDERS = ("offline-run-*", "run-*")
"""How W&B names the folders of runs: `latest-run` leads to one of them."""


class OfflineSource:
    """The history and the files in the folders of a W&B run.

    Args:
        logs: its logs, in the order in which it went on.
    """

    def __init__(self, logs: list[Path]) -> None:
        self.logs = logs

    def lines(self, containing: str = "") -> list[dict[str, Any]]:
        """See `seqtrain.runs.records.Source`."""
        return [line for line in self._lines if not containing or containing in line]

    @cached_property
    def _lines(self) -> list[dict[str, Any]]:
        return history(row for log in self.logs for row in read_rows(log))

    def text(self, name: str) -> str | None:
        """See `seqtrain.runs.records.Source`. Raises `UserError` where a file is there, but cannot be read."""
        found = (text_of(log.parent / "files" / name) for log in reversed(self.logs))
        return next((text for text in found if text is not None), None)


def find(path: Path) -> list[Path]:
    """The logs of W&B at a path: a log, the folder of one, or a folder of such folders (`wandb/`); none elsewhere."""
    if path.is_file():
        return [path] if path.suffix == ".wandb" else []
    for above in ("", "wandb/"):
        patterns = ("*.wandb", *(f"{name}/*.wandb" for name in FOLDERS))
        if found := [log for pattern in patterns for log in sorted(path.glob(above + pattern))]:
            return found
    return []


def read(logs: Iterable[Path]) -> dict[str, RunRecord]:
    """The runs that logs are of, by W&B's ids; what a run logged after it was resumed belongs to it.

    A warning says of which runs nothing can be read, where others can.

    Raises:
        UserError: nothing can be read of any run, or seqtrain has logged none of them.
    """
    parts: dict[str, list[Segment]] = {}
    unreadable: dict[str, UserError] = {}
    for path in logs:
        try:
            part = read_segment(path)
            parts.setdefault(part.identity, []).append(part)
        except UserError as error:
            unreadable[path.stem.removeprefix("run-")] = error
    if not parts:
        raise next(iter(unreadable.values()))
    found = ours((partial(_joined, found) for found in parts.values()), "W&B's folders")
    for identity in sorted(unreadable.keys() - parts.keys()):
        log.warning("left out: %s", first_line(unreadable[identity]))
    return found


def _joined(parts: list[Segment]) -> tuple[str, RunRecord]:
    parts = sorted(parts, key=lambda part: part.started)
    last = parts[-1]
    known = next((part for part in reversed(parts) if MANIFEST in part.config), last)
    folder = last.path.parent
    found = record(
        place=str(folder if any(folder.match(name) for name in FOLDERS) else last.path),
        name=last.name,
        config=known.config,
        broken=last.exit_code not in (None, 0),
        source=OfflineSource([part.path for part in parts]),
        reopened=known is not last,
    )
    return last.identity, found
