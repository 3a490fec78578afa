"""A run's own directory, read as a record."""

from pathlib import Path
from typing import Any

from seqtrain.errors import UserError
from seqtrain.runs.files import text_of
from seqtrain.runs.nonfinite import unspelled
from seqtrain.runs.record import Run
from seqtrain.runs.records import RunRecord


class LocalSource:
    """The history and the files in a run's directory.

    Args:
        run: the run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    def lines(self, containing: str = "") -> list[dict[str, Any]]:
        """See `seqtrain.runs.records.Source`."""
        return [unspelled(line) for line in self.run.metrics(containing)]

    def text(self, name: str) -> str | None:
        """See `seqtrain.runs.records.Source`.

        Raises:
            UserError: the file is there, but cannot be read.
        """
        return text_of(self.run.directory / name)


def read(directory: Path) -> RunRecord:
    """The record of the run in a directory; of one that ended before its record had begun, too.

    Raises:
        UserError: there is no configuration, or the record cannot be read.
    """
    run = Run(directory)
    if Run.exists(directory):
        manifest = run.manifest
    elif run.config_path.is_file():
        manifest = {"status": "not begun", "overrides": run.overrides, "config": None}
    else:
        raise UserError(f"{directory} is not the directory of a run: no manifest.json and no .hydra/config.yaml in it")
    return RunRecord(
        place=str(directory),
        name=run.directory.name,
        manifest=manifest,
        config=run.plain_config(manifest),
        source=LocalSource(run),
    )
