"""The adding problem as a data module: the sum of the two marked numbers of a sequence."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from seqtrain.config.types import NonNegative, Positive
from seqtrain.data.adding_generator import BASELINE, Additions, generate
from seqtrain.data.corpora.base import Split, digest_of
from seqtrain.data.loading import SequenceData
from seqtrain.tasks.regression import Regression, RegressionBatch


class Adding(SequenceData):
    """Sequences of (number, marker) with the sum of the marked numbers; test sequences can be longer.

    Args:
        size: training sequences.
        val_size: validation sequences.
        test_size: test sequences.
        min_length: steps of the shortest sequence trained and validated on.
        max_length: steps of the longest.
        test_min_length: steps of the shortest test sequence.
        test_max_length: steps of the longest test sequence.
        corpus_seed: which sequences; the same for runs that are to be compared.
        batch_tokens: padded steps a batch at most.
        num_workers: processes that make batches ahead.
        seed: where the order of training batches comes from.
    """

    task_name: ClassVar[str] = "regression"
    task = Regression(inputs=2)
    baseline: ClassVar[float] = BASELINE
    """Mean squared error of a model that always answers with the mean."""

    def __init__(
        self,
        *,
        size: Positive = 20000,
        val_size: Positive = 1000,
        test_size: Positive = 1000,
        min_length: Positive = 100,
        max_length: Positive = 110,
        test_min_length: Positive = 100,
        test_max_length: Positive = 220,
        corpus_seed: NonNegative = 1,
        batch_tokens: Positive = 5500,
        num_workers: NonNegative = 0,
        seed: int,
    ) -> None:
        super().__init__(batch_tokens=batch_tokens, seed=seed, num_workers=num_workers)
        self.sizes_asked = {"train": size, "val": val_size, "test": test_size}
        self.ranges = {"train": (min_length, max_length), "val": (min_length, max_length)}
        self.ranges["test"] = (test_min_length, test_max_length)
        self.corpus_seed = corpus_seed
        self._splits: dict[Split, Additions] = {}

    def open(self, split: Split) -> str:
        """Makes a split; returns a digest of its sequences."""
        low, high = self.ranges[split]
        made = generate(
            split=split, size=self.sizes_asked[split], seed=self.corpus_seed, min_length=low, max_length=high
        )
        self._splits[split] = made
        arrays = made.values.astype("<f4"), made.offsets.astype("<i8"), made.marked.astype("<i8")
        return digest_of(array.tobytes() for array in arrays)

    def save(self, directory: Path) -> None:
        """Nothing has to be kept with a run: numbers have no vocabulary."""

    def load(self, directory: Path) -> None:
        """Nothing was kept."""

    def lengths(self, split: str) -> np.ndarray:
        """(sequences,) steps a sequence."""
        return np.diff(self._splits[split].offsets)

    def collate(self, split: str, index: np.ndarray) -> RegressionBatch:
        """The batch of some sequences (B,) of a split; its inputs (B, T, 2) are numbers and markers."""
        index = np.asarray(index)
        made = self._splits[split]
        starts, lengths = made.offsets[index], np.diff(made.offsets)[index]
        inside = np.arange(int(lengths.max())) < lengths[:, None]
        inputs = np.zeros((*inside.shape, 2), dtype=np.float32)
        inputs[inside, 0] = made.values[(starts[:, None] + np.arange(inside.shape[1]))[inside]]
        inputs[np.arange(len(index))[:, None], made.marked[index], 1] = 1.0
        return RegressionBatch(
            index=torch.from_numpy(index),
            inputs=torch.from_numpy(inputs),
            lengths=torch.from_numpy(lengths),
            targets=torch.from_numpy(made.sums[index]),
        )
