"""What data modules of every task share: loaders, shares of ranks, and the position in the stream."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from seqtrain.data.batching import BucketBatchSampler, EpochSampler
from seqtrain.data.buckets import Tally
from seqtrain.data.corpora.base import SPLITS, Split, digest_of
from seqtrain.errors import UserError
from seqtrain.tasks.base import Batch

Collate = Callable[[np.ndarray], Batch]

WHILE = 30
"""Seconds that a worker process lives on after SIGTERM, as SLURM gives a job to end."""


class _Collated(torch.utils.data.Dataset[Batch | UserError]):
    """Batches by the example numbers in them, or why there is none: raised in a worker, it would lose its kind."""

    def __init__(self, collate: Collate) -> None:
        self._collate = collate

    def __getitem__(self, index: Any) -> Batch | UserError:
        try:
            return self._collate(index)
        except UserError as error:
            return error


def _unchanged(batch: Any) -> Any:
    return batch


def _live_on(worker: int) -> None:
    """Has a worker process outlive, for a while, the signals that a scheduler sends to every process of a job.

    The training process needs it to finish its step and save, and ends it then. PyTorch's own way is that it ends at
    once, which the training takes for a failure.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(WHILE))


def workers_loader(dataset: Any, *, workers: int, seed: int, **options: Any) -> "DataLoader[Any]":
    """A `DataLoader` that hands on what a data set gives, leaves the global random stream alone, and whose worker
    processes outlive signals.

    Args:
        dataset: what is loaded.
        workers: processes that load ahead; 0 loads here.
        seed: where the workers' own come from.
        options: further ones of `DataLoader`.
    """
    return DataLoader(
        dataset,
        batch_size=None,
        collate_fn=_unchanged,
        num_workers=workers,
        worker_init_fn=_live_on,
        generator=torch.Generator().manual_seed(seed),
        **options,
    )


