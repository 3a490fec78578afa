"""Batches in an order that can be gone on with: of sequences of like length, or of streams through a long text."""

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch.utils.data import Sampler

from seqtrain.data.buckets import GROWTH, STRETCH, Tally, buckets, split_largest
from seqtrain.data.mapped import give_back
from seqtrain.data.shuffling import shuffled
from seqtrain.data.store import key_of, write_text
from seqtrain.data.streams import Streams
from seqtrain.errors import UserError

BLOCK = 1 << 18
"""Examples that are put into buckets together: more than all of most corpora, and the most that is held at a time."""


class EpochSampler(Sampler[list[int]]):
    """Index batches, as many in every epoch, and the position among them.

    Args:
        seed: with the epoch, where the order comes from.
        rank: which share of the batches is this process's.
        world_size: number of shares.

    Attributes:
        content: what the data are known by, if it is known; only compared, in `load_state_dict`.
    """

    settings: ClassVar[str]
    """What else than data, seed and devices decides how an epoch is cut."""

    def __init__(self, *, seed: int, rank: int, world_size: int) -> None:
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.content = ""
        self.epoch = 0
        self.position = 0

    @abstractmethod
    def __len__(self) -> int:
        """Batches of this rank in a whole epoch."""

    @abstractmethod
    def batches(self, epoch: int, begin: int = 0) -> Iterator[np.ndarray]:
        """This rank's batches of an epoch from a position on, each an array of example numbers."""

    @property
    def cut(self) -> dict[str, Any]:
        """What must not change within an epoch for a position in it to mean the same."""
        own = {"batches": len(self), "seed": self.seed, "processes": self.world_size}
        return {**own, "data": self.content[:12]}

    @property
    def sampler(self) -> "EpochSampler":
        """Itself: Lightning looks for `set_epoch` at a batch sampler's sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Goes to the start of an epoch, unless it is the present one."""
        if epoch != self.epoch:
            self.epoch, self.position = epoch, 0

    def remaining(self) -> Iterator[np.ndarray]:
        """The batches from the present position on."""
        return self.batches(self.epoch, self.position)

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
            UserError: it lies within an epoch that was cut into other batches than this one's, or within a stream.
        """
        if "position" not in state:
            message = "the checkpoint was written in the middle of a stream, data.streaming=true, and now there is none"
            raise UserError(message, "Resume with the stream, or from a checkpoint that was written at its end.")
        within = 0 < state["position"] < state["batches"]
        now = {name: value for name, value in self.cut.items() if name in state}  # older checkpoints have fewer
        if within and any(state[name] != value for name, value in now.items()):
            raise UserError(
                f"the checkpoint was written after batch {state['position']} of {state['batches']} of an epoch "
                f"({_listed(state, now)}), but an epoch now has {len(self)} batches ({_listed(now, now)})",
                f"Resume with the data, {self.settings}, seed and number of devices that it was trained with, "
                "or from a checkpoint that was written at the end of an epoch.",
            )
        self.epoch = state["epoch"]
        self.position = state["position"] if within else len(self) if state["position"] else 0


def _listed(values: Mapping[str, Any], names: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {values.get(name)}" for name in names if name != "batches" and values.get(name) != "")


class BucketBatchSampler(EpochSampler):
    """Index batches from buckets of like length, as many in every epoch.

    Every epoch the sequences of each bucket are shuffled and cut into batches as equal as can be, and the batches are
    shuffled, all drawn from `(seed, epoch)` alone. Ranks get equal numbers of disjoint batches, and every sequence is
    in exactly one; the largest batches are cut in two until their number is a multiple of the number of ranks. (Only
    without shuffling, some ranks get none where there are fewer sequences than ranks.)

    More sequences than `block` are put into buckets in blocks, one behind the other, so that no more than a block's
    are ever held. Which sequences are in which block is a shuffle of all of them, drawn from `seed` alone; the order
    of the blocks is drawn anew in every epoch. Without shuffling, blocks are neighbours, in the order of the data.

    Args:
        lengths: (examples,) tokens an example, the longer side of a pair.
        batch_tokens: B times the longest sequence that a batch of the bucket can have, at most; a sequence that is
            longer than that is a batch by itself.
        seed: with the epoch, where the order comes from.
        shuffle: otherwise the order is the same every epoch, the longest of a block first, so that memory runs out at
            once or hardly ever.
        rank: which share of the batches is this process's.
        world_size: number of shares.
        indices: (examples used,) which examples to use; all when it is `None`.
        most: longer examples are left out.
        block: examples of a block at most.
        kept: folder in which the numbers of batches are kept, as counting them takes minutes where there are a billion
            examples; `None` keeps nothing, nor is anything kept of some `indices`.

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
        most: int | None = None,
        block: int = BLOCK,
        kept: Path | None = None,
    ) -> None:
        super().__init__(seed=seed, rank=rank, world_size=world_size)
        self.shuffle = shuffle
        self._lengths, self._indices, self._most, self._batch_tokens = lengths, indices, most, batch_tokens
        count = len(lengths) if indices is None else len(indices)
        number = max(1, -(-count // block))
        self._ends = [count * (n + 1) // number for n in range(number)]
        counts = self._counts(kept if indices is None else None)
        self._split = _splits(counts, -sum(batches for _, batches in counts) % world_size)
        self._sizes = [batches + more for (_, batches), more in zip(counts, self._split, strict=True)]
        if shuffle and sum(self._sizes) % world_size:
            examples = sum(examples for examples, _ in counts)
            raise UserError(
                f"{examples} training examples, in batches of one, cannot be shared equally by {world_size} processes",
                f"Raise {self.settings}, or use fewer devices.",
            )

    @property
    def cut(self) -> dict[str, Any]:
        """The sizes of batches too."""
        return {**super().cut, "batch_tokens": self._batch_tokens, "longest": self._most}

    def __len__(self) -> int:
        """Batches of this rank in a whole epoch."""
        return (sum(self._sizes) - self.rank + self.world_size - 1) // self.world_size

    def batches(self, epoch: int, begin: int = 0) -> Iterator[np.ndarray]:
        """This rank's batches of an epoch from a position on, each an array of example numbers."""
        blocks = np.arange(len(self._sizes))
        if self.shuffle and len(blocks) > 1:
            blocks = np.random.default_rng([self.seed, epoch]).permutation(blocks)
        place = self.rank + begin * self.world_size  # of this rank's next batch among those of the present block
        for block in blocks:
            if place < self._sizes[block]:
                yield from islice(self._block(int(block), epoch), place, None, self.world_size)
                place += -(-(self._sizes[block] - place) // self.world_size) * self.world_size
            place -= self._sizes[block]

    def _block(self, block: int, epoch: int) -> Iterator[np.ndarray]:
        """All batches of a block."""
        # A 0 at the end would draw what the order of the blocks is drawn from.
        draw = np.random.default_rng([self.seed, epoch] if len(self._ends) == 1 else [self.seed, epoch, block + 1])
        members = self._members(block)
        lengths = self._lengths[members]
        found = buckets(Tally.of(lengths), self._batch_tokens)
        split_largest(found, self._split[block])
        order = members[np.argsort(lengths, kind="stable")]
        give_back(self._lengths)
        cut: list[np.ndarray] = []
        for bucket in found:
            inside = order[bucket.begin : bucket.end]
            cut.extend(np.split(draw.permutation(inside) if self.shuffle else inside, np.cumsum(bucket.sizes)[:-1]))
        for i in draw.permutation(len(cut)) if self.shuffle else range(len(cut))[::-1]:
            yield cut[i]

    def _members(self, block: int) -> np.ndarray:
        """The numbers of the examples of a block."""
        places = np.arange(self._ends[block - 1] if block else 0, self._ends[block])
        if self.shuffle and len(self._ends) > 1:
            places = shuffled(places, size=self._ends[-1], seed=self.seed)
        members = places if self._indices is None else self._indices[places]
        return members if self._most is None else members[self._lengths[members] <= self._most]

    def _counts(self, kept: Path | None) -> list[tuple[int, int]]:
        """Examples and batches of every block, before any batch is cut in two."""
        if kept is None or len(self._ends) == 1:
            return [self._count(block) for block in range(len(self._ends))]
        settings = [self._batch_tokens, self._most, self._ends, self.seed if self.shuffle else None, GROWTH, STRETCH]
        file = kept / f"batches-{key_of(settings=settings)[:16]}.json"
        with suppress(OSError, ValueError):
            return [(examples, batches) for examples, batches in json.loads(file.read_text(encoding="utf-8"))]
        counts = [self._count(block) for block in range(len(self._ends))]
        with suppress(OSError):  # a cache that others have made is not always ours to write to
            write_text(file, json.dumps(counts) + "\n")
        return counts

    def _count(self, block: int) -> tuple[int, int]:
        tally = Tally.of(self._lengths[self._members(block)])
        give_back(self._lengths)
        return len(tally), sum(len(bucket.sizes) for bucket in buckets(tally, self._batch_tokens))


def _splits(counts: Sequence[tuple[int, int]], missing: int) -> list[int]:
    """How many batches of each block are cut in two, so that there are so many more; or as many as can be."""
    found = []
    for examples, batches in counts:
        found.append(min(missing, examples - batches))
        missing -= found[-1]
    return found


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
    def cut(self) -> dict[str, Any]:
        """The streams too, whose states the rows carry."""
        return {**super().cut, "streams": self.streams.number}

    def batches(self, epoch: int, begin: int = 0) -> Iterator[np.ndarray]:
        """This rank's batches of an epoch from a position on, each an array of segment numbers."""
        own = np.arange(self.rank, self.streams.number, self.world_size)
        return (step * self.streams.number + own for step in range(begin, self.streams.steps))
