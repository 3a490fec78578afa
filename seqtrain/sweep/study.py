"""The memory of a search: an Optuna study in a file of the search's directory, and what was asked of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.distributions import distribution_to_json
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection

from seqtrain.config.study import Goal
from seqtrain.errors import UserError
from seqtrain.sweep.space import Space

JOURNAL = "optuna.journal"
NAME = "search"
ASKED = "asked"


@dataclass(frozen=True)
class Question:
    """What a search is after.

    Attributes:
        space: what it chooses from.
        metric: the validation metric whose best value, over a training, it is about.
        goal: whether more or less of it is better.
    """

    space: Space
    metric: str
    goal: Goal

    @property
    def result(self) -> str:
        """What a run calls that value."""
        return f"best/{self.metric}"

    def asked(self) -> dict[str, str]:
        """All of it as texts: the goal by the metric, and what each key can be."""
        distributions = {name: distribution_to_json(swept.distribution) for name, swept in self.space.swept.items()}
        return {self.metric: self.goal, **distributions}


def is_begun(directory: Path) -> bool:
    """Whether a search was begun in a directory."""
    return (directory / JOURNAL).is_file()


def refuse_other(directory: Path, question: Question) -> optuna.Study:
    """The study in a directory, which has to be one of the same question; changes nothing.

    Raises:
        UserError: it is of another question, or cannot be read.
    """
    with _readable(directory):
        study = optuna.load_study(study_name=NAME, storage=_storage(directory))
        had, asked = study.user_attrs[ASKED], question.asked()
    differing = sorted(key for key in had.keys() | asked.keys() if had.get(key) != asked.get(key))
    if differing:
        raise UserError(
            f"{directory} holds a search that differs from this one in {', '.join(differing)}",
            "Ask for the same, or write elsewhere: hydra.sweep.dir=PATH.",
        )
    return study


def begin_or_go_on(directory: Path, question: Question) -> optuna.Study:
    """The study in a directory, or a new one.

    Raises:
        UserError: what is there is of another question, or cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if is_begun(directory):
        _drop_cut_line(directory / JOURNAL)
        return refuse_other(directory, question)
    direction = StudyDirection.MAXIMIZE if question.goal == "max" else StudyDirection.MINIMIZE
    study = optuna.create_study(study_name=NAME, storage=_storage(directory), direction=direction)
    study.set_user_attr(ASKED, question.asked())
    return study


def _storage(directory: Path) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(directory / JOURNAL)))


@contextmanager
def _readable(directory: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of what kind says Optuna only by raising it
        raise UserError(
            f"{directory / JOURNAL}: holds no search that can be read: {type(error).__name__}: {error}",
            "Remove it to begin afresh, or write elsewhere: hydra.sweep.dir=PATH.",
        ) from error


def _drop_cut_line(journal: Path) -> None:
    """Takes away what a process that was killed had written of a line: nobody could read what comes behind it."""
    content = journal.read_bytes()
    if not content.endswith(b"\n"):
        with open(journal, "r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