class BatchLoader:
    """Batches in a sampler's order; one iteration is an epoch, or what is left of one.

    It is no `DataLoader` but keeps one: nothing is read before the first batch is asked for, by which time Lightning
    has set the epoch, and torch's global random stream is left alone.

    Args:
        sampler: the order.
        collate: makes a batch of example numbers (B,).
        workers: processes that make batches ahead; 0 makes them here.
        consumed: how many batches of the present epoch have been trained on, which is fewer than have been made.
        goes_on: whether an iteration begins at the sampler's position; without it at the first batch, wherever the
            one before was left, as Lightning leaves its sanity check after two batches.
    """

    def __init__(
        self,
        *,
        sampler: EpochSampler,
        collate: Collate,
        workers: int = 0,
        consumed: Callable[[], int] | None = None,
        goes_on: bool = True,
    ) -> None:
        self.batch_sampler = sampler
        self._goes_on = goes_on
        self._collate = collate
        self._workers = workers
        self._consumed = consumed

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Batch]:
        sampler = self.batch_sampler
        if not self._goes_on:
            sampler.position = 0
        made = _Collated(self._collate)
        loader = workers_loader(made, workers=self._workers, seed=sampler.seed, sampler=sampler.remaining())
        for batch in loader:
            if isinstance(batch, UserError):
                raise batch
            sampler.position += 1
            yield batch
        sampler.position = 0

    def state_dict(self) -> dict[str, Any]:
        """Epoch, and how many of its batches have been trained on; Lightning puts it into checkpoints."""
        state = self.batch_sampler.state_dict()
        if self._consumed is not None:
            state["position"] = self._consumed()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on after the batches that `state_dict` counted."""
        self.batch_sampler.load_state_dict(state)


class SequenceData(pl.LightningDataModule):
    """A data module whose batches hold sequences of like length.

    A subclass has the attribute `task`, says in `open` or in `setup` where its splits come from, and in `lengths`,
    `longest` and `collate` what they consist of.

    Args:
        batch_tokens: padded tokens a batch at most, counted on the longer side.
        seed: where the order of training batches comes from.
        num_workers: processes that make batches ahead.
    """

    task_name: ClassVar[str]
    nominal: ClassVar[frozenset[str]] = frozenset()
    """Those of `attributes` whose numbers stand for kinds of examples: neighbours have nothing in common."""

    def __init__(self, *, batch_tokens: int, seed: int, num_workers: int) -> None:
        super().__init__()
        self.batch_tokens, self.seed, self.num_workers = batch_tokens, seed, num_workers
        self._digests: dict[Split, str] = {}

    def setup(self, stage: str | None = None) -> None:
        """Opens all splits, once."""
        for split in SPLITS:
            if split not in self._digests:
                self._digests[split] = self.open(split)

    def open(self, split: Split) -> str:
        """Reads or generates a split; returns a digest of its content."""
        raise NotImplementedError

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) of the content of the splits that are open, whatever files it came from."""
        return digest_of(f"{split} {digest}".encode() for split, digest in sorted(self._digests.items()))

    @property
    def description(self) -> dict[str, Any]:
        """What a record says of the splits that are open: their common fingerprint, sha256 of each, and their sizes."""
        return {"fingerprint": self.fingerprint, "splits": dict(self._digests), "sizes": self.sizes}

    @property
    def sizes(self) -> dict[str, int]:
        """Examples of every split that is open."""
        return {split: len(self.lengths(split)) for split in self._digests}

    def lengths(self, split: str) -> np.ndarray:
        """(examples,) tokens an example of a split, as `batch_tokens` counts them."""
        raise NotImplementedError

    def collate(self, split: str, index: np.ndarray) -> Batch:
        """The batch of some examples (B,) of a split."""
        raise NotImplementedError

    def attributes(self, split: str) -> dict[str, np.ndarray]:
        """Name to (examples,) numbers of a split that its results can be told apart by."""
        return {"length": self.lengths(split)}

    def baselines(self, split: str) -> dict[str, float]:
        """Metrics of a split that the trained model's are to be seen beside; they are logged with these."""
        return {}

    def longest(self, split: str) -> int | None:
        """Tokens, as `lengths` counts them, that an example of a split may have: longer ones are left out."""
        return None

    def tally(self, split: str) -> Tally:
        """How many examples of a split have which length, without those that are left out."""
        return Tally.of(self.lengths(split), self.longest(split))

    def kept_in(self, split: str) -> Path | None:
        """A folder in which that can be kept what was found out of a split; `None` where there is none."""
        return None

    def has(self, split: str) -> bool:
        """Whether there is such a split, and it is open."""
        return split in self._digests

    def sampler(self, split: str, *, shuffle: bool, rank: int, world_size: int) -> EpochSampler:
        """The order of a split's batches.

        Args:
            split: train, val or test.
            shuffle: whether it is another one in every epoch.
            rank: which share of the batches is this process's.
            world_size: number of shares.
        """
        return BucketBatchSampler(
            lengths=self.lengths(split),
            batch_tokens=self.batch_tokens,
            seed=self.seed,
            shuffle=shuffle,
            rank=rank,
            world_size=world_size,
            most=self.longest(split),
            kept=self.kept_in(split),
        )

    def train_dataloader(self) -> BatchLoader:
        """Shuffled batches; the position among them goes into checkpoints."""
        overfit = self.trainer is not None and bool(self.trainer.overfit_batches)  # type: ignore[attr-defined]
        return self._loader("train", shuffle=not overfit)

    def val_dataloader(self) -> BatchLoader | list[BatchLoader]:
        """Every validation example once."""
        return self._loader("val") if self.has("val") else []

    def test_dataloader(self) -> BatchLoader | list[BatchLoader]:
        """Every test example once."""
        return self._loader("test") if self.has("test") else []

    def _loader(self, split: str, *, shuffle: bool = False) -> BatchLoader:
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)
        if world_size > max(1, len(self.lengths(split))):
            raise UserError(
                f"{split} has {len(self.lengths(split))} examples, too few for {world_size} processes",
                "Each needs one: use fewer devices, or more data.",
            )
        sampler = self.sampler(split, shuffle=shuffle, rank=rank, world_size=world_size)
        sampler.content = self._digests.get(split, "")
        return BatchLoader(
            sampler=sampler,
            collate=_Collate(self, split),
            workers=self.num_workers,
            consumed=self._consumed if split == "train" and self.trainer is not None else None,
            goes_on=split == "train",
        )

    def _consumed(self) -> int:
        # `processed` counts the steps that were taken. Batches that were fetched, or begun when the run was
        # interrupted, are fetched again by the run that goes on.
        assert self.trainer is not None
        return self.trainer.fit_loop.epoch_loop.batch_progress.current.processed  # type: ignore[attr-defined]


class _Collate:
    """`SequenceData.collate` of one split; a class, as worker processes may have to pickle it."""

    def __init__(self, data: SequenceData, split: str) -> None:
        self._data, self._split = data, split

    def __call__(self, index: np.ndarray) -> Batch:
        return self._data.collate(self._split, index)
