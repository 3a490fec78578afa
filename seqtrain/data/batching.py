"""Batches in an order that can be gone on with: of sequences of like length, or of streams through a long text."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from torch.utils.data import Sampler

from seqtrain.data.streams import Streams
from seqtrain.errors import UserError

GROWTH = 1.1
"""How much longer than its shortest sequence the longest of a bucket may be, beside the two tokens it always may."""
STRETCH = 1.5
"""The same where the bucket would not fill a batch otherwise."""


class EpochSampler(Sampler[list[int]]):
    """Index batches, as many in every epoch, and the position among them.

    Args:
        seed: with the epoch, where the order comes from.
        rank: which share of the batches is this process's.
        world_size: number of shares.
    """

    settings: ClassVar[str]
    """What else than data, seed and devices decides how an epoch is cut."""

    def __init__(self, *, seed: int, rank: int, world_size: int) -> None:
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.epoch = 0
        self.position = 0

    @abstractmethod
    def __len__(self) -> int:
        """Batches of this rank in a whole epoch."""

    @abstractmethod
    def batches(self, epoch: int) -> list[np.ndarray]:
        """This rank's batches of an epoch, each an array of example numbers."""

    @property
    def cut(self) -> dict[str, int]:
        """What must not change within an epoch for a position in it to mean the same."""
        return {"batches": len(self), "seed": self.seed}

    @property
    def sampler(self) -> "EpochSampler":
        """Itself: Lightning looks for `set_epoch` at a batch sampler's sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Goes to the start of an epoch, unless it is the present one."""
        if epoch != self.epoch:
            self.epoch, self.position = epoch, 0

    def remaining(self) -> list[np.ndarray]:
        """The batches from the present position on."""
        return self.batches(self.epoch)[self.position :]

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.remaining():
            self.position += 1
            yield batch.tolist()
        self.position = 0

    def state_dict(self) -> dict[str, Any]:
        """Epoch and position, and what they are counted in."""
        return {"epoch": self.epoch, "position": self.position, **self.cut}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes to the position that `state_dict` described.

        Raises:
            UserError: it lies within an epoch that was cut into other batches than this one's.
        """
        within = 0 < state["position"] < state["batches"]
        now = self.cut
        if within and any(state.get(name) != value for name, value in now.items()):
            raise UserError(
                f"the checkpoint was written after batch {state['position']} of {state['batches']} of an epoch "
                f"({_listed(state, now)}), but an epoch now has {len(self)} batches ({_listed(now, now)})",
                f"Resume with the data, {self.settings}, seed and number of devices that it was trained with, "
                "or from a checkpoint that was written at the end of an epoch.",
            )
        self.epoch = state["epoch"]
        self.position = state["position"] if within else len(self) if state["position"] else 0


def _listed(values: Mapping[str, Any], names: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {values.get(name)}" for name in names if name != "batches")


class BucketBatchSampler(EpochSampler):
    """Index batches from buckets of like length, as many in every epoch.

    Every epoch the sequences of each bucket are shuffled and cut into batches as equal as can be, and the batches are
    shuffled, all drawn from `(seed, epoch)` alone. Ranks get equal numbers of disjoint batches, and every sequence is
    in exactly one; the largest batches are cut in two until their number is a multiple of the number of ranks. (Only
    without shuffling, some ranks get none where there are fewer sequences than ranks.)

    Args:
        lengths: (examples,) tokens an example, the longer side of a pair.
        batch_tokens: B times the longest sequence that a batch of the bucket can have, at most; a sequence that is
            longer than that is a batch by itself.
        seed: with the epoch, where the order comes from.
        shuffle: otherwise the order is the same every epoch, longest first, so that memory runs out at once or never.
        rank: which share of the batches is this process's.
        world_size: number of shares.
        indices: (examples used,) which examples to use; all when it is `None`.

    Raises:
        UserError: the training examples cannot be shared equally, even in batches of one.
    """

    settings = "data.batch_tokens"

    def __init__(
        self,
        *,
        lengths: np.ndarray,
        batch_tokens: int,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
        indices: np.ndarray | None = None,
    ) -> None:
        super().__init__(seed=seed, rank=rank, world_size=world_size)
        indices = np.arange(len(lengths)) if indices is None else np.asarray(indices)
        self.shuffle = shuffle
        self._buckets = _buckets(np.asarray(lengths), indices, batch_tokens)
        self._sizes = _batch_sizes(np.asarray(lengths), self._buckets, batch_tokens, world_size)
        if shuffle and sum(map(len, self._sizes)) % world_size:
            raise UserError(
                f"{len(indices)} training examples, in batches of one, cannot be shared equally by {world_size} "
                "processes",
                f"Raise {self.settings}, or use fewer devices.",
            )

    def __len__(self) -> int:
        """Batches of this rank in a whole epoch."""
        total = sum(map(len, self._sizes))
        return (total - self.rank + self.world_size - 1) // self.world_size

    def batches(self, epoch: int) -> list[np.ndarray]:
        """This rank's batches of an epoch, each an array of example numbers."""
        draw = np.random.default_rng([self.seed, epoch])
        cut: list[np.ndarray] = []
        for bucket, sizes in zip(self._buckets, self._sizes, strict=True):
            members = draw.permutation(bucket) if self.shuffle else bucket
            cut.extend(np.split(members, np.cumsum(sizes)[:-1]))
        order = draw.permutation(len(cut)) if self.shuffle else np.arange(len(cut))[::-1]
        return [cut[i] for i in order[self.rank :: self.world_size]]


