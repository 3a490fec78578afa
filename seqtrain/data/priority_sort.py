"""The priority sort task of the neural Turing machine as a data module."""

import numpy as np

from seqtrain.config.types import NonNegative, Positive
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
        size: training sequences that make an epoch.
        val_size: validation sequences.
        test_size: test sequences.
        batch_size: sequences a batch.
        corpus_seed: which sequences; the same for runs that are to be compared.
        num_workers: processes that make batches ahead.
        seed: of the run.
    """

    def __init__(
        self,
        *,
        bits: Positive = 8,
        length: Positive = 20,
        kept: Positive = 16,
        size: Positive = 2000,
        val_size: Positive = 500,
        test_size: Positive = 500,
        batch_size: Positive = 16,
        corpus_seed: NonNegative = 1,
        num_workers: NonNegative = 0,
        seed: int,
    ) -> None:
        check_priority_sort(length=length, kept=kept)
        super().__init__(
            task=Bits(inputs=bits + 2, outputs=bits),
            size=size,
            val_size=val_size,
            test_size=test_size,
            batch_size=batch_size,
            corpus_seed=corpus_seed,
            num_workers=num_workers,
            seed=seed,
        )
        self.bits, self.length, self.kept = bits, length, kept

    def example(self, split: Split, number: int, draws: Draws) -> Example:
        """See `BitSequences`."""
        return priority_sort(draws, length=self.length, kept=self.kept, bits=self.bits)

    def numbers(self, split: Split) -> dict[str, np.ndarray]:
        """Sequences do not differ in length."""
        return {}
