"""bAbI as a data module: stories, questions and their answers."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch

from seqtrain.config.types import NonNegative, Positive, Range
from seqtrain.data.corpora.babi import BabiFiles, Question
from seqtrain.data.corpora.base import Split, digest_of
from seqtrain.data.loading import SequenceData
from seqtrain.data.vocabulary import VOCABULARY, read_vocabulary, write_vocabulary
from seqtrain.errors import UserError
from seqtrain.tasks.answering import Answering, AnsweringBatch

UNKNOWN = 1
"""Id of words that are not in the training stories."""
HELD_OUT = 10
"""Every so many-th training question validates where there is no validation split: the last ones of the file."""


class Babi(SequenceData):
    """One bAbI task: a story, a question, an answer of a word or a list of words, which is one class.

    Args:
        root: the folder tasks_1-20_v1-2 or its archive.
        variant: `en` has 1,000 training questions, `en-10k` 10,000; those with `valid` a validation split of their
            own, elsewhere it is the last tenth of the training questions.
        qa: the task, 1 to 20.
        sentences: the most sentences of a story; of a longer one the last are kept.
        batch_tokens: words a batch at most.
        num_workers: processes that make batches ahead.
        seed: where the order of training batches comes from.
    """

    task_name: ClassVar[str] = "answering"

    def __init__(
        self,
        *,
        root: str | None = None,
        variant: Literal["en", "en-10k", "en-valid", "en-valid-10k"] = "en-10k",
        qa: Annotated[int, Range(low=1, high=20)] = 1,
        sentences: Positive = 50,
        batch_tokens: Positive = 4096,
        num_workers: NonNegative = 0,
        seed: int,
    ) -> None:
        super().__init__(batch_tokens=batch_tokens, seed=seed, num_workers=num_workers)
        self.root, self.variant, self.qa, self.sentences = root, variant, qa, sentences
        self.cut = 0
        self._words: list[str] | None = None
        self._answers: list[str] = []
        self._questions: dict[Split, list[Question]] = {}

    def setup(self, stage: str | None = None) -> None:
        """Reads all splits, once."""
        if self._questions:
            return
        files = BabiFiles(root=self.root, variant=self.variant, task=self.qa)
        read = {split: [self._kept(q) for q in files.read(split)] for split in files.splits}
        if "val" not in read:
            size = max(1, len(read["train"]) // HELD_OUT)
            read["train"], read["val"] = read["train"][:-size], read["train"][-size:]
        self._questions = read
        self._digests = {
            split: digest_of(f"{q.story} {q.question} {q.answer}".encode() for q in questions)
            for split, questions in read.items()
        }
        if self._words is None:
            words = {w for q in read["train"] for sentence in (*q.story, q.question) for w in sentence}
            self._words, self._answers = sorted(words), sorted({q.answer for q in read["train"]})
        self._ids = {word: i for i, word in enumerate(self._words, start=UNKNOWN + 1)}

    def _kept(self, question: Question) -> Question:
        self.cut += len(question.story) > self.sentences
        return Question(question.story[-self.sentences :], question.question, question.answer, question.line)

    @property
    def task(self) -> Answering:
        """Vocabulary size, padding and the unknown word included, and answers."""
        if self._words is None:
            raise RuntimeError("the vocabulary is there after setup() or load()")
        vocabulary = len(self._words) + UNKNOWN + 1
        return Answering(vocabulary=vocabulary, answers=tuple(self._answers), sentences=self.sentences)

    @property
    def tokenizer_hash(self) -> str:
        """sha256 (hex) of the vocabulary."""
        return digest_of([json.dumps([self._words, self._answers]).encode()])

    def majority_error(self, split: Split) -> float:
        """The share of a split's questions that the training set's most frequent answer gets wrong."""
        ((most, _),) = Counter(q.answer for q in self._questions["train"]).most_common(1)
        return sum(q.answer != most for q in self._questions[split]) / len(self._questions[split])

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
            self._words, self._answers = list(saved["words"]), list(saved["answers"])
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{directory / VOCABULARY} cannot be read: {error}", "It is broken or was cut off."
            ) from error
        self._questions, self._digests = {}, {}

    def lengths(self, split: str) -> np.ndarray:
        """(questions,) words of the story and the question."""
        return np.array([sum(map(len, q.story)) + len(q.question) for q in self._questions[split]])

    def attributes(self, split: str) -> dict[str, np.ndarray]:
        """Sentences of the story."""
        return {"sentences": np.array([len(q.story) for q in self._questions[split]])}

    def collate(self, split: str, index: np.ndarray) -> AnsweringBatch:
        """The batch of some questions (B,) of a split."""
        questions = [self._questions[split][i] for i in index]
        M = max(len(q.story) for q in questions)
        W = max(len(sentence) for q in questions for sentence in (*q.story, q.question))
        story_BMW = np.zeros((len(questions), M, W), dtype=np.int64)
        question_BW = np.zeros((len(questions), W), dtype=np.int64)
        for row, q in enumerate(questions):
            for m, sentence in enumerate(q.story):
                story_BMW[row, m, : len(sentence)] = self._encode(sentence)
            question_BW[row, : len(q.question)] = self._encode(q.question)
        known = {answer: i for i, answer in enumerate(self._answers)}
        return AnsweringBatch(
            index=torch.from_numpy(index),
            story=torch.from_numpy(story_BMW),
            question=torch.from_numpy(question_BW),
            answers=torch.tensor([known.get(q.answer, -1) for q in questions]),
        )

    def _encode(self, words: Sequence[str]) -> list[int]:
        return [self._ids.get(word, UNKNOWN) for word in words]
