"""Questions about stories: what answering data modules share."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from seqtrain.config.types import NonNegative, Positive
from seqtrain.data.batching import BucketBatchSampler
from seqtrain.data.corpora.base import SPLITS, Split, digest_of
from seqtrain.data.corpora.questions import Question
from seqtrain.data.loading import SequenceData
from seqtrain.data.stories import UNKNOWN, Stories
from seqtrain.data.vocabulary import VOCABULARY, read_vocabulary, write_vocabulary
from seqtrain.errors import UserError
from seqtrain.tasks.answering import Answering, AnsweringBatch

log = logging.getLogger(__name__)

HELD_OUT = 10
"""Where there is no validation split, the last one of so many training questions of every task is in it."""
NAMED = 5
"""So many unknown words are named at most."""


class QuestionSampler(BucketBatchSampler):
    """Batches of as many questions, whatever their length, drawn anew in every epoch; unshuffled by length.

    Args:
        lengths: (questions,) words a question.
        batch_size: questions a batch at most.
        seed: with the epoch, where the order comes from.
        shuffle: otherwise the order is the same every epoch, longest first.
        rank: which share of the batches is this process's.
        world_size: number of shares.
    """

    settings = "data.batch_size"

    def __init__(
        self, *, lengths: np.ndarray, batch_size: int, seed: int, shuffle: bool, rank: int, world_size: int
    ) -> None:
        super().__init__(
            lengths=np.ones(len(lengths), dtype=np.int64),
            batch_tokens=batch_size,
            seed=seed,
            shuffle=shuffle,
            rank=rank,
            world_size=world_size,
            indices=np.argsort(lengths, kind="stable"),
        )


class AnsweringData(SequenceData):
    """Questions about stories; id 0 is padding, id 1 a word that is not in the training text.

    A subclass says which questions, in `questions`. Words are those of the training stories and questions and the
    training answers: an answer is one word, also where it consists of several. Words that are unknown are read as one
    and the same, answers that are unknown count as errors; both are counted and reported.

    Args:
        sentences: the most sentences of a story; of a longer one the last are kept, which is counted and reported.
        batch_size: questions a batch at most.
        num_workers: processes that make batches ahead.
        seed: where the order of training batches comes from.
    """

    task_name: ClassVar[str] = "answering"
    nominal: ClassVar[frozenset[str]] = frozenset({"task"})

    def __init__(
        self, *, sentences: Positive = 50, batch_size: Positive = 32, num_workers: NonNegative = 0, seed: int
    ) -> None:
        super().__init__(batch_tokens=batch_size, seed=seed, num_workers=num_workers)
        self.sentences, self.batch_size = sentences, batch_size
        self.cut: dict[Split, int] = {}
        """Stories a split that were longer than `sentences`."""
        self._words: list[str] | None = None
        self._answers: list[str] = []
        self._stories: dict[Split, Stories] = {}
        self._majority: dict[Split, float] = {}

    def questions(self, split: Split) -> list[Question]:
        """The questions of a split, those of one task behind those of another; none where there is no such split."""
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        """Reads all splits, once; without a validation split the last tenth of every task's training is one."""
        if self._stories:
            return
        read = {split: self.questions(split) for split in SPLITS}
        if not read["val"]:
            read["train"], read["val"] = _held_out(read["train"])
        read = {split: questions for split, questions in read.items() if questions}
        self.cut = {split: sum(len(q.story) > self.sentences for q in qs) for split, qs in read.items()}
        read = {split: [self._kept(q) for q in qs] for split, qs in read.items()}
        if self._words is None:
            self._answers = sorted({q.answer for q in read["train"]})
            sentences = {sentence for q in read["train"] for sentence in (*q.story, q.question)}
            self._words = sorted({word for sentence in sentences for word in sentence}.union(self._answers))
        self._stories = {split: self._encoded(questions) for split, questions in read.items()}
        self._digests = {split: stories.digest for split, stories in self._stories.items()}
        self._majority = {split: _majority_error(read["train"], questions) for split, questions in read.items()}
        for split in read:
            self._report(split)

    @property
    def task(self) -> Answering:
        """Sizes of the vocabulary, padding and the unknown word included, and of the memory; the answers."""
        ids = self._ids
        return Answering(
            vocabulary=len(ids) + UNKNOWN + 1,
            answers=tuple(self._answers),
            answer_words=tuple(ids[answer] for answer in self._answers),
            sentences=self.sentences,
        )

    @property
    def words(self) -> tuple[str, ...]:
        """The words by their ids; padding's is empty."""
        return ("", "<unknown>", *self._known())

    @property
    def tokenizer_hash(self) -> str:
        """sha256 (hex) of the vocabulary."""
        return digest_of([json.dumps([self._words, self._answers]).encode()])

    def majority_error(self, split: Split) -> float:
        """The share of a split's questions that the most frequent training answer of their task gets wrong.

        Of several tasks it is the mean of theirs.
        """
        return self._majority[split]

    def baselines(self, split: Split) -> dict[str, float]:
        """The majority error, beside which scores are to be seen."""
        return {"majority_error": self._majority[split]}

    def save(self, directory: Path) -> None:
        """Writes the vocabulary and the answers into a folder."""
        write_vocabulary(directory, {"words": self._words, "answers": self._answers})

    def load(self, directory: Path) -> None:
        """Takes the vocabulary that `save` wrote; to be called before `setup`.

        Raises:
            UserError: it is missing or broken.
        """
        saved = read_vocabulary(directory)
        try:
            words, answers = list(saved["words"]), list(saved["answers"])
            if missing := set(answers).difference(words):
                raise KeyError(min(missing))
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{directory / VOCABULARY} cannot be read: {error}", "It is broken or was cut off."
            ) from error
        self._words, self._answers = words, answers
        self._stories, self._digests = {}, {}

    def lengths(self, split: str) -> np.ndarray:
        """(questions,) words of the story and the question."""
        return self._stories[split].lengths

    def attributes(self, split: str) -> dict[str, np.ndarray]:
        """Sentences of the story and, where there are several, the task."""
        stories = self._stories[split]
        found = {"sentences": stories.sentences}
        return found | ({"task": stories.tasks} if len(np.unique(stories.tasks)) > 1 else {})

    def supported(self, split: str) -> bool:
        """Whether any question of a split says which of its sentences the answer follows from."""
        return self._stories[split].supported

    def sampler(self, split: str, *, shuffle: bool, rank: int, world_size: int) -> QuestionSampler:
        """The order of a split's batches; see `SequenceData.sampler`."""
        return QuestionSampler(
            lengths=self.lengths(split),
            batch_size=self.batch_size,
            seed=self.seed,
            shuffle=shuffle,
            rank=rank,
            world_size=world_size,
        )

    def collate(self, split: str, index: np.ndarray) -> AnsweringBatch:
        """The batch of some questions (B,) of a split."""
        return self._stories[split].batch(index)

    def batch(self, questions: Sequence[Question]) -> AnsweringBatch:
        """The batch of questions that are in no split; of their stories the last sentences are kept."""
        return self._encoded([self._kept(q) for q in questions]).batch(np.arange(len(questions)))

    @property
    def _ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self._known(), start=UNKNOWN + 1)}

    def _known(self) -> list[str]:
        if self._words is None:
            raise RuntimeError("the vocabulary is there after setup() or load()")
        return self._words

    def _encoded(self, questions: Sequence[Question]) -> Stories:
        return Stories(questions, words=self._ids, answers={answer: i for i, answer in enumerate(self._answers)})

    def _kept(self, question: Question) -> Question:
        dropped = len(question.story) - self.sentences
        if dropped <= 0:
            return question
        supports = tuple(place - dropped for place in question.supports if place >= dropped)
        return replace(question, story=question.story[dropped:], supports=supports)

    def _report(self, split: Split) -> None:
        stories = self._stories[split]
        words, with_words = stories.unknown_words(self._ids)
        answers, with_answers = stories.unknown_answers()
        for number, what in (
            (
                self.cut[split],
                f"stories are longer than data.sentences={self.sentences}: their last sentences are kept",
            ),
            (
                with_words,
                f"questions or their stories have words that are not in the training text ({_named(words)}): "
                "all are read as one unknown word",
            ),
            (
                with_answers,
                f"questions have answers that are not in training ({_named(answers)}): each counts as an error",
            ),
        ):
            if number:
                log.warning("%d of %d %s %s", number, len(stories), split, what)


