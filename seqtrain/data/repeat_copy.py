"""The repeat copy task of the neural Turing machine as a data module."""

from typing import Any

import numpy as np

from seqtrain.config.types import Positive
from seqtrain.data.algorithms import Example, check_repeat_copy, repeat_copy
from seqtrain.data.bits import BitSequences
from seqtrain.data.corpora.base import Split
from seqtrain.data.generating import Draws
from seqtrain.tasks.bits import Bits

TEST_SHAPES = [[10, 10], [10, 20], [20, 10], [20, 20]]
"""Vectors and copies of the test sequences, unless others are asked for."""


class RepeatCopy(BitSequences):
    """Random vectors are written down as often as a number says (Graves 2014, section 4.2).

    Args:
        bits: of a vector.
        max_length: vectors of the longest sequence trained and validated on; the shortest has one.
        max_repeats: copies at most in these.
        test_shapes: vectors and copies of the test sequences, as many of each.
        test_size: test sequences.
        options: see `BitSequences`.
    """

    def __init__(
        self,
        *,
        bits: Positive = 8,
        max_length: Positive = 10,
        max_repeats: Positive = 10,
        test_shapes: list[list[Positive]] = TEST_SHAPES,
        test_size: Positive = 400,
        **options: Any,
    ) -> None:
        check_repeat_copy(max_length=max_length, max_repeats=max_repeats, test_shapes=test_shapes)
        super().__init__(test_size=test_size, **options)
        self.task = Bits(inputs=bits + 2, outputs=bits + 1)
        self.bits, self.limits = bits, (max_length, max_repeats)
        self.test_shapes = [tuple(shape) for shape in test_shapes]
        # Of 1 to R, each as probable. Of R = 1 all are 0 then.
        self._mean, self._deviation = (max_repeats + 1) / 2, max(1.0, ((max_repeats**2 - 1) / 12) ** 0.5)

    def example(self, split: Split, number: int, draws: Draws) -> Example:
        """See `BitSequences`."""
        length, repeats = self._shape(split, number, draws)
        scale = {"mean": self._mean, "deviation": self._deviation}
        return repeat_copy(draws, length=length, repeats=repeats, bits=self.bits, **scale)

    def numbers(self, split: Split) -> dict[str, np.ndarray]:
        """Vectors, and how often they are to be copied."""
        shapes = np.array([self._shape(split, i, self.draws(split, i)) for i in range(self.sizes[split])])
        return {"length": shapes[:, 0], "repeats": shapes[:, 1]}

    def _shape(self, split: Split, number: int, draws: Draws) -> tuple[int, int]:
        if split == "test":
            length, repeats = self.test_shapes[number % len(self.test_shapes)]
            return length, repeats
        length, repeats = (1 + draws.below(np.array(self.limits), 2)).tolist()
        return length, repeats
