"""What a corpus of sentence pairs offers to the data modules."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Protocol

Split = str
SPLITS = ("train", "val", "test")
Pair = tuple[str, str]
"""A source sentence and its target."""


class Corpus(Protocol):
    """Sentence pairs in one direction, in up to three splits."""

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that there are, out of `SPLITS`."""
        ...

    def digest(self, split: Split) -> str:
        """A sha256 that changes when the content of the split may have changed; quick, nothing is parsed."""
        ...

    def read(self, split: Split) -> Iterator[Pair]:
        """The pairs in file order, one by one, however many there are.

        A mistake, as many lines on the one side as on the other and none of them empty, is raised at the latest
        behind the last pair: nothing is to be kept of pairs that were not read to their end.
        """
        ...


def digest_of(parts: Iterable[bytes]) -> str:
    """sha256 (hex) of byte strings, unambiguous about where each ends."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "little"))
        whole.update(part)
    return whole.hexdigest()
