"""What a search tells: its best trials, how to train the best again, how to go on with it once it was stopped."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from seqtrain.config.arguments import command_line
from seqtrain.config.directories import quoted
from seqtrain.errors import UserError
from seqtrain.runs.files import write_text
from seqtrain.runs.markdown import grid, number
from seqtrain.runs.record import Run
from seqtrain.sweep.study import Question

RESULTS = "optimization_results.yaml"
SHOWN = 5
"""Trials in the table."""


class Summary:
    """What is told of a search.

    Args:
        study: its trials.
        question: what it is after.
        directory: where it is written.
        words: what it was started with.
    """

    def __init__(self, study: optuna.Study, question: Question, directory: Path, *, words: Sequence[str]) -> None:
        self.study = study
        self.question = question
        self.directory = directory
        self.words = list(words)

    def write(self) -> None:
        """Writes all trials, the best first, to `optimization_results.yaml`."""
        content: dict[str, Any] = {"name": "optuna", "result": self.question.result, "goal": self.question.goal}
        ranked = self._ranked()
        if ranked:
            content |= {
                "best_params": dict(ranked[0].params),
                "best_value": ranked[0].value,
                "best_directory": str(self._place(ranked[0].number)),
                "best_command": self.again(ranked[0]),
            }
        content["trials"] = [self._told(trial) for trial in [*ranked, *self._failed()]]
        write_text(self.directory / RESULTS, yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000))

    def text(self) -> str:
        """A table of the best trials, and what to do with the best."""
        ranked = self._ranked()
        if not ranked:
            return "\nno trial has finished"
        head = ["trial", self.question.result, *self.question.space.swept]
        rows = [
            [str(trial.number), number(trial.values[0]), *(_shown(trial.params[name]) for name in head[2:])]
            for trial in ranked[:SHOWN]
        ]
        more = f"\n{len(ranked) - SHOWN} more in {self.directory / RESULTS}" if len(ranked) > SHOWN else ""
        best = ranked[0]
        return "\n".join(
            [
                f"\n{grid(head, rows)}{more}\n",
                f"the best: trial {best.number}, {self.question.result} {number(best.values[0])}",
                f"its run: {self._place(best.number)}",
                f"to train it again:\n  {self.again(best)}",
            ]
        )

    def again(self, trial: FrozenTrial) -> str:
        """The command that trains with a trial's values."""
        swept = self.question.space.swept
        kept = [word for word in self.words if not _is_of_the_search(word) and _key(word) not in swept]
        if any(_key(word) == "sweep" for word in kept):  # what else its YAML sets is needed
            kept.append("hydra.mode=RUN")
        return command_line([*kept, *self.question.space.overrides(trial.params)])

    def stopped(self) -> str:
        """How to go on with the search."""
        place = str(self.directory)
        place = place if re.fullmatch(r"[\w./-]+", place) else quoted(place)
        words = [word for word in self.words if _key(word) not in ("resume", "hydra.sweep.dir")]
        return f"  Go on with the search by: {command_line([*words, 'resume=auto', f'hydra.sweep.dir={place}'])}"

    def refuse_failed(self) -> None:
        """Says which trials failed.

        Raises:
            UserError: some did.
        """
        failed = self._failed()
        if failed:
            numbers = ", ".join(str(trial.number) for trial in failed)
            raise UserError(
                f"{len(failed)} of {len(self.study.get_trials(deepcopy=False))} trials failed: {numbers}",
                f"Why they did is in {self.directory / RESULTS}.",
                code=1,
            )

    def error(self, number: int) -> str:
        """Why a trial failed."""
        place = self._place(number)
        return str(Run(place).manifest.get("error")) if Run.exists(place) else "it ended before its record was begun"

    def _ranked(self) -> list[FrozenTrial]:
        finished = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return sorted(finished, key=lambda trial: trial.values[0], reverse=self.question.goal == "max")

    def _failed(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=(TrialState.FAIL,))

    def _told(self, trial: FrozenTrial) -> dict[str, Any]:
        found = {"error": self.error(trial.number)} if trial.value is None else {"value": trial.value}
        return {"trial": trial.number, **found, "params": dict(trial.params)}

    def _place(self, number: int) -> Path:
        return self.directory / str(number)


def _is_of_the_search(word: str) -> bool:
    return word in ("--multirun", "sweep=optuna") or _key(word).startswith(("resume", "hydra.sweep", "hydra.mode"))


def _key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0]


def _shown(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)
