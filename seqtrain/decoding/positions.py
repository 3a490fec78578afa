"""Networks that can take only so many tokens: what is too long for one is refused or split, never silently cut."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from seqtrain.decoding.settings import Decoding
from seqtrain.errors import UserError

BREAKS = tuple(
    re.compile(pattern) for pattern in (r"[.!?…]+[\"'»”’)\]]*\s+|[。！？]\s*", r"[,;:–—]\s+|[，；：、]\s*", r"\s+", r"")
)
"""Where a text may be split, the best first: behind a sentence, behind a punctuation mark, at a space, anywhere."""
SPLITS = {"train": "training", "val": "validation", "test": "test"}
STAGES = {"train": "fit", "val": "validate", "test": "test"}


def positions(network: Any) -> int | None:
    """The tokens that a network can take on a side, end of sentence included; None if any number."""
    limit = getattr(network, "max_positions", None)
    return None if limit is None else int(limit)


def longest(decoding: Decoding, network: Any) -> int:
    """The most tokens that a hypothesis can have, its end included."""
    return min(decoding.max_length, positions(network) or decoding.max_length)


def cut(count: int, decoding: Decoding, network: Any) -> str:
    """What to say of so many hypotheses that were as long as they can be: most of them would have gone on."""
    return (
        f"{count} translations were ended at {longest(decoding, network)} tokens, the most that decoding.max_length and"
        " the model's positions allow; where text is missing, raise decoding.max_length"
    )


def refuse_longer(lengths: Sequence[int], limit: int | None, name: str, hint: str, *, first: int = 1) -> None:
    """Refuses lines that are longer than a network's positions.

    Args:
        lengths: tokens of every line, end of sentence included.
        limit: what `positions` gave.
        name: of the text, for the message.
        hint: what to do.
        first: the number of the first line.

    Raises:
        UserError: which line, how long it is, what is allowed.
    """
    for number, length in enumerate(lengths, first):
        if limit is not None and length > limit:
            message = (
                f"{name}, line {number} has {length} tokens, its end included; the model has positions for {limit}"
            )
            raise UserError(message, hint)


def pieces(text: str, fits: Callable[[str], bool]) -> list[str]:
    """A text in pieces that fit, one behind the other: each ends at the last sentence end that fits, else at the last
    punctuation mark, else at the last space, else behind the last character.

    Args:
        text: what is split; white space at its ends does not count.
        fits: whether a piece is short enough; what is shorter than one that fits, fits too.
    """
    found, rest = [], text.strip()
    while rest:
        end = _end(rest, fits)
        found.append(rest[:end].strip())
        rest = rest[end:].strip()
    return found


def _end(text: str, fits: Callable[[str], bool]) -> int:
    """Where the first piece of a text ends."""
    window = 64
    while fits(text[:window]):  # all of a long text would be tokenised again for every piece
        if window >= len(text):
            return len(text)
        window *= 2
    for pattern in BREAKS:
        places = [match.end() for match in pattern.finditer(text, 0, window + 1) if 0 < match.end() < len(text)]
        low, high = 0, len(places)  # as many of the places as fit
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(text[: places[middle - 1]].strip()) else (low, middle - 1)
        if low:
            return places[low - 1]
    return 1


def check_data(data: Any, network: Any, splits: Sequence[str]) -> None:
    """Refuses examples that are longer than a network's positions, before anything is computed.

    Args:
        data: a data module; what is for none of translation, answering and bits is passed over.
        network: any; one without `max_positions` takes everything.
        splits: train, val, test.

    Raises:
        UserError: how many examples are too long, the longest of them, and which settings help.
    """
    limit = positions(network)
    if limit is None or data.task.name not in ("translation", "answering", "bits"):
        return
    answers, bits = data.task.name == "answering", data.task.name == "bits"
    marks = network.MARKS if answers else 0
    for split in splits:
        data.setup(STAGES[split])
    if "train" in splits and getattr(data, "streaming", False) and data.max_length >= limit:
        raise UserError(
            f"training pairs are streamed, and those with up to data.max_length={data.max_length} tokens on a side may"
            f" come, their ends not included; the model has positions for {limit}",
            f"Set data.max_length={limit - 1}, or model.max_positions={data.max_length + 1}.",
        )
    found = list(_too_long(data, limit - marks, splits))
    if not found:
        return
    examples = "questions with their stories" if answers else "sequences" if bits else "pairs"
    counts = ", ".join(f"{count} of {size:,} {SPLITS[split]} {examples}" for split, count, size, _ in found)
    longest = max(length for *_, length in found)
    if answers:
        length = f"{longest} words, and there are {marks} marks"
        way = "with a smaller data.sentences fewer sentences, the last ones, are kept"
    elif bits:
        length = f"{longest} steps"
        way = "model.positions=sinusoidal has no limit"
    else:
        length = f"{longest} tokens on a side, its end included"
        way = f"data.max_length={limit - 1} leaves out what is longer, of the training pairs only"
    raise UserError(
        f"{counts} are longer than the {limit} positions of the model (the longest has {length})",
        f"A model that is trained with model.max_positions={longest + marks} takes them all; {way}.",
    )


def _too_long(data: Any, limit: int, splits: Sequence[str]) -> Iterator[tuple[str, int, int, int]]:
    for split in splits:
        if not data.has(split) or (split == "train" and getattr(data, "streaming", False)):
            continue
        tally = data.tally(split)
        count = int(tally.counts[tally.lengths > limit].sum())
        if count:
            yield split, count, len(tally), int(tally.lengths.max())
