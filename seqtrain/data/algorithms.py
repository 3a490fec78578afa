"""The tasks of the neural Turing machine (Graves, Wayne & Danihelka 2014, arXiv:1410.5401, section 4).

Each function makes one sequence from a stream of random numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqtrain.data.generating import LONGEST, Draws, check_range
from seqtrain.errors import UserError

ORDER = 6
"""Of the n-grams: the five bits before one decide how probable it is."""
ITEM = 3
"""Vectors an item of associative recall has."""


@dataclass(frozen=True)
class Example:
    """One sequence.

    Attributes:
        inputs: (T, I) vectors.
        targets: (T, O) bits; 0 where nothing is asked for.
        asked: (T,) at which steps bits are asked for.
    """

    inputs: np.ndarray
    targets: np.ndarray
    asked: np.ndarray


def copy(draws: Draws, *, length: int, bits: int) -> Example:
    """Vectors of random bits, a delimiter in a channel of its own, and the vectors again (section 4.1).

    T = 2 length + 1, I = bits + 1, O = bits.
    """
    vectors = _bits(draws, length, bits)
    inputs, targets, asked = _empty(2 * length + 1, bits + 1, bits)
    inputs[:length, :bits] = vectors
    inputs[length, bits] = 1
    targets[length + 1 :] = vectors
    asked[length + 1 :] = True
    return Example(inputs, targets, asked)


def repeat_copy(draws: Draws, *, length: int, repeats: int, bits: int, mean: float, deviation: float) -> Example:
    """Vectors, a delimiter, how often to copy them, the copies, and a mark in a channel of its own that they are over
    (section 4.2).

    The number of copies stands in a channel of its own, (repeats − mean) / deviation: in training it has mean 0 and
    variance 1. T = length (1 + repeats) + 2, I = bits + 2, O = bits + 1.
    """
    vectors = _bits(draws, length, bits)
    inputs, targets, asked = _empty(length * (1 + repeats) + 2, bits + 2, bits + 1)
    inputs[:length, :bits] = vectors
    inputs[length, bits] = 1
    inputs[length, bits + 1] = (repeats - mean) / deviation
    targets[length + 1 : -1, :bits] = np.tile(vectors, (repeats, 1))
    targets[-1, bits] = 1
    asked[length + 1 :] = True
    return Example(inputs, targets, asked)


def associative_recall(draws: Draws, *, items: int, bits: int) -> Example:
    """Items of three vectors, one of them again as a query, and the item that came after it (section 4.3).

    A delimiter stands before every item, and another one before and behind the query. T = 4 items + 8, I = bits + 2,
    O = bits.
    """
    vectors = _bits(draws, items * ITEM, bits).reshape(items, ITEM, bits)
    query = int(draws.below(items - 1, 1)[0])
    inputs, targets, asked = _empty((ITEM + 1) * items + 2 * (ITEM + 1), bits + 2, bits)
    for i, item in enumerate(vectors):
        start = i * (ITEM + 1)
        inputs[start, bits] = 1
        inputs[start + 1 : start + 1 + ITEM, :bits] = item
    start = items * (ITEM + 1)
    inputs[[start, start + ITEM + 1], bits + 1] = 1
    inputs[start + 1 : start + 1 + ITEM, :bits] = vectors[query]
    targets[-ITEM:] = vectors[query + 1]
    asked[-ITEM:] = True
    return Example(inputs, targets, asked)


def ngrams(draws: Draws, *, length: int) -> Example:
    """Bits of which each depends on the five before it, in a way that is drawn for every sequence (section 4.4).

    How probable a 1 is after each of the 32 contexts is drawn from Beta(½, ½). The first five bits are even, and every
    next one is asked for, from the first on. T = length − 1, I = O = 1.
    """
    # sin² of an even angle has that distribution.
    table = np.sin(draws.uniform(2 ** (ORDER - 1)).astype(np.float64) * (np.pi / 2)) ** 2
    chances = draws.uniform(length)
    sequence = np.zeros(length, dtype=np.int64)
    context = 0
    for t in range(length):
        sequence[t] = chances[t] < (table[context] if t >= ORDER - 1 else 0.5)
        context = (2 * context + int(sequence[t])) % 2 ** (ORDER - 1)
    inputs = sequence[:-1, None].astype(np.float32)
    return Example(inputs, sequence[1:, None].astype(np.float32), np.ones(length - 1, dtype=bool))


def optimal(sequence: np.ndarray) -> np.ndarray:
    """(T − 1,) probability of a 1 for every next bit of (T,) bits, by the optimal Bayesian estimator.

    (N_1 + ½) / (N_1 + N_0 + 1), N_1 and N_0 being how often a 1 and a 0 have followed the same five bits (equation 10;
    Murphy 2012); ½ where there are not yet five.
    """
    counts = np.zeros((2 ** (ORDER - 1), 2))
    found = np.full(len(sequence) - 1, 0.5)
    context = 0
    for t, bit in enumerate(sequence.astype(int)):
        if t >= ORDER - 1:
            zeros, ones = counts[context]
            found[t - 1] = (ones + 0.5) / (ones + zeros + 1)
            counts[context, bit] += 1
        context = (2 * context + bit) % 2 ** (ORDER - 1)
    return found


def priority_sort(draws: Draws, *, length: int, kept: int, bits: int) -> Example:
    """Vectors with a priority each, a delimiter, and those of the highest priorities, the highest first (section 4.5).

    Priorities are even from [−1, 1), in a channel of their own. T = length + 1 + kept, I = bits + 2, O = bits.
    """
    vectors, priorities = _bits(draws, length, bits), 2 * draws.uniform(length) - 1
    inputs, targets, asked = _empty(length + 1 + kept, bits + 2, bits)
    inputs[:length, :bits] = vectors
    inputs[:length, bits] = priorities
    inputs[length, bits + 1] = 1
    targets[length + 1 :] = vectors[np.argsort(-priorities, kind="stable")[:kept]]
    asked[length + 1 :] = True
    return Example(inputs, targets, asked)


def _bits(draws: Draws, *shape: int) -> np.ndarray:
    return draws.below(2, int(np.prod(shape))).astype(np.float32).reshape(shape)


def _empty(steps: int, inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        np.zeros((steps, inputs), dtype=np.float32),
        np.zeros((steps, outputs), dtype=np.float32),
        np.zeros(steps, dtype=bool),
    )


def check_copy(
    *,
    min_length: int = 1,
    max_length: int = 20,
    test_lengths: Sequence[int] | None = None,
) -> None:
    """What a configuration of `copy` shows by itself.

    Raises:
        UserError: with the range that is allowed.
    """
    longest = (LONGEST - 1) // 2
    check_range("copy", "max_length", max_length, min_length, longest)
    for length in _some("copy", "test_lengths", test_lengths):
        check_range("copy", "test_lengths", length, 1, longest)


def check_repeat_copy(
    *,
    max_length: int = 10,
    max_repeats: int = 10,
    test_shapes: Sequence[Sequence[int]] | None = None,
) -> None:
    """What a configuration of `repeat_copy` shows by itself.

    Raises:
        UserError: with what is allowed.
    """
    steps = "max_length * (1 + max_repeats)"
    check_range("repeat_copy", steps, max_length * (1 + max_repeats), 1, LONGEST - 2)
    for shape in _some("repeat_copy", "test_shapes", test_shapes):
        if len(shape) != 2:
            raise UserError(
                f"repeat_copy: {list(shape)} in test_shapes is not two numbers",
                "A shape is vectors and copies: data.test_shapes=[[10,10],[20,20]].",
            )
        check_range("repeat_copy", "length * (1 + copies) in test_shapes", shape[0] * (1 + shape[1]), 1, LONGEST - 2)


def check_associative_recall(
    *, min_items: int = 2, max_items: int = 6, test_items: Sequence[int] | None = None
) -> None:
    """What a configuration of `associative_recall` shows by itself.

    Raises:
        UserError: with the range that is allowed.
    """
    most = LONGEST // (ITEM + 1) - 2
    check_range("associative_recall", "max_items", max_items, min_items, most)
    for items in _some("associative_recall", "test_items", test_items):
        check_range("associative_recall", "test_items", items, 2, most)


def check_ngrams(*, length: int = 200) -> None:
    """What a configuration of `ngrams` shows by itself.

    Raises:
        UserError: with the range that is allowed.
    """
    check_range("ngrams", "length", length, ORDER, LONGEST)


def check_priority_sort(*, length: int = 20, kept: int = 16) -> None:
    """What a configuration of `priority_sort` shows by itself.

    Raises:
        UserError: with the range that is allowed.
    """
    check_range("priority_sort", "length", length, 1, (LONGEST - 1) // 2)
    check_range("priority_sort", "kept", kept, 1, length)


def _some(data: str, name: str, values: Sequence[Any] | None) -> Sequence[Any]:
    if values is not None and not values:
        raise UserError(f"{data}: {name} is empty", f"Give some numbers, or leave data.{name} as it is.")
    return values or []
