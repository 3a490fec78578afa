"""Buckets of sequences of like length, and the sizes of the batches that they are cut into."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

GROWTH = 1.1
"""How much longer than its shortest sequence the longest of a bucket may be, beside the two tokens it always may."""
STRETCH = 1.5
"""The same where the bucket would not fill a batch otherwise."""
AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Tally:
    """How many sequences have which length.

    Attributes:
        lengths: (kinds,) ascending.
        counts: (kinds,) sequences of each.
    """

    lengths: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, lengths: np.ndarray, most: int | None = None) -> "Tally":
        """That of lengths (examples,), of which those over `most` are left out; a part at a time."""
        counts = np.zeros(0, dtype=np.int64)
        for begin in range(0, len(lengths), AT_ONCE):
            some = lengths[begin : begin + AT_ONCE]
            found = np.bincount(some if most is None else some[some <= most])
            longer, shorter = (found, counts) if len(found) > len(counts) else (counts, found)
            counts = longer.astype(np.int64)
            counts[: len(shorter)] += shorter
        kinds = np.flatnonzero(counts)
        return cls(kinds, counts[kinds])

    def __len__(self) -> int:
        return int(self.counts.sum())


@dataclass
class Bucket:
    """Sequences that follow each other when they are ordered by length.

    Attributes:
        begin: the place of its first in that order.
        end: the place behind its last.
        longest: tokens of its longest.
        sizes: sequences of each of its batches.
    """

    begin: int
    end: int
    longest: int
    sizes: list[int]


def buckets(tally: Tally, batch_tokens: int) -> list[Bucket]:
    """All buckets, the shortest sequences first; those that would not fill a batch are widened.

    Args:
        tally: of the sequences.
        batch_tokens: the longest sequence of a bucket times the size of its batches is this at most.
    """
    lengths, ends = tally.lengths, np.cumsum([0, *tally.counts])
    found: list[Bucket] = []
    first = 0
    while first < len(lengths):
        longest = max(lengths[first] + 2, int(lengths[first] * GROWTH))
        last = int(np.searchsorted(lengths, longest, side="right"))
        while last < len(lengths) and (ends[last] - ends[first]) * lengths[last - 1] < batch_tokens:
            fills = (ends[last + 1] - ends[first]) * lengths[last] > batch_tokens
            if fills and lengths[last] > STRETCH * lengths[first]:
                break
            last += 1
        begin, end, longest = int(ends[first]), int(ends[last]), int(lengths[last - 1])
        found.append(Bucket(begin, end, longest, _sizes(end - begin, max(1, batch_tokens // max(1, longest)))))
        first = last
    return found


def _sizes(count: int, most: int) -> list[int]:
    number = -(-count // most)
    small, larger = divmod(count, number)
    return [small + 1] * larger + [small] * (number - larger)


def split_largest(found: Sequence[Bucket], times: int) -> None:
    """Cuts the batch with the most tokens in two, so many times, as long as there is one with two sequences."""
    for _ in range(times):
        costs = [
            (size * bucket.longest, b, i)
            for b, bucket in enumerate(found)
            for i, size in enumerate(bucket.sizes)
            if size > 1
        ]
        if not costs:
            return
        _, b, i = max(costs)
        half = found[b].sizes[i] // 2
        found[b].sizes[i : i + 1] = [found[b].sizes[i] - half, half]
