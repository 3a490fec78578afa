"""Key-value pairs to be stored, and keys with errors to ask for them by.

A key is a row of signs, each +1 or −1 with equal chance. A query is the key of one pair, in which each sign has been
turned round with a small chance. The value is a class, drawn evenly. Everything is whole numbers, and so the same
everywhere.

Whatever the number of pairs, the best guess is known: P(pair | query) is the softmax of β kᵀq over the pairs, with keys
and queries on the unit ball and β = (D / 2) ln((1 − noise) / noise). This is an associative memory.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqtrain.data.generating import LONGEST, Draws, check_range, check_split
from seqtrain.errors import UserError


@dataclass(frozen=True)
class Memories:
    """Memories, their pairs one behind the other.

    Attributes:
        keys: (pairs of all, D) int8, of +1 and −1.
        values: (pairs of all,) int64, classes.
        offsets: (memories + 1,) where each memory begins, and the last one ends.
        asked: (memories,) the pair that is asked for, counted from the memory's first.
        queries: (memories, D) int8.
    """

    keys: np.ndarray
    values: np.ndarray
    offsets: np.ndarray
    asked: np.ndarray
    queries: np.ndarray

    @property
    def targets(self) -> np.ndarray:
        """(memories,) the values that are asked for."""
        return self.values[self.offsets[:-1] + self.asked]


def generate(
    *, split: str, size: int, seed: int, width: int, classes: int, noise: float, min_pairs: int, max_pairs: int
) -> Memories:
    """Memories of one split, the same for the same arguments on every machine.

    Args:
        split: train, val or test.
        size: how many.
        seed: which.
        width: signs D of a key.
        classes: how many classes values are of.
        noise: chance of each sign of a query to be turned round.
        min_pairs: the fewest pairs of a memory.
        max_pairs: the most, `LONGEST` at most; every number between is as likely.

    Raises:
        UserError: for an unknown split, or values that are not allowed.
    """
    check_split("retrieval", split)
    check(noise=noise, min_pairs=min_pairs, max_pairs=max_pairs)
    draws = Draws("retrieval", split, seed)
    pairs = min_pairs + draws.below(max_pairs - min_pairs + 1, size)
    offsets = np.concatenate([[0], np.cumsum(pairs)])
    total = int(offsets[-1])
    keys = (2 * draws.below(2, total * width) - 1).astype(np.int8).reshape(total, width)
    values = draws.below(classes, total)
    asked = draws.below(pairs, size)
    turned = draws.uniform(size * width).reshape(size, width) < noise
    queries = np.where(turned, -1, 1).astype(np.int8) * keys[offsets[:-1] + asked]
    return Memories(keys, values, offsets, asked, queries)


def sharpest(*, width: int, noise: float) -> float:
    """β of the best guess, for keys and queries on the unit ball."""
    return width / 2 * math.log((1 - noise) / noise) if noise else math.inf


def check(*, noise: float, min_pairs: int, max_pairs: int, prefix: str = "") -> None:
    """Refuses what is not allowed; `prefix` stands before the names.

    Raises:
        UserError: with the range that is allowed.
    """
    check_range("retrieval", f"{prefix}min_pairs", min_pairs, 1, LONGEST)
    check_range("retrieval", f"{prefix}max_pairs", max_pairs, min_pairs, LONGEST)
    if not 0 <= noise < 0.5:
        raise UserError(
            f"retrieval: {prefix}noise = {noise} is out of range", "Allowed is 0 up to, but not including, 0.5."
        )


def preflight(
    *,
    needed: Sequence[str],
    noise: float = 0.1,
    test_noise: float | None = None,
    min_pairs: int = 2,
    max_pairs: int = 20,
    test_min_pairs: int = 2,
    test_max_pairs: int = 200,
) -> None:
    """What a configuration shows by itself."""
    check(noise=noise, min_pairs=min_pairs, max_pairs=max_pairs)
    noise = noise if test_noise is None else test_noise
    check(noise=noise, min_pairs=test_min_pairs, max_pairs=test_max_pairs, prefix="test_")
