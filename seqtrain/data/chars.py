"""Characters of a long text, each predicted from all before it: language modelling with a state that is carried on."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch

from seqtrain.config.types import NonNegative, Positive, Range, Share
from seqtrain.data.batching import EpochSampler, StreamSampler
from seqtrain.data.corpora.base import Split, digest_of
from seqtrain.data.corpora.texts import Texts, check_streams
from seqtrain.data.loading import SequenceData
from seqtrain.data.streams import Streams
from seqtrain.data.vocabulary import load_vocabulary, save_vocabulary
from seqtrain.tasks.transduction import NOT_ASKED, Transduction, TransductionBatch

log = logging.getLogger(__name__)

STAGES = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}
NOTHING, UNKNOWN, FIRST = 0, 1, 2
"""Ids: before the text begins (and padding), a character that is not in the training text, the first that is."""
REPLACEMENT = "\ufffd"
EVALUATION_STREAMS, EVALUATION_CHARACTERS = 64, 2000
"""The most streams that a text is evaluated in, and the fewest characters of each if there are several."""


class Chars(SequenceData):
    """A text, or an embedded corpus of generated captions, in streams; a token is a character.

    Args:
        path: the text to train on, UTF-8 (`.gz` too); captions are generated without it.
        val_path: the text to validate on; without it a share of the other.
        test_path: the text that results are reported on; likewise.
        size: characters that are generated, of all splits together.
        val_share: share of the text that is validated on.
        test_share: share of the text that is tested on.
        corpus_seed: which captions are generated; the same for runs that are to be compared.
        batch_size: streams that the training text is read in, of all processes together.
        bptt: characters that gradients flow back over at most.
        num_workers: processes that make batches ahead.
        seed: of the run; the order of the batches is always that of the text.
    """

    task_name: ClassVar[str] = "transduction"

    def __init__(
        self,
        *,
        path: str | None = None,
        val_path: str | None = None,
        test_path: str | None = None,
        size: Positive = 500_000,
        val_share: Share = 0.05,
        test_share: Share = 0.05,
        corpus_seed: NonNegative = 1,
        batch_size: Positive = 32,
        bptt: Annotated[int, Range(low=2)] = 100,
        num_workers: NonNegative = 0,
        seed: int,
    ) -> None:
        super().__init__(batch_tokens=batch_size * bptt, seed=seed, num_workers=num_workers)
        self.files = {"train": path, "val": val_path, "test": test_path}
        self.shares = {"val": val_share, "test": test_share}
        self.size, self.corpus_seed = size, corpus_seed
        self.batch_size, self.bptt = batch_size, bptt
        self.unknown: dict[Split, int] = {}
        self._texts: Texts | None = None
        self._characters: str | None = None
        self._ids: dict[Split, np.ndarray] = {}
        self._streams: dict[Split, Streams] = {}

    def setup(self, stage: str | None = None) -> None:
        """Reads or generates the texts of a stage (`fit`, `validate`, `test`), or all."""
        texts = self._texts or Texts(files=self.files, size=self.size, shares=self.shares, seed=self.corpus_seed)
        self._texts = texts
        if self._characters is None:
            self._characters = "".join(sorted(set(texts.read("train"))))
        for split in STAGES.get(stage or "", texts.splits):
            if split in texts.splits and split not in self._digests:
                self._digests[split] = self._read(texts, split)

    def _read(self, texts: Texts, split: Split) -> str:
        text = texts.read(split)
        streams = self.batch_size
        if split == "train":
            check_streams(texts, len(text), self.batch_size, self.bptt)
        else:
            # Neither devices nor data.batch_size decide how often a state begins anew, which costs bits.
            streams = min(EVALUATION_STREAMS, max(1, len(text) // EVALUATION_CHARACTERS))
        ids = self.encode(text)
        self._streams[split] = Streams(characters=len(text), streams=streams, bptt=self.bptt)
        self._ids[split] = np.concatenate([np.array([NOTHING], dtype=ids.dtype), ids])
        self.unknown[split] = int((ids == UNKNOWN).sum())
        if self.unknown[split]:
            log.warning(
                "%s: %d of %d characters are not in the training text and count as one unknown character: %s",
                texts.name(split),
                self.unknown[split],
                len(text),
                " ".join(map(repr, sorted(set(text) - set(self.characters))[:10])),
            )
        return digest_of([text.encode()])

    @property
    def characters(self) -> str:
        """The characters of the training text, in the order of their ids, which begin at 2."""
        if self._characters is None:
            raise RuntimeError("the vocabulary is there after setup() or load()")
        return self._characters

    @property
    def task(self) -> Transduction:
        """As many classes as tokens: those of the training text, the unknown character and padding."""
        number = FIRST + len(self.characters)
        return Transduction(vocabulary=number, classes=number)

    @property
    def tokenizer_hash(self) -> str:
        """sha256 (hex) of the vocabulary."""
        return digest_of([self.characters.encode()])

    @property
    def sizes(self) -> dict[str, int]:
        """Characters a split."""
        return {split: streams.characters for split, streams in self._streams.items()}

    def encode(self, text: str) -> np.ndarray:
        """(characters,) int32 ids of a text, `UNKNOWN` for what the vocabulary does not have."""
        known, codes = (np.frombuffer(t.encode("utf-32-le"), dtype="<u4") for t in (self.characters, text))
        order = np.argsort(known)
        place = order[np.searchsorted(known, codes, sorter=order).clip(max=len(known) - 1)]
        return np.where(known[place] == codes, place + FIRST, UNKNOWN).astype(np.int32)

    def decode(self, ids: Sequence[int]) -> str:
        """The text behind token ids, padding left out; a replacement character stands for an unknown one."""
        return "".join(REPLACEMENT if i == UNKNOWN else self.characters[i - FIRST] for i in ids if i != NOTHING)

    def save(self, directory: Path) -> None:
        """Writes the vocabulary into a folder."""
        save_vocabulary(directory, self.characters)

    def load(self, directory: Path) -> None:
        """Takes the vocabulary that `save` wrote; to be called before `setup`.

        Raises:
            UserError: it is missing or broken.
        """
        self._characters = "".join(load_vocabulary(directory))
        self._ids, self._streams, self._digests, self.unknown = {}, {}, {}, {}

    def lengths(self, split: str) -> np.ndarray:
        """(segments,) characters a segment."""
        return self._streams[split].lengths()

    def attributes(self, split: str) -> dict[str, np.ndarray]:
        """None: segments are cut alike, and results are those of the text."""
        return {}

    def sampler(self, split: str, *, shuffle: bool, rank: int, world_size: int) -> EpochSampler:
        """Segments in the order of the text; whatever `shuffle` says, as each goes on where the one before ended."""
        return StreamSampler(
            streams=self._streams[split], equal=split == "train", seed=self.seed, rank=rank, world_size=world_size
        )

    def collate(self, split: str, index: np.ndarray) -> TransductionBatch:
        """The batch of some segments (B,): at every step the character before it goes in, and it is asked for."""
        streams, ids = self._streams[split], self._ids[split]
        begins, ends = streams.bounds(index)
        places = begins[:, None] + np.arange((ends - begins).max())
        inside = places < ends[:, None]
        step = index // streams.number
        return TransductionBatch(
            index=torch.from_numpy(index),
            tokens=torch.from_numpy(np.where(inside, ids[np.where(inside, places, 0)], 0).astype(np.int64)),
            lengths=torch.from_numpy(ends - begins),
            targets=torch.from_numpy(
                np.where(inside, ids[np.where(inside, places + 1, 0)], NOT_ASKED).astype(np.int64)
            ),
            carried=bool((step > 0).all()),
            goes_on=bool((step + 1 < streams.steps).all()),
        )
