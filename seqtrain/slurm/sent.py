"""What was sent to SLURM from a directory: which job is which task of which array."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seqtrain.errors import UserError
from seqtrain.runs.files import write_json
from seqtrain.runs.untrusted import read_json

FOLDER = "slurm"
"""In the directory of a multirun, or of a run that was sent alone: the script, the logs and this record."""


@dataclass(frozen=True)
class SentJob:
    """One training that was sent.

    Attributes:
        id: of the task that SLURM knows it as, `ARRAY_NUMBER`; that of the last time.
        overrides: what was asked for.
        directory: the run's, in that of all.
    """

    id: str
    overrides: list[str]
    directory: str


@dataclass(frozen=True)
class Sent:
    """All that was sent from a directory.

    Attributes:
        directory: of the multirun, or of the run that was sent alone.
        again: what is to be typed to send again what is not finished.
        jobs: by number.
    """

    directory: Path
    again: str = ""
    jobs: dict[int, SentJob] = field(default_factory=dict)

    @staticmethod
    def folder(directory: Path) -> Path:
        """Where scripts, logs and the record are."""
        return directory / FOLDER

    @classmethod
    def exists(cls, directory: Path) -> bool:
        """Whether something was sent from a directory."""
        return (cls.folder(directory) / "jobs.json").is_file()

    @classmethod
    def read(cls, directory: Path) -> "Sent":
        """What was sent from a directory; nothing where nothing was.

        Raises:
            UserError: the record cannot be read.
        """
        if not cls.exists(directory):
            return cls(directory)
        path = cls.folder(directory) / "jobs.json"
        found: Any = read_json(path)
        try:
            jobs = {int(number): SentJob(**job) for number, job in found["jobs"].items()}
            return cls(directory, str(found["again"]), jobs)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} is no record of what was sent to SLURM: {error!r}") from error

    def write(self) -> None:
        """Replaces the record."""
        jobs = {str(number): asdict(job) for number, job in sorted(self.jobs.items())}
        write_json(self.folder(self.directory) / "jobs.json", {"again": self.again, "jobs": jobs})
