"""Metrics in the run's own directory, whatever other logger there is."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from seqtrain.runs.files import unwritable, write_text
from seqtrain.runs.nonfinite import spelled


class MetricsFile(Logger):
    """Appends one JSON object a logged step to `metrics.jsonl`: `{"step": 49, "epoch": 0, "train/loss": 3.2}`.

    `step` counts optimizer steps from 0, as Lightning's loggers do. Values that JSON has no word for are the strings
    `NaN`, `Infinity` and `-Infinity`.

    Args:
        directory: the run's directory.
    """

    def __init__(self, *, directory: str) -> None:
        super().__init__()
        self.path = Path(directory) / "metrics.jsonl"
        self._file: TextIO | None = None

    @property
    def name(self) -> str:
        """Lightning's name of the experiment; not used."""
        return ""

    @property
    def version(self) -> str:
        """Lightning's version of the experiment; not used."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run's directory."""
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the configuration and the manifest stand beside the file."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Appends a line. Raises `UserError` when the disk is full."""
        line = {"step": step, **{name: _plain(value) for name, value in metrics.items()}}
        if "epoch" in line:
            line = {"step": step, "epoch": int(metrics["epoch"]), **line}
        try:
            if self._file is None:
                self._file = self._open()
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            raise unwritable(self.path, error) from error

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Drops what was logged after a checkpoint that a run is resumed from, so that no step is there twice.

        Args:
            step: optimizer steps that had been taken at the checkpoint: the lines of steps 0 to `step` - 1 stay.
        """
        self._close()
        if not self.path.exists():
            return
        kept = []
        for line in self.path.read_text("utf-8").splitlines():
            try:
                if (json.loads(line).get("step") or 0) < step:
                    kept.append(line)
            except ValueError:
                continue  # the last line of a process that was killed
        write_text(self.path, "".join(line + "\n" for line in kept))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Sees to it that everything is on the disk; later lines open the file again."""
        self._close()

    def _open(self) -> TextIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        cut = self.path.exists() and not self.path.read_bytes().endswith(b"\n") and self.path.stat().st_size
        file = self.path.open("a", encoding="utf-8")
        if cut:
            file.write("\n")  # a line that was cut short must not swallow the next one
        return file

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        try:
            with file:
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(self.path, error) from error


def _plain(value: Any) -> Any:
    return spelled(value.item() if hasattr(value, "item") else value)
