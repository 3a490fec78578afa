"""The associative recall task of the neural Turing machine as a data module."""

from typing import Annotated, Any

import numpy as np

from seqtrain.config.types import Positive, Range
from seqtrain.data.algorithms import Example, associative_recall, check_associative_recall
from seqtrain.data.bits import BitSequences
from seqtrain.data.corpora.base import Split
from seqtrain.data.generating import Draws
from seqtrain.tasks.bits import Bits

TEST_ITEMS = [6, 8, 10, 15, 20]
"""Items of the test sequences, unless others are asked for."""


class AssociativeRecall(BitSequences):
    """Which item came after this one? (Graves 2014, section 4.3).

    Args:
        bits: of a vector; an item has three.
        min_items: items of the shortest sequence trained and validated on.
        max_items: of the longest.
        test_items: items of the test sequences, as many of each.
        options: see `BitSequences`.
    """

    def __init__(
        self,
        *,
        bits: Positive = 6,
        min_items: Annotated[int, Range(low=2)] = 2,
        max_items: Annotated[int, Range(low=2)] = 6,
        test_items: list[Annotated[int, Range(low=2)]] = TEST_ITEMS,
        **options: Any,
    ) -> None:
        check_associative_recall(min_items=min_items, max_items=max_items, test_items=test_items)
        super().__init__(**options)
        self.task = Bits(inputs=bits + 2, outputs=bits)
        self.bits, self.range = bits, (min_items, max_items)
        self.test_items = list(test_items)

    def example(self, split: Split, number: int, draws: Draws) -> Example:
        """See `BitSequences`."""
        return associative_recall(draws, items=self._items(split, number, draws), bits=self.bits)

    def numbers(self, split: Split) -> dict[str, np.ndarray]:
        """Items."""
        return {"items": np.array([self._items(split, i, self.draws(split, i)) for i in range(self.sizes[split])])}

    def _items(self, split: Split, number: int, draws: Draws) -> int:
        if split == "test":
            return self.test_items[number % len(self.test_items)]
        low, high = self.range
        return low + int(draws.below(high - low + 1, 1)[0])
