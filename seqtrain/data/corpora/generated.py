"""Caption pairs that are generated, not read."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from seqtrain.data import captions
from seqtrain.data.corpora.base import SPLITS, Pair, Split, digest_of


class GeneratedCaptions:
    """Pairs of the caption generator.

    Args:
        source: language that is translated from.
        target: language that is translated to.
        sizes: split to number of pairs.
        seed: which captions; not the seed of the training run.
    """

    splits = SPLITS

    def __init__(self, *, source: str, target: str, sizes: dict[Split, int], seed: int) -> None:
        self.source, self.target, self.sizes, self.seed = source, target, sizes, seed

    def digest(self, split: Split) -> str:
        """sha256 of what makes the split, its settings and the generator's source, as generating takes seconds."""
        settings = json.dumps([split, self.source, self.target, self.sizes[split], self.seed]).encode()
        return digest_of([settings, *_generator_source()])

    def read(self, split: Split) -> Iterator[Pair]:
        """Source sentences with their targets in the order they were drawn."""
        for said in captions.drawn(split=split, size=self.sizes[split], seed=self.seed):
            yield said[self.source], said[self.target]


@cache
def _generator_source() -> list[bytes]:
    folder = Path(captions.__file__).parent
    return [path.read_bytes() for path in sorted(folder.glob("*.py"))]
