"""Labelled strings of characters: what labelling data modules share."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from seqtrain.data.corpora.base import SPLITS, Split, digest_of
from seqtrain.data.loading import SequenceData
from seqtrain.data.store import Ragged, disk_errors, write_text
from seqtrain.errors import UserError
from seqtrain.tasks.labelling import Labelling, LabellingBatch

VOCABULARY = "vocabulary.json"


class LabelledStrings(SequenceData):
    """Strings with a class each; a token is a character, and id 0 is padding.

    A subclass says which strings, in `strings`.

    Args:
        labels: names of the classes, in the order of their ids.
        batch_tokens: padded characters a batch at most.
        num_workers: processes that make batches ahead.
        seed: where the order of training batches comes from.
    """

    task_name: ClassVar[str] = "labelling"

    def __init__(self, *, labels: Sequence[str], batch_tokens: int, num_workers: int, seed: int) -> None:
        super().__init__(batch_tokens=batch_tokens, seed=seed, num_workers=num_workers)
        self.labels = tuple(labels)
        self._characters: str | None = None
        self._tokens: dict[Split, Ragged] = {}
        self._classes: dict[Split, np.ndarray] = {}
        self._digests: dict[Split, str] = {}

    def strings(self, split: Split) -> tuple[list[str], list[int]]:
        """The strings of a split and their class ids."""
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        """Makes all splits, once."""
        for split in SPLITS:
            if split in self._tokens:
                continue
            texts, classes = self.strings(split)
            if self._characters is None:
                self._characters = "".join(sorted(set("".join(texts))))
            self._tokens[split] = self.encode(texts)
            self._classes[split] = np.asarray(classes, dtype=np.int64)
            self._digests[split] = digest_of(["\n".join(texts).encode(), bytes(json.dumps(list(classes)), "ascii")])

    @property
    def characters(self) -> str:
        """The characters that have ids, in the order of these, which begin at 1."""
        if self._characters is None:
            raise RuntimeError("the vocabulary is there after setup() or load()")
        return self._characters

    @property
    def task(self) -> Labelling:
        """Vocabulary size, padding included, and classes."""
        return Labelling(vocabulary=len(self.characters) + 1, labels=self.labels)

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) of the strings and their classes."""
        return digest_of(f"{split} {digest}".encode() for split, digest in sorted(self._digests.items()))

    @property
    def tokenizer_hash(self) -> str:
        """sha256 (hex) of the vocabulary."""
        return digest_of([self.characters.encode()])

    @property
    def sizes(self) -> dict[str, int]:
        """Strings a split."""
        return {split: len(tokens) for split, tokens in self._tokens.items()}

    def encode(self, texts: Sequence[str]) -> Ragged:
        """Token ids of strings.

        Raises:
            UserError: a character is not in the vocabulary.
        """
        ids = {character: i for i, character in enumerate(self.characters, start=1)}
        try:
            return Ragged.of([[ids[character] for character in text] for text in texts])
        except KeyError as error:
            raise UserError(
                f"the character {error.args[0]!r} is not in the vocabulary {self.characters!r}",
                "The vocabulary is that of the training data; use strings of the same characters.",
            ) from None

    def decode(self, ids: Sequence[int]) -> str:
        """The string behind token ids, padding left out."""
        return "".join(self.characters[i - 1] for i in ids if i)

    def save(self, directory: Path) -> None:
        """Writes the vocabulary into a folder."""
        with disk_errors(directory):
            directory.mkdir(parents=True, exist_ok=True)
            write_text(directory / VOCABULARY, json.dumps(self.characters) + "\n")

    def load(self, directory: Path) -> None:
        """Takes the vocabulary that `save` wrote; to be called before `setup`.

        Raises:
            UserError: it is missing or broken.
        """
        path = directory / VOCABULARY
        try:
            characters = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"there is no vocabulary at {path}", "Is this the directory of a labelling run?") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {error}", "It is broken or was cut off.") from error
        if not isinstance(characters, str) or not characters or len(set(characters)) != len(characters):
            raise UserError(f"{path} is no string of different characters", "Use one that a run has saved.")
        self._characters = characters
        self._tokens, self._classes, self._digests = {}, {}, {}

    def lengths(self, split: str) -> np.ndarray:
        """(strings,) characters a string."""
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
