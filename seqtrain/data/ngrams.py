"""The dynamic n-grams of the neural Turing machine as a data module: how soon is a new distribution learnt?"""

from typing import Annotated

import numpy as np

from seqtrain.config.types import NonNegative, Positive, Range
from seqtrain.data.algorithms import Example, check_ngrams, ngrams, optimal
from seqtrain.data.bits import BitSequences
from seqtrain.data.corpora.base import Split
from seqtrain.data.generating import Draws
from seqtrain.tasks.bits import Bits


class NGrams(BitSequences):
    """The next bit, of a 6-gram distribution that is another one in every sequence (Graves 2014, section 4.4).

    Args:
        length: bits of a sequence.
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
        length: Annotated[int, Range(low=6)] = 200,
        size: Positive = 2000,
        val_size: Positive = 500,
        test_size: Positive = 1000,
        batch_size: Positive = 16,
        corpus_seed: NonNegative = 1,
        num_workers: NonNegative = 0,
        seed: int,
    ) -> None:
        check_ngrams(length=length)
        super().__init__(
            task=Bits(inputs=1, outputs=1),
            size=size,
            val_size=val_size,
            test_size=test_size,
            batch_size=batch_size,
            corpus_seed=corpus_seed,
            num_workers=num_workers,
            seed=seed,
        )
        self.length = length

    def example(self, split: Split, number: int, draws: Draws) -> Example:
        """See `BitSequences`."""
        return ngrams(draws, length=self.length)

    def numbers(self, split: Split) -> dict[str, np.ndarray]:
        """Sequences do not differ."""
        return {}

    def measured(self, examples: list[Example]) -> dict[str, float]:
        """`optimal_bits`, too: what a sequence costs the optimal Bayesian estimator."""
        costs = []
        for made in examples:
            sequence = np.concatenate([made.inputs[:1, 0], made.targets[:, 0]])
            ones = optimal(sequence)
            costs.append(-np.log2(np.where(sequence[1:] == 1, ones, 1 - ones)).sum())
        return {**super().measured(examples), "optimal_bits": float(np.mean(costs))}
