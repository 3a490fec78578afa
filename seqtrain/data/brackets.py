"""Bracket strings as a data module: is this string well bracketed?"""

from typing import Literal

from seqtrain.config.types import NonNegative, Positive
from seqtrain.data.brackets_generator import generate
from seqtrain.data.corpora.base import Split
from seqtrain.data.labelling import LabelledStrings


class Brackets(LabelledStrings):
    """Strings of brackets of several kinds, well-formed or not; test strings can be longer than those trained on.

    Args:
        size: training strings.
        val_size: validation strings.
        test_size: test strings.
        min_length: characters of the shortest string.
        max_length: characters of the longest string trained and validated on.
        test_min_length: characters of the shortest test string.
        test_max_length: characters of the longest test string.
        kinds: kinds of brackets.
        max_depth: how deep they are nested at most.
        corpus_seed: which strings; the same for runs that are to be compared.
        batch_tokens: padded characters a batch at most.
        num_workers: processes that make batches ahead.
        seed: where the order of training batches comes from.
    """

    def __init__(
        self,
        *,
        size: Positive = 10000,
        val_size: Positive = 1000,
        test_size: Positive = 1000,
        min_length: Positive = 10,
        max_length: Positive = 40,
        test_min_length: Positive = 10,
        test_max_length: Positive = 80,
        kinds: Literal[2, 3] = 2,
        max_depth: Positive = 8,
        corpus_seed: NonNegative = 1,
        batch_tokens: Positive = 4096,
        num_workers: NonNegative = 0,
        seed: int,
    ) -> None:
        labels = ("ill-formed", "well-formed")
        super().__init__(labels=labels, batch_tokens=batch_tokens, num_workers=num_workers, seed=seed)
        self.sizes_asked = {"train": size, "val": val_size, "test": test_size}
        self.ranges = {"train": (min_length, max_length), "val": (min_length, max_length)}
        self.ranges["test"] = (test_min_length, test_max_length)
        self.kinds, self.max_depth, self.corpus_seed = kinds, max_depth, corpus_seed

    def strings(self, split: Split) -> tuple[list[str], list[int]]:
        """The generator's strings; class 1 is well-formed."""
        low, high = self.ranges[split]
        return generate(
            split=split,
            size=self.sizes_asked[split],
            seed=self.corpus_seed,
            min_length=low,
            max_length=high,
            kinds=self.kinds,
            max_depth=self.max_depth,
        )
