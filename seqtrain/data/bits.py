"""Sequences of vectors and bits that are made as they are needed: what the data modules of those tasks share."""

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from seqtrain.config.types import NonNegative, Positive
from seqtrain.data.algorithms import Example
from seqtrain.data.batching import EpochSampler
from seqtrain.data.corpora.base import Split, digest_of
from seqtrain.data.generating import Draws
from seqtrain.data.loading import SequenceData
from seqtrain.errors import UserError
from seqtrain.tasks.bits import Bits, BitsBatch

DIGESTED = 100
"""Sequences of a split that its digest is made from."""


class BitSequences(SequenceData):
    """Sequences that are drawn from a stream when they are asked for: training never comes to the same place twice.

    Training sequence i of epoch e is number e · size + i of its stream; validation and test are the first ones of
    theirs. A subclass makes them, in `example`, and says in `task` how wide they are.

    Args:
        size: training sequences that make an epoch.
        val_size: validation sequences.
        test_size: test sequences.
        batch_size: sequences a batch.
        corpus_seed: which sequences; the same for runs that are to be compared.
        num_workers: processes that make batches ahead.
        seed: of the run; nothing is drawn from it here.
    """

    task_name: ClassVar[str] = "bits"
    task: Bits

    def __init__(
        self,
        *,
        size: Positive = 2000,
        val_size: Positive = 500,
        test_size: Positive = 500,
        batch_size: Positive = 16,
        corpus_seed: NonNegative = 1,
        num_workers: NonNegative = 0,
        seed: int,
    ) -> None:
        super().__init__(batch_tokens=batch_size, seed=seed, num_workers=num_workers)
        self.batch_size, self.corpus_seed = batch_size, corpus_seed
        self.sizes_asked: dict[str, int] = {"train": size, "val": val_size, "test": test_size}
        self._baselines: dict[str, dict[str, float]] = {}

    @abstractmethod
    def example(self, split: Split, number: int, draws: Draws) -> Example:
        """Sequence `number` of a split, from random numbers of its own."""

    @abstractmethod
    def numbers(self, split: Split) -> dict[str, np.ndarray]:
        """Name to (sequences,) numbers by which the validation or test sequences differ."""

    def draws(self, split: Split, number: int) -> Draws:
        """The random numbers of one sequence."""
        return Draws(type(self).__name__, split, self.corpus_seed, number)

    def open(self, split: Split) -> str:
        """Looks at the first sequences of a split; returns a digest of them, and of how many there are."""
        size = self.sizes_asked[split]
        first = (self._made(split, number) for number in range(min(DIGESTED, size)))
        arrays = (array.tobytes() for one in first for array in (one.inputs, one.targets, one.asked))
        return digest_of([str(size).encode(), *arrays])

    def save(self, directory: Path) -> None:
        """Nothing has to be kept with a run: bits have no vocabulary."""

    def load(self, directory: Path) -> None:
        """Nothing was kept."""

    @property
    def sizes(self) -> dict[str, int]:
        """Sequences of every split that is open; of training, those of an epoch."""
        return {split: self.sizes_asked[split] for split in self._digests}

    def attributes(self, split: str) -> dict[str, np.ndarray]:
        """What a subclass tells its sequences apart by."""
        return {} if split == "train" else self.numbers(split)

    def lengths(self, split: str) -> np.ndarray:
        """(sequences,) steps."""
        return np.array([len(one.inputs) for one in self._all(split)])

    def baselines(self, split: Split) -> dict[str, float]:
        """What the trained network's bits are to be seen beside; see `measured`."""
        if split not in self._baselines:  # asked for after every epoch
            self._baselines[split] = self.measured(self._all(split))
        return self._baselines[split]

    def measured(self, examples: list[Example]) -> dict[str, float]:
        """`chance_bits`: what a sequence costs where every bit is taken for even."""
        return {"chance_bits": float(np.mean([one.asked.sum() * self.task.outputs for one in examples]))}

    def sampler(self, split: str, *, shuffle: bool, rank: int, world_size: int) -> "StreamOfExamples":
        """The order of a split's batches; see `SequenceData.sampler`."""
        return StreamOfExamples(
            size=self.sizes_asked[split],
            batch_size=self.batch_size,
            fresh=shuffle,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
        )

    def collate(self, split: str, index: np.ndarray) -> BitsBatch:
        """The batch of some sequences (B,) of a split's stream."""
        examples = [self._made(split, int(number)) for number in index]
        lengths = np.array([len(one.inputs) for one in examples])
        B, T = len(examples), int(lengths.max())
        inputs = np.zeros((B, T, self.task.inputs), dtype=np.float32)
        targets = np.zeros((B, T, self.task.outputs), dtype=np.float32)
        asked = np.zeros((B, T), dtype=bool)
        for b, one in enumerate(examples):
            inputs[b, : lengths[b]], targets[b, : lengths[b]], asked[b, : lengths[b]] = (
                one.inputs,
                one.targets,
                one.asked,
            )
        return BitsBatch(
            index=torch.from_numpy(np.asarray(index)),
            inputs=torch.from_numpy(inputs),
            lengths=torch.from_numpy(lengths),
            targets=torch.from_numpy(targets),
            asked=torch.from_numpy(asked),
        )

    def _all(self, split: Any) -> list[Example]:
        return [self._made(split, number) for number in range(self.sizes_asked[split])]

    def _made(self, split: Split, number: int) -> Example:
        return self.example(split, number, self.draws(split, number))


class StreamOfExamples(EpochSampler):
    """Batches of the next numbers of a stream in every epoch, or of the first ones in all of them.

    Args:
        size: numbers an epoch.
        batch_size: numbers a batch, at most.
        fresh: whether an epoch goes on where the one before ended.
        seed: only compared, in `load_state_dict`: nothing is drawn.
        rank: which share of the batches is this process's.
        world_size: number of shares.

    Raises:
        UserError: there are fewer sequences to train on than ranks.
    """

    settings = "data.size, data.batch_size"

    def __init__(self, *, size: int, batch_size: int, fresh: bool, seed: int, rank: int, world_size: int) -> None:
        super().__init__(seed=seed, rank=rank, world_size=world_size)
        self.size, self.batch_size, self.fresh = size, batch_size, fresh
        if fresh and size < world_size:
            raise UserError(
                f"data.size={size} sequences cannot be shared by {world_size} processes",
                "Raise data.size, or use fewer devices.",
            )

    def __len__(self) -> int:
        """Batches of this rank in a whole epoch."""
        return -(-(self._count() - self.rank) // self.world_size)

    @property
    def cut(self) -> dict[str, Any]:
        """The number of sequences too: it decides where in the stream an epoch begins."""
        return {**super().cut, "size": self.size, "batch_size": self.batch_size}

    def batches(self, epoch: int, begin: int = 0) -> Iterator[np.ndarray]:
        """This rank's batches of an epoch from a position on; every rank has as many, if there are enough sequences."""
        numbers = np.arange(self.size) + (epoch * self.size if self.fresh else 0)
        return iter(np.array_split(numbers, self._count())[self.rank :: self.world_size][begin:])

    def _count(self) -> int:
        """Batches of all ranks."""
        count = -(-self.size // self.batch_size)
        return min(self.size, -(-count // self.world_size) * self.world_size)
