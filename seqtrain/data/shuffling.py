"""A shuffled order of any number of things that need not be held: each one's place is computed."""

from math import isqrt

import numpy as np

ROUNDS = 3
"""Times that both halves are changed."""
MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""The constants of SplitMix64 (Steele, Lea & Flood 2014)."""


def shuffled(places: np.ndarray, *, size: int, seed: int) -> np.ndarray:
    """What stands at some places of a shuffled order of 0 … size - 1; every number stands at one place.

    A Feistel network over pairs of digits (left, right), as in Black & Rogaway 2002, section 4: a function of one half
    and of a key is added to the other half, in turn. What it takes to a number that there is not goes through it again.

    Args:
        places: (n,) from 0 to size - 1.
        size: how many there are.
        seed: which order.
    """
    if not size:
        return places
    rows = isqrt(size - 1) + 1
    columns = -(-size // rows)
    keys = np.random.default_rng(seed).integers(1 << 64, size=(ROUNDS, 2), dtype=np.uint64)
    found = _rounds(places.astype(np.uint64), rows, columns, keys)
    while (outside := np.flatnonzero(found >= size)).size:
        found[outside] = _rounds(found[outside], rows, columns, keys)
    return found.astype(np.int64)


def _rounds(numbers: np.ndarray, rows: int, columns: int, keys: np.ndarray) -> np.ndarray:
    left, right = np.divmod(numbers, np.uint64(columns))
    for first, second in keys:
        left = (left + _mixed(right, first)) % np.uint64(rows)
        right = (right + _mixed(left, second)) % np.uint64(columns)
    return left * np.uint64(columns) + right


def _mixed(numbers: np.ndarray, key: np.uint64) -> np.ndarray:
    """(n,) numbers of 32 bits that look drawn at random: their sum with what they are added to stays in 64."""
    gold, first, second = map(np.uint64, MIX)
    mixed = numbers * gold + key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * first
    mixed = (mixed ^ (mixed >> np.uint64(27))) * second
    return mixed >> np.uint64(32)