def _by_task(questions: Sequence[Question]) -> dict[int, list[Question]]:
    found: dict[int, list[Question]] = {}
    for question in questions:
        found.setdefault(question.task, []).append(question)
    return found


def _held_out(questions: Sequence[Question]) -> tuple[list[Question], list[Question]]:
    """What is left of training, and the last ones of every task."""
    kept: list[Question] = []
    held: list[Question] = []
    for own in _by_task(questions).values():
        size = max(1, len(own) // HELD_OUT)
        if len(own) == size:
            raise UserError(
                f"there is one training question of task {own[0].task}: none is left to validate on",
                "Give more, or data with a validation split.",
            )
        kept += own[:-size]
        held += own[-size:]
    return kept, held


def _majority_error(train: Sequence[Question], questions: Sequence[Question]) -> float:
    """The mean over the tasks of `questions` of the share whose answer is not their task's most frequent one."""
    trained = _by_task(train)
    errors = []
    for task, own in _by_task(questions).items():
        counted = Counter(q.answer for q in trained.get(task, ())).most_common(1)
        most = counted[0][0] if counted else None
        errors.append(sum(q.answer != most for q in own) / len(own))
    return sum(errors) / len(errors)


def _named(words: Sequence[str]) -> str:
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    return ", ".join(words[:NAMED]) + more
