"""What a corpus of sentence pairs offers to the data modules."""

import hashlib
from collections.abc import Iterable
from typing import Protocol

Split = str
SPLITS = ("train", "val", "test")


class Corpus(Protocol):
    """Sentence pairs in one direction, in up to three splits."""

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that there are, out of `SPLITS`."""
        ...

    def digest(self, split: Split) -> str:
        """A sha256 that changes when the content of the split may have changed; quick, nothing is parsed."""
        ...

    def read(self, split: Split) -> tuple[list[str], list[str]]:
        """Source sentences and their targets, in file order, checked: as many, and none empty."""
        ...


def digest_of(parts: Iterable[bytes]) -> str:
    """sha256 (hex) of byte strings, unambiguous about where each ends."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "little"))
        whole.update(part)
    return whole.hexdigest()


def text_digest(sources: Iterable[str], targets: Iterable[str]) -> str:
    """sha256 (hex) of sentence pairs, whatever files they came from."""
    return digest_of("\n".join(side).encode() for side in (sources, targets))
