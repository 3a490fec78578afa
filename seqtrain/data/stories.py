"""Questions with their stories as arrays of numbers, from which batches are cut without a loop."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from seqtrain.data.corpora.base import digest_of
from seqtrain.data.corpora.questions import Question
from seqtrain.tasks.answering import AnsweringBatch

UNKNOWN = 1
"""Id of words that are not in the training text; 0 is padding."""
UNKNOWN_ANSWER = -1
"""Id of answers that are not among the training answers."""


class Stories:
    """Questions, every different sentence of which is kept once.

    Args:
        questions: with their stories as they are to be seen.
        words: ids of the words that are known.
        answers: ids of the answers that are known.
    """

    def __init__(self, questions: Sequence[Question], *, words: Mapping[str, int], answers: Mapping[str, int]) -> None:
        rows: dict[tuple[str, ...], int] = {(): 0}  # an empty slot of a story
        places = [[rows.setdefault(sentence, len(rows)) for sentence in q.story] for q in questions]
        self._asked = np.array([rows.setdefault(q.question, len(rows)) for q in questions], dtype=np.int64)
        self._places, self.sentences = _matrix(places, filler=0)
        """(questions, M) the sentences of the stories, and how many each has."""
        self._supports, self._supported = _matrix([q.supports for q in questions], filler=-1)
        self._given = [q.answer for q in questions]
        self._sentences = list(rows)
        self._widths = np.array([len(sentence) for sentence in rows])
        self._table = np.zeros((len(rows), int(self._widths.max())), dtype=np.int64)
        for row, sentence in enumerate(rows):
            self._table[row, : len(sentence)] = [words.get(word, UNKNOWN) for word in sentence]
        self._answers = np.array([answers.get(answer, UNKNOWN_ANSWER) for answer in self._given], dtype=np.int64)
        self.tasks = np.array([q.task for q in questions], dtype=np.int64)
        """(questions,) the number of each one's task."""

    def __len__(self) -> int:
        return len(self._asked)

    @property
    def lengths(self) -> np.ndarray:
        """(questions,) words of the story and the question."""
        return self._widths[self._places].sum(1) + self._widths[self._asked]

    @property
    def supported(self) -> bool:
        """Whether there is a supporting sentence."""
        return bool(self._supported.any())

    @property
    def digest(self) -> str:
        """sha256 (hex) of what was asked, whatever ids it has."""
        texts = (json.dumps(part).encode() for part in (self._sentences, self._given))
        arrays = (self._asked, self._places, self._supports, self.tasks)
        return digest_of([*texts, *(array.astype("<i8").tobytes() for array in arrays)])

    def unknown_words(self, known: Mapping[str, int]) -> tuple[list[str], int]:
        """The words that have no id, sorted, and how many questions are asked with or about one."""
        found = {word for sentence in self._sentences for word in sentence if word not in known}
        has_S = (self._table == UNKNOWN).any(1)
        return sorted(found), int((has_S[self._places].any(1) | has_S[self._asked]).sum())

    def unknown_answers(self) -> tuple[list[str], int]:
        """The answers that have no id, sorted, and how many questions have one."""
        places = np.flatnonzero(self._answers == UNKNOWN_ANSWER)
        return sorted({self._given[place] for place in places}), len(places)

    def batch(self, index: np.ndarray) -> AnsweringBatch:
        """The batch of some questions (B,)."""
        places_BM = self._places[index, : self.sentences[index].max(initial=0)]
        asked_B = self._asked[index]
        W = max(self._widths[places_BM].max(initial=1), self._widths[asked_B].max(initial=1))
        story_BMW, question_BW = self._table[places_BM], self._table[asked_B]
        if len(self._table[0]) > W:
            story_BMW, question_BW = (np.ascontiguousarray(ids[..., :W]) for ids in (story_BMW, question_BW))
        return AnsweringBatch(
            index=torch.from_numpy(index),
            story=torch.from_numpy(story_BMW),
            question=torch.from_numpy(question_BW),
            answers=torch.from_numpy(self._answers[index]),
            supports=torch.from_numpy(self._supports[index, : self._supported[index].max(initial=0)]),
        )


def _matrix(rows: Sequence[Sequence[int]], *, filler: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers in rows of one length, filled up behind; and (rows,) how long each was."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    matrix = np.full((len(rows), lengths.max(initial=0)), filler, dtype=np.int64)
    matrix[np.arange(matrix.shape[1]) < lengths[:, None]] = [number for row in rows for number in row]
    return matrix, lengths
