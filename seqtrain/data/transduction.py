"""Sequences with a target at each step: what transduction data modules share."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from seqtrain.data.corpora.base import Split, digest_of
from seqtrain.data.loading import SequenceData
from seqtrain.data.store import Ragged
from seqtrain.data.vocabulary import VOCABULARY, read_vocabulary, write_vocabulary
from seqtrain.errors import UserError
from seqtrain.tasks.transduction import NOT_ASKED, Transduction, TransductionBatch


class Transduced(SequenceData):
    """Sequences of tokens with a class, or nothing, asked for at each step; token id 0 is padding.

    A subclass says which sequences, in `sequences`.

    Args:
        symbols: names of the tokens, in the order of their ids, which begin at 1.
        answers: names of the classes, in the order of their ids, which begin at 0.
        batch_tokens: padded tokens a batch at most.
        num_workers: processes that make batches ahead.
        seed: where the order of training batches comes from.
    """

    task_name: ClassVar[str] = "transduction"

    def __init__(
        self, *, symbols: Sequence[str], answers: Sequence[str], batch_tokens: int, num_workers: int, seed: int
    ) -> None:
        super().__init__(batch_tokens=batch_tokens, seed=seed, num_workers=num_workers)
        self.symbols, self.answers = tuple(symbols), tuple(answers)
        self._tokens: dict[Split, Ragged] = {}
        self._asked: dict[Split, Ragged] = {}

    def sequences(self, split: Split) -> tuple[Ragged, Ragged]:
        """Token ids of the sequences of a split, and class ids or `NOT_ASKED`, as many for each."""
        raise NotImplementedError

    def open(self, split: Split) -> str:
        """Makes a split; returns a digest of its sequences and their targets."""
        tokens, targets = self.sequences(split)
        self._tokens[split] = tokens
        # Rows are padded with 0, so that is what NOT_ASKED has to be until then.
        self._asked[split] = Ragged(targets.values - NOT_ASKED, targets.offsets)
        arrays = tokens.values.astype("<i4"), targets.values.astype("<i4"), tokens.offsets.astype("<i8")
        return digest_of(array.tobytes() for array in arrays)

    @property
    def task(self) -> Transduction:
        """Vocabulary size, padding included, and number of classes."""
        return Transduction(vocabulary=len(self.symbols) + 1, classes=len(self.answers))

    @property
    def tokenizer_hash(self) -> str:
        """sha256 (hex) of the names of tokens and classes."""
        return digest_of([json.dumps(self._vocabulary()).encode()])

    def save(self, directory: Path) -> None:
        """Writes the names of tokens and classes into a folder."""
        write_vocabulary(directory, self._vocabulary())

    def load(self, directory: Path) -> None:
        """Makes sure that `save` wrote the names that tokens and classes have here.

        Raises:
            UserError: the file is missing or broken, or has other names.
        """
        saved, own = read_vocabulary(directory), self._vocabulary()
        if saved != own:
            raise UserError(
                f"{directory / VOCABULARY} has other tokens or classes, {saved}, than the data, {own}",
                "A trained model only knows the symbols that it was trained with; use data of the same.",
            )

    def lengths(self, split: str) -> np.ndarray:
        """(sequences,) tokens a sequence."""
        return self._tokens[split].lengths

    def collate(self, split: str, index: np.ndarray) -> TransductionBatch:
        """The batch of some sequences (B,) of a split."""
        tokens = self._tokens[split]
        return TransductionBatch(
            index=torch.from_numpy(index),
            tokens=torch.from_numpy(tokens.padded(index)),
            lengths=torch.from_numpy(tokens.lengths[index]),
            targets=torch.from_numpy(self._asked[split].padded(index)) + NOT_ASKED,
        )

    def _vocabulary(self) -> dict[str, list[str]]:
        return {"symbols": [*self.symbols], "answers": [*self.answers]}
