"""A simulation of bAbI as a data module: stories, questions and their answers, as many as are asked for."""

from collections.abc import Sequence
from typing import Any, Literal

from seqtrain.config.types import NonNegative, Positive
from seqtrain.data.answering import AnsweringData
from seqtrain.data.corpora.babi import numbers
from seqtrain.data.corpora.base import Split
from seqtrain.data.corpora.questions import Question, TaskNumber
from seqtrain.data.world.generator import generate, preflight, test_lengths


class BabiSim(AnsweringData):
    """The twenty tasks of bAbI in a world of our own, one, several or all; test stories can be longer.

    Args:
        task: its number, a list of several, or `all`.
        size: training questions a task.
        val_size: validation questions a task.
        test_size: test questions a task.
        min_length: sentences of the shortest story trained and validated on; None: as is usual for the task.
        max_length: sentences of the longest.
        test_min_length: sentences of the shortest test story; where this and the next are None, as in training.
        test_max_length: sentences of the longest.
        corpus_seed: which questions; the same for runs that are to be compared.
        options: those of `AnsweringData`.

    Raises:
        UserError: one of the tasks has no stories of such lengths.
    """

    def __init__(
        self,
        *,
        task: TaskNumber | Sequence[TaskNumber] | Literal["all"] = 1,
        size: Positive = 9000,
        val_size: Positive = 1000,
        test_size: Positive = 1000,
        min_length: Positive | None = None,
        max_length: Positive | None = None,
        test_min_length: Positive | None = None,
        test_max_length: Positive | None = None,
        corpus_seed: NonNegative = 1,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        preflight(
            needed=(),
            task=task,
            min_length=min_length,
            max_length=max_length,
            test_min_length=test_min_length,
            test_max_length=test_max_length,
        )
        self.numbers = numbers(task)
        self.sizes_asked = {"train": size, "val": val_size, "test": test_size}
        trained = (min_length, max_length)
        tested = test_lengths(*trained, test_min_length, test_max_length)
        self.ranges = {"train": trained, "val": trained, "test": tested}
        self.corpus_seed = corpus_seed

    def questions(self, split: Split) -> list[Question]:
        """The generator's questions, those of one task behind those of another."""
        low, high = self.ranges[split]
        return [
            question
            for number in self.numbers
            for question in generate(
                task=number,
                split=split,
                size=self.sizes_asked[split],
                seed=self.corpus_seed,
                min_length=low,
                max_length=high,
            )
        ]
