"""The dynamic n-grams of the neural Turing machine as a data module: how soon is a new distribution learnt?"""

from typing import Annotated, Any

import numpy as np

from seqtrain.config.types import Positive, Range
from seqtrain.data.algorithms import Example, check_ngrams, ngrams, optimal
from seqtrain.data.bits import BitSequences
from seqtrain.data.corpora.base import Split
from seqtrain.data.generating import Draws
from seqtrain.tasks.bits import Bits


class NGrams(BitSequences):
    """The next bit, of a 6-gram distribution that is another one in every sequence (Graves 2014, section 4.4).

    Args:
        length: bits of a sequence.
        test_size: test sequences.
        options: see `BitSequences`.
    """

    def __init__(
        self,
        *,
        length: Annotated[int, Range(low=6)] = 200,
        test_size: Positive = 1000,
        **options: Any,
    ) -> None:
        check_ngrams(length=length)
        super().__init__(test_size=test_size, **options)
        self.task = Bits(inputs=1, outputs=1)
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
