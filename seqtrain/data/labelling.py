"""Labelled sequences of characters or other symbols: what labelling data modules share."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from seqtrain.data.corpora.base import Split, digest_of
from seqtrain.data.loading import SequenceData
from seqtrain.data.store import Ragged
from seqtrain.data.vocabulary import load_vocabulary, save_vocabulary
from seqtrain.errors import UserError
from seqtrain.tasks.labelling import Labelling, LabellingBatch


class LabelledStrings(SequenceData):
    """Strings, or other sequences of symbols, with a class each; id 0 is padding.

    A subclass says which strings, in `strings`.

    Args:
        labels: names of the classes, in the order of their ids.
        symbols: all symbols that strings consist of, in the order of their ids; None: those of the training strings.
        batch_tokens: padded symbols a batch at most.
        num_workers: processes that make batches ahead.
        seed: where the order of training batches comes from.
    """

    task_name: ClassVar[str] = "labelling"

    def __init__(
        self,
        *,
        labels: Sequence[str],
        symbols: Sequence[str] | None = None,
        batch_tokens: int,
        num_workers: int,
        seed: int,
    ) -> None:
        super().__init__(batch_tokens=batch_tokens, seed=seed, num_workers=num_workers)
        self.labels = tuple(labels)
        self._symbols = None if symbols is None else tuple(symbols)
        self._tokens: dict[Split, Ragged] = {}
        self._classes: dict[Split, np.ndarray] = {}

    def strings(self, split: Split) -> tuple[Sequence[Sequence[str]], Sequence[int]]:
        """The strings of a split, or lists of their symbols, and their class ids."""
        raise NotImplementedError

    def open(self, split: Split) -> str:
        """Makes a split; returns a digest of its strings and their classes."""
        texts, classes = self.strings(split)
        if self._symbols is None:
            self._symbols = tuple(sorted({symbol for text in texts for symbol in text}))
        self._tokens[split] = self.encode(texts)
        self._classes[split] = np.asarray(classes, dtype=np.int64)
        return digest_of(json.dumps(part).encode() for part in ([*map(list, texts)], list(classes)))

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that have ids, in the order of these, which begin at 1."""
        if self._symbols is None:
            raise RuntimeError("the vocabulary is there after setup() or load()")
        return self._symbols

    @property
    def task(self) -> Labelling:
        """Vocabulary size, padding included, and classes."""
        return Labelling(vocabulary=len(self.symbols) + 1, labels=self.labels)

    @property
    def tokenizer_hash(self) -> str:
        """sha256 (hex) of the vocabulary."""
        return digest_of(symbol.encode() for symbol in self.symbols)

    def encode(self, texts: Sequence[Sequence[str]]) -> Ragged:
        """Ids of the symbols of strings.

        Raises:
            UserError: a symbol is not in the vocabulary.
        """
        ids = {symbol: i for i, symbol in enumerate(self.symbols, start=1)}
        try:
            return Ragged.of([[ids[symbol] for symbol in text] for text in texts])
        except KeyError as error:
            raise UserError(
                f"{error.args[0]!r} is not in the vocabulary: {' '.join(map(repr, self.symbols))}",
                "The vocabulary is that of the training data; use data of the same symbols.",
            ) from None

    def decode(self, ids: Sequence[int]) -> list[str]:
        """The symbols behind ids, padding left out."""
        return [self.symbols[i - 1] for i in ids if i]

    def save(self, directory: Path) -> None:
        """Writes the vocabulary into a folder."""
        save_vocabulary(directory, self.symbols)

    def load(self, directory: Path) -> None:
        """Takes the vocabulary that `save` wrote; to be called before `setup`.

        Raises:
            UserError: it is missing or broken.
        """
        self._symbols = tuple(load_vocabulary(directory))
        self._tokens, self._classes, self._digests = {}, {}, {}

    def lengths(self, split: str) -> np.ndarray:
        """(strings,) symbols a string."""
        return self._tokens[split].lengths

    def collate(self, split: str, index: np.ndarray) -> LabellingBatch:
        """The batch of some strings (B,) of a split."""
        tokens = self._tokens[split]
        return LabellingBatch(
            index=torch.from_numpy(index),
            tokens=torch.from_numpy(tokens.padded(index)),
            lengths=torch.from_numpy(tokens.lengths[index]),
            labels=torch.from_numpy(self._classes[split][index]),
        )
