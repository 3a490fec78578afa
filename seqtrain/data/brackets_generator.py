"""Strings over ( ) [ ] { }, half of them well bracketed, in pairs that no counting tells apart.

An ill-formed string is made from a well-formed one by swapping two opening brackets of different kinds, or two closing
ones. Its twin stands in the same split. So both classes have the same lengths, the same number of each character, the
same depth at every position, the same first and the same last character. The pair to swap is drawn evenly, so that the
opening brackets alone, read from left to right, are distributed as in well-formed strings, and likewise the closing
ones: only which closing bracket answers which opening one tells the classes apart. Where the two stand side by side
that is easy to see, and a model has something to begin with; elsewhere it has to remember.

There are no other letters between the brackets: every length is even.
"""

import random
import zlib
from collections.abc import Sequence

from seqtrain.errors import UserError

OPENING, CLOSING = "([{", ")]}"
SHORTEST, LONGEST = 10, 10_000
"""Under ten characters there is too little inside of a string to swap."""
MOST_TRIES = 20_000
"""Draws in a row that bring nothing new before the strings of a split count as used up."""

_BUCKETS = {"train": range(0, 80), "val": range(80, 90), "test": range(90, 100)}


def well_bracketed(text: str) -> bool:
    """Whether every closing bracket answers the last opening one that is still open, and none stays open.

    Characters other than brackets do not matter.
    """
    open_brackets: list[str] = []
    for character in text:
        if character in OPENING:
            open_brackets.append(character)
        elif character in CLOSING and (
            not open_brackets or OPENING.index(open_brackets.pop()) != CLOSING.index(character)
        ):
            return False
    return not open_brackets


def generate(
    *, split: str, size: int, seed: int, min_length: int, max_length: int, kinds: int = 3, max_depth: int
) -> tuple[list[str], list[int]]:
    """Strings of one split with their labels, the same for the same arguments on every machine.

    Args:
        split: train, val or test; no string of one split occurs in another, whatever the seeds and lengths.
        size: how many strings; half are well bracketed (the odd one too).
        seed: which strings, and their order.
        min_length: the least number of characters, `SHORTEST` at least.
        max_length: the greatest number of characters, `LONGEST` at most; lengths are even, each as likely.
        kinds: 2 for round and square brackets, 3 for curly ones too.
        max_depth: the most brackets that are open at once, 2 at least.

    Returns:
        Different strings in random order, and for each 1 (well bracketed) or 0.

    Raises:
        UserError: for an unknown split, a value out of range, or more strings than there are.
    """
    _check(split, size, min_length, max_length, kinds, max_depth)
    rng = random.Random(f"brackets {split} {seed}")
    lengths = range(min_length + min_length % 2, max_length + 1, 2)
    seen: set[str] = set()
    examples: list[tuple[str, int]] = []
    tries = 0
    while len(examples) < size:
        tries += 1
        if tries > MOST_TRIES:
            raise UserError(
                f"brackets: {size} strings of the split {split} are too many: with lengths {min_length} to "
                f"{max_length}, {kinds} kinds and depth {max_depth} only about {len(examples)} could be made",
                "Ask for fewer, or for longer strings.",
            )
        shape, partner = _skeleton(rng, rng.choice(lengths), max_depth)
        text = _fill(rng, partner, kinds)
        if zlib.crc32(_family(text, shape).encode()) % 100 not in _BUCKETS[split]:
            continue
        twin = _swap(rng, text)
        if twin and text not in seen and twin not in seen:
            seen |= {text, twin}
            examples += [(text, 1), (twin, 0)]
            tries = 0
    examples = examples[:size]
    rng.shuffle(examples)
    return [text for text, _ in examples], [label for _, label in examples]


def _check(split: str, size: int, min_length: int, max_length: int, kinds: int, max_depth: int) -> None:
    if split not in _BUCKETS:
        raise UserError(f"brackets: there is no split {split!r}", f"Choose one of {', '.join(_BUCKETS)}.")
    for name, value, low, high in (
        ("size", size, 1, 10_000_000),
        ("min_length", min_length, SHORTEST, LONGEST),
        ("max_length", max_length, min_length, LONGEST),
        ("kinds", kinds, 2, 3),
        ("max_depth", max_depth, 2, LONGEST // 2),
    ):
        if not low <= value <= high:
            raise UserError(f"brackets: {name} = {value} is out of range", f"Allowed are {low} to {high}.")
    if min_length == max_length and min_length % 2:
        raise UserError(f"brackets: no string has the odd length {min_length}", "Choose an even length or a range.")


def _skeleton(rng: random.Random, length: int, max_depth: int) -> tuple[str, list[int]]:
    """Where brackets open (1) and close (0), and the position of each one's partner.

    Every shape is as likely as any other where `max_depth` is out of reach.
    """
    shape: list[str] = []
    partner = [0] * length
    waiting: list[int] = []
    for position in range(length):
        rest, depth = length - position, len(waiting)
        # The share of the ways to go on from here that open a bracket (the ballot numbers).
        opens = (rest - depth) * (depth + 2) / (2 * rest * (depth + 1))
        if depth < max_depth and rng.random() < opens:
            shape.append("1")
            waiting.append(position)
        else:
            shape.append("0")
            start = waiting.pop()
            partner[start], partner[position] = position, start
    return "".join(shape), partner


def _fill(rng: random.Random, partner: Sequence[int], kinds: int) -> str:
    """Brackets of random kinds on a skeleton: well formed."""
    text = [""] * len(partner)
    for start, end in enumerate(partner):
        if start < end:
            kind = int(rng.random() * kinds)
            text[start], text[end] = OPENING[kind], CLOSING[kind]
    return "".join(text)


def _family(text: str, shape: str) -> str:
    """What a string has in common with everything that swaps can make of it: the split goes by this."""
    return f"{shape} {' '.join(str(text.count(bracket)) for bracket in OPENING)}"


def _swap(rng: random.Random, text: str) -> str | None:
    """The ill-formed twin, or None if nothing can be swapped on the side that was drawn.

    What opens where stays as it is, so that two brackets no longer match: the twin is never well formed.
    """
    # The side is chosen before it is looked at, so that being swappable says nothing about the other side's order.
    brackets = rng.choice((OPENING, CLOSING))
    side = [i for i in range(1, len(text) - 1) if text[i] in brackets]
    if len({text[i] for i in side}) < 2:
        return None
    first, second = rng.sample(side, 2)
    while text[first] == text[second]:
        first, second = rng.sample(side, 2)
    swapped = list(text)
    swapped[first], swapped[second] = text[second], text[first]
    return "".join(swapped)
