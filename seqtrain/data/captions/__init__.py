"""Captions of imagined photographs in English, German and French, aligned by meaning, made by a grammar.

A meaning (who does what to whom, where and when) is drawn first; each language then says it by its own rules, so that
a translation word for word is wrong. Every meaning has one sentence in each language and every sentence one meaning,
and a checksum of the English sentence decides which split a meaning belongs to, whatever the seed.
"""

import random
import zlib
from collections.abc import Iterator
from itertools import islice

from seqtrain.data.captions import english, french, german
from seqtrain.data.captions.drawing import Drawer
from seqtrain.data.captions.lexicon import lexicon
from seqtrain.errors import UserError

LANGUAGES = ("en", "de", "fr")
LIMITS = {"train": 1_000_000, "val": 100_000, "test": 100_000}
"""The most captions that a split can be asked for."""
SHORTEST, LONGEST = 5, 22
"""Words of a caption in every language."""

_BUCKETS = {"train": range(0, 80), "val": range(80, 90), "test": range(90, 100)}


def generate(*, split: str, size: int, seed: int) -> dict[str, list[str]]:
    """Captions of one split, the same for the same arguments on every machine.

    Args:
        split: train, val or test; no meaning and no sentence of one split occurs in another, whatever the seeds.
        size: how many captions, at most `LIMITS[split]`; a smaller size gives the beginning of a larger one.
        seed: which captions.

    Returns:
        For each of `LANGUAGES` a list of `size` different sentences; the lists are aligned.

    Raises:
        UserError: for an unknown split or a size out of range.
    """
    captions = list(drawn(split=split, size=size, seed=seed))
    return {language: [said[language] for said in captions] for language in LANGUAGES}


def drawn(*, split: str, size: int, seed: int) -> Iterator[dict[str, str]]:
    """The captions of `generate` one by one, each as its sentence in each of `LANGUAGES`. Raises as it does."""
    _check_split(split)
    if not 1 <= size <= LIMITS[split]:
        raise UserError(
            f"captions: size {size} of the split {split} is out of range", f"Allowed are 1 to {LIMITS[split]}."
        )
    return islice(draw(split=split, seed=seed), size)


def draw(*, split: str, seed: int) -> Iterator[dict[str, str]]:
    """The captions of `generate` one by one, each as its sentence in each of `LANGUAGES`, without end."""
    _check_split(split)
    drawer = Drawer(lexicon(), random.Random(f"captions {split} {seed}"))
    buckets = _BUCKETS[split]
    seen: dict[str, set[str]] = {language: set() for language in LANGUAGES}
    while True:
        caption = drawer.draw()
        said = {"en": _finish(english.sentence(caption))}
        if zlib.crc32(said["en"].encode()) % 100 not in buckets or said["en"] in seen["en"]:
            continue
        said["de"], said["fr"] = _finish(german.sentence(caption)), _finish(french.sentence(caption))
        if any(said[language] in seen[language] or not _fits(said[language]) for language in LANGUAGES):
            continue
        for language, text in said.items():
            seen[language].add(text)
        yield said


def _check_split(split: str) -> None:
    if split not in LIMITS:
        raise UserError(f"captions: there is no split {split!r}", f"Choose one of {', '.join(LIMITS)}.")


def _finish(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _fits(text: str) -> bool:
    return SHORTEST <= text.count(" ") + 1 <= LONGEST
