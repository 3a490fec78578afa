"""Retrieval from an associative memory as a data module: which value was stored under this key?"""

from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch

from seqtrain.config.types import NonNegative, Positive, Range
from seqtrain.data.corpora.base import Split, digest_of
from seqtrain.data.loading import SequenceData
from seqtrain.data.retrieval_generator import Memories, generate
from seqtrain.tasks.retrieval import Retrieval, RetrievalBatch

Noise = Annotated[float, Range(low=0.0, below=0.5)]


class Retrieved(SequenceData):
    """Memories of key-value pairs, each with a noisy key as its query; test memories can hold more pairs.

    Args:
        size: training memories.
        val_size: validation memories.
        test_size: test memories.
        width: signs a key.
        classes: classes that values are of.
        noise: chance of each sign of a query to be another than the key's.
        test_noise: the same in test; `None`: as in training.
        min_pairs: pairs of the smallest memory trained and validated on.
        max_pairs: pairs of the largest.
        test_min_pairs: pairs of the smallest test memory.
        test_max_pairs: pairs of the largest.
        corpus_seed: which memories; the same for runs that are to be compared.
        batch_tokens: padded pairs a batch at most.
        num_workers: processes that make batches ahead.
        seed: where the order of training batches comes from.
    """

    task_name: ClassVar[str] = "retrieval"

    def __init__(
        self,
        *,
        size: Positive = 10000,
        val_size: Positive = 1000,
        test_size: Positive = 1000,
        width: Positive = 32,
        classes: Positive = 10,
        noise: Noise = 0.1,
        test_noise: Noise | None = None,
        min_pairs: Positive = 2,
        max_pairs: Positive = 20,
        test_min_pairs: Positive = 2,
        test_max_pairs: Positive = 200,
        corpus_seed: NonNegative = 1,
        batch_tokens: Positive = 2000,
        num_workers: NonNegative = 0,
        seed: int,
    ) -> None:
        super().__init__(batch_tokens=batch_tokens, seed=seed, num_workers=num_workers)
        self.sizes_asked = {"train": size, "val": val_size, "test": test_size}
        self.ranges = {"train": (min_pairs, max_pairs), "val": (min_pairs, max_pairs)}
        self.ranges["test"] = (test_min_pairs, test_max_pairs)
        self.noises = {"train": noise, "val": noise, "test": noise if test_noise is None else test_noise}
        self.task = Retrieval(inputs=width, classes=classes)
        self.corpus_seed = corpus_seed
        self._splits: dict[Split, Memories] = {}

    def open(self, split: Split) -> str:
        """Makes a split; returns a digest of its memories."""
        low, high = self.ranges[split]
        made = generate(
            split=split,
            size=self.sizes_asked[split],
            seed=self.corpus_seed,
            width=self.task.inputs,
            classes=self.task.classes,
            noise=self.noises[split],
            min_pairs=low,
            max_pairs=high,
        )
        self._splits[split] = made
        wide = made.values.astype("<i8"), made.offsets.astype("<i8"), made.asked.astype("<i8")
        return digest_of(array.tobytes() for array in (made.keys, made.queries, *wide))

    def save(self, directory: Path) -> None:
        """Nothing has to be kept with a run: signs have no vocabulary."""

    def load(self, directory: Path) -> None:
        """Nothing was kept."""

    def lengths(self, split: str) -> np.ndarray:
        """(memories,) pairs a memory."""
        return np.diff(self._splits[split].offsets)

    def attributes(self, split: str) -> dict[str, np.ndarray]:
        """Pairs of a memory, and how many signs of its query are wrong."""
        made = self._splits[split]
        wrong = (made.queries != made.keys[made.offsets[:-1] + made.asked]).sum(1)
        return {"pairs": self.lengths(split), "turned": wrong}

    def collate(self, split: str, index: np.ndarray) -> RetrievalBatch:
        """The batch of some memories (B,) of a split; keys and queries are on the unit ball."""
        index = np.asarray(index)
        made, scale = self._splits[split], np.float32(self.task.inputs**-0.5)
        starts, pairs = made.offsets[index], np.diff(made.offsets)[index]
        inside = np.arange(int(pairs.max())) < pairs[:, None]
        places = (starts[:, None] + np.arange(inside.shape[1]))[inside]
        keys = np.zeros((*inside.shape, self.task.inputs), dtype=np.float32)
        keys[inside] = made.keys[places] * scale
        values = np.zeros(inside.shape, dtype=np.int64)
        values[inside] = made.values[places]
        return RetrievalBatch(
            index=torch.from_numpy(index),
            keys=torch.from_numpy(keys),
            values=torch.from_numpy(values),
            pairs=torch.from_numpy(pairs),
            query=torch.from_numpy(made.queries[index] * scale),
            targets=torch.from_numpy(made.targets[index]),
        )
