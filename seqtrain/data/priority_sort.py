"""The priority sort task of the neural Turing machine as a data module."""

from typing import Any

import numpy as np

from seqtrain.config.types import Positive
from seqtrain.data.algorithms import Example, check_priority_sort, priority_sort
from seqtrain.data.bits import BitSequences
from seqtrain.data.corpora.base import Split
from seqtrain.data.generating import Draws
from seqtrain.tasks.bits import Bits


class PrioritySort(BitSequences):
    """Vectors are written down by their priorities, the highest first (Graves 2014, section 4.5).

    Args:
        bits: of a vector.
        length: vectors that go in.
        kept: how many of them are to come out.
        options: see `BitSequences`.
    """

    def __init__(
        self,
        *,
        bits: Positive = 8,
        length: Positive = 20,
        kept: Positive = 16,
        **options: Any,
    ) -> None:
        check_priority_sort(length=length, kept=kept)
        super().__init__(**options)
        self.task = Bits(inputs=bits + 2, outputs=bits)
        self.bits, self.length, self.kept = bits, length, kept

    def example(self, split: Split, number: int, draws: Draws) -> Example:
        """See `BitSequences`."""
        return priority_sort(draws, length=self.length, kept=self.kept, bits=self.bits)

    def numbers(self, split: Split) -> dict[str, np.ndarray]:
        """Sequences do not differ in length."""
        return {}