class StreamSampler(EpochSampler):
    """Segment batches of `seqtrain.data.streams.Streams`, from the beginning of the text to its end, in every epoch.

    Batch k holds segment k of each of this rank's streams, always in the same rows; rank r of R has the streams r,
    r + R, r + 2R, ….

    Args:
        streams: how the text is cut.
        equal: whether ranks must have as many streams each.
        seed: only compared, in `load_state_dict`: nothing is drawn.
        rank: which share of the streams is this process's.
        world_size: number of shares.

    Raises:
        UserError: the streams cannot be shared.
    """

    settings = "data.batch_size, data.bptt"

    def __init__(
        self, *, streams: Streams, equal: bool = True, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        super().__init__(seed=seed, rank=rank, world_size=world_size)
        self.streams = streams
        if equal and streams.number % world_size:
            raise UserError(
                f"data.batch_size={streams.number} streams cannot be shared equally by {world_size} processes",
                f"Use a multiple of {world_size}.",
            )
        if streams.number < world_size:
            raise UserError(
                f"a text of {streams.characters:,} characters is read in {streams.number} streams, "
                f"too few for {world_size} processes",
                "Use a longer text, or fewer devices.",
            )

    def __len__(self) -> int:
        """Batches of this rank in a whole epoch."""
        return self.streams.steps

    @property
    def cut(self) -> dict[str, int]:
        """The rows of each rank too: they hold the streams whose states are carried."""
        return {**super().cut, "streams": self.streams.number, "processes": self.world_size}

    def batches(self, epoch: int) -> list[np.ndarray]:
        """This rank's batches of an epoch, each an array of segment numbers."""
        own = np.arange(self.rank, self.streams.number, self.world_size)
        return [step * self.streams.number + own for step in range(self.streams.steps)]


def _buckets(lengths: np.ndarray, indices: np.ndarray, batch_tokens: int) -> list[np.ndarray]:
    """Example numbers by length, shortest bucket first; those that would not fill a batch are widened."""
    order = indices[np.argsort(lengths[indices], kind="stable")]
    ordered = lengths[order]
    buckets: list[np.ndarray] = []
    begin = 0
    while begin < len(order):
        longest = max(ordered[begin] + 2, int(ordered[begin] * GROWTH))
        end = int(np.searchsorted(ordered, longest, side="right"))
        while end < len(order) and (end - begin) * ordered[end - 1] < batch_tokens:
            wider = int(np.searchsorted(ordered, ordered[end], side="right"))
            if (wider - begin) * ordered[end] > batch_tokens and ordered[end] > STRETCH * ordered[begin]:
                break
            end = wider
        buckets.append(order[begin:end])
        begin = end
    return buckets


def _batch_sizes(
    lengths: np.ndarray, buckets: Sequence[np.ndarray], batch_tokens: int, world_size: int
) -> list[list[int]]:
    """Sizes of the batches that each bucket is cut into."""
    sizes: list[list[int]] = []
    for bucket in buckets:
        most = max(1, batch_tokens // max(1, int(lengths[bucket].max())))
        number = -(-len(bucket) // most)
        small, larger = divmod(len(bucket), number)
        sizes.append([small + 1] * larger + [small] * (number - larger))
    _split_largest(sizes, lengths, buckets, world_size)
    return sizes


def _split_largest(sizes: list[list[int]], lengths: np.ndarray, buckets: Sequence[np.ndarray], world_size: int) -> None:
    """Cuts the batches with the most tokens in two until their number is a multiple of the number of ranks."""
    while sum(map(len, sizes)) % world_size:
        costs = [
            (size * int(lengths[bucket].max()), b, i)
            for b, (bucket, own) in enumerate(zip(buckets, sizes, strict=True))
            for i, size in enumerate(own)
            if size > 1
        ]
        if not costs:
            return
        _, b, i = max(costs)
        half = sizes[b][i] // 2
        sizes[b][i : i + 1] = [sizes[b][i] - half, half]
