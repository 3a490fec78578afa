"""The copy task of the neural Turing machine as a data module: bits go in, and the same bits are to come out."""

from typing import Any

import numpy as np

from seqtrain.config.types import Positive
from seqtrain.data.algorithms import Example, check_copy, copy
from seqtrain.data.bits import BitSequences
from seqtrain.data.corpora.base import Split
from seqtrain.data.generating import Draws
from seqtrain.tasks.bits import Bits

TEST_LENGTHS = [10, 20, 30, 50, 120]
"""Vectors of the test sequences, unless others are asked for."""


class Copy(BitSequences):
    """Random vectors are written down again after a delimiter (Graves 2014, section 4.1); test ones can be more.

    Args:
        bits: of a vector.
        min_length: vectors of the shortest sequence trained and validated on.
        max_length: of the longest.
        test_lengths: vectors of the test sequences, as many of each.
        options: see `BitSequences`.
    """

    def __init__(
        self,
        *,
        bits: Positive = 8,
        min_length: Positive = 1,
        max_length: Positive = 20,
        test_lengths: list[Positive] = TEST_LENGTHS,
        **options: Any,
    ) -> None:
        check_copy(min_length=min_length, max_length=max_length, test_lengths=test_lengths)
        super().__init__(**options)
        self.task = Bits(inputs=bits + 1, outputs=bits)
        self.bits, self.range = bits, (min_length, max_length)
        self.test_lengths = list(test_lengths)

    def example(self, split: Split, number: int, draws: Draws) -> Example:
        """See `BitSequences`."""
        return copy(draws, length=self._length(split, number, draws), bits=self.bits)

    def numbers(self, split: Split) -> dict[str, np.ndarray]:
        """Vectors to be copied."""
        return {"length": np.array([self._length(split, i, self.draws(split, i)) for i in range(self.sizes[split])])}

    def _length(self, split: Split, number: int, draws: Draws) -> int:
        if split == "test":
            return self.test_lengths[number % len(self.test_lengths)]
        low, high = self.range
        return low + int(draws.below(high - low + 1, 1)[0])
