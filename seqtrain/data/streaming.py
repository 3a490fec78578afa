"""Training pairs that are read as they are needed: batches out of pools, in an order that can be gone on with."""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seqtrain.data.loading import workers_loader
from seqtrain.data.pools import Broken, Place, Pool, Pools, adjusted, batches, place_of, plain, redistributed
from seqtrain.data.translation import paired
from seqtrain.errors import StreamError, UserError
from seqtrain.tasks.translation import TranslationBatch

log = logging.getLogger(__name__)

Gather = Callable[[Any], list[Any]]
"""Hands a value of every process to all of them, in the order of their ranks."""


@dataclass(frozen=True)
class Mark:
    """The beginning of a pool among the batches that an iteration has yielded.

    Attributes:
        count: the batches before it; negative where the iteration began within the pool.
        place: where the pool begins.
        excluded: how many pairs of its epoch were left out before it, of all processes.
    """

    count: int
    place: Place
    excluded: int


class StreamLoader:
    """Batches of a stream; one iteration is an epoch of it, or what is left of one.

    How many there are is not known before they have been seen. It has an epoch of its own: where Lightning begins
    another one, as after a training that `max_steps` ended in the middle, the stream goes on where it was.

    All processes take part in every pool's beginning: they agree on how many batches each makes of its share, and on
    whether it could be read.

    Args:
        pools: what is read.
        batch_tokens: padded tokens a batch at most, counted on the longer side.
        workers: processes that make pools ahead; 0 makes them here, while the training waits.
        trained: how many batches have been trained on, ever; fewer than have been yielded. `None`: all of them.
        before: how many of them were trained on before the stream began.
        gather: brings the processes together.
        endless: whether an iteration goes on with the next epoch; for epochs of a fixed number of steps.
        again: whether every iteration begins at the stream's beginning, as for overfitting.
        cut: what else must not change within an epoch for a position in it to mean the same.
        content: what the shards' content is known by; it may change behind the position.
    """

    def __init__(
        self,
        *,
        pools: Pools,
        batch_tokens: int,
        workers: int = 0,
        trained: Callable[[], int] | None = None,
        before: int = 0,
        gather: Gather = lambda value: [value],
        endless: bool = False,
        again: bool = False,
        cut: Mapping[str, Any] | None = None,
        content: str = "",
    ) -> None:
        self.pools, self.batch_tokens, self.workers = pools, batch_tokens, workers
        self.endless, self.again = endless, again
        self.content = content
        self.cut = {
            "seed": pools.seed,
            "processes": pools.world_size,
            "pool": pools.size,
            "batch_tokens": batch_tokens,
            "max_length": pools.max_length,
            **(cut or {}),
        }
        self._gather, self._trained = gather, trained
        self._yielded = 0
        self._before = before
        self._marks = deque([Mark(0, Place(), 0)])
        self.counts: dict[str, int] = {}
        """Of the last pool that was read: its epoch, the epoch's pairs up to its end, and those that were left out."""

    def __iter__(self) -> Iterator[TranslationBatch]:
        """Begins behind the last batch that was trained on, though more may have been fetched."""
        mark, within = self._reached()
        self._marks = deque([Mark(-within, mark.place, mark.excluded)])
        if self.again:
            self._marks = deque([Mark(0, Place(), 0)])
        self._yielded, self._before = 0, self._done()
        return self._batches()

    def state_dict(self) -> dict[str, Any]:
        """Where the next batch to be trained on lies: the same in every process, and made of plain values."""
        mark, within = self._reached()
        place = {**plain(mark.place), "batch": within, "excluded": mark.excluded}
        return {"place": place, "trained": self._done(), "cut": dict(self.cut), "content": self.content}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes to the place that `state_dict` described; one among batches that are no stream's is ignored.

        Raises:
            UserError: it lies within an epoch that was cut into other pools than this one's.
        """
        if "place" not in state:  # of a training on pairs that were kept, which goes on with a stream
            return
        place, within = place_of(state["place"]), state["place"]["batch"]
        inside = place.pool > 0 or within > 0
        if inside and state["cut"] != self.cut:
            then, now = (
                ", ".join(f"{name} {value}" for name, value in cut.items()) for cut in (state["cut"], self.cut)
            )
            raise UserError(
                f"the checkpoint was written within epoch {place.epoch} of the stream, behind pair {place.pairs:,} "
                f"({then}), but now it is cut otherwise ({now})",
                "Resume with the shards, data.pool, data.batch_tokens, data.max_length, seed and number of devices "
                "that it was trained with, or from a checkpoint that was written at the end of an epoch.",
            )
        if inside and state["content"] != self.content:
            log.warning(
                "The shards have changed since the checkpoint was written: behind row %d of the one it was in, the "
                "rest is read as it is now.",
                place.row,
            )
            place = replace(place, offsets=())  # bytes before the place may be others, or more
        self._marks = deque([Mark(-within, place, state["place"]["excluded"])])
        self._yielded, self._before = 0, state["trained"]

    def _done(self) -> int:
        """How many batches have been trained on, ever."""
        if self._trained is None:
            return self._before + self._yielded
        # Lightning asks for the first batch before it has its own count back.
        return max(self._before, self._trained())

    def _reached(self) -> tuple[Mark, int]:
        """The pool of the next batch to be trained on, and how many of its batches come before."""
        done = self._done() - self._before
        while len(self._marks) > 1 and self._marks[1].count <= done:
            self._marks.popleft()
        return self._marks[0], done - self._marks[0].count

    def _batches(self) -> Iterator[TranslationBatch]:
        while True:
            yield from self._epoch()
            if not self.endless:
                return

    def _epoch(self) -> Iterator[TranslationBatch]:
        first, before = self._marks[-1].place, self._yielded
        for found in self._read(first):
            mark = self._marks[-1]
            pool, rows, excluded = self._shared(found)
            excluded += mark.excluded
            self.counts = {"epoch": mark.place.epoch, "pairs": mark.place.pairs + pool.read, "excluded": excluded}
            ended = pool.end.epoch > mark.place.epoch
            self._marks.append(Mark(mark.count + len(rows), pool.end, 0 if ended else excluded))
            for own in rows[max(0, -mark.count) :]:
                self._yielded += 1
                yield paired(pool.source, pool.target, own, pool.index[own])
            del found, pool, rows  # before the next one is made
        if self._marks[-1].place.epoch == first.epoch:
            raise StreamError(f"the stream has no pair behind pair {first.pairs:,}", "Give other shards.", code=1)
        if first.pool == 0 and self._yielded == before:
            message = f"every training pair is longer than data.max_length={self.pools.max_length}"
            raise StreamError(message, "Raise it.", code=1)
        if self.counts["excluded"] and first.epoch == 0 and self.pools.rank == 0:
            fewer = ", or fewer were left of a pool than there are processes" if self.pools.world_size > 1 else ""
            log.warning(
                "%d of %d training pairs were left out: they are longer than data.max_length=%d tokens%s",
                self.counts["excluded"],
                self.counts["pairs"],
                self.pools.max_length,
                fewer,
            )

    def _read(self, begin: Place) -> Iterator[Pool | Broken]:
        self.pools.begin = begin
        ahead = 1 if self.workers else None
        loader = workers_loader(self.pools, workers=self.workers, seed=self.pools.seed, prefetch_factor=ahead)
        with _forking(self.workers):
            found = iter(loader)
        yield from found

    def _shared(self, found: Pool | Broken) -> tuple[Pool, list[np.ndarray], int]:
        """A pool, its batches, as many in every process, and how many of its pairs all of them leave out."""
        pool = Pool.empty() if isinstance(found, Broken) else found
        cut = self._cut(pool)
        message = found.message if isinstance(found, Broken) else ""
        told = self._gather((message, pool.end, len(pool), len(cut), pool.excluded))
        if broken := next((message for message, *_ in told if message), ""):
            raise StreamError(broken, code=1)
        if len({end for _, end, *_ in told}) > 1:
            raise StreamError("the processes do not read the same stream: their shards differ", code=1)
        sizes, numbers = [kept for _, _, kept, *_ in told], [number for *_, number, _ in told]
        excluded = sum(some for *_, some in told)
        if max(numbers) > min(sizes):
            # A process has fewer pairs than another has batches: too few are left, or its own were all too long.
            pool = redistributed(self._gather(pool), self.pools.rank)
            cut = self._cut(pool)
            both = self._gather((len(pool), len(cut)))
            sizes, numbers = [kept for kept, _ in both], [number for _, number in both]
        number = min(max(numbers), min(sizes))
        if not number:
            return pool, [], excluded + sum(sizes)
        return pool, adjusted(cut, pool.lengths, number), excluded

    def _cut(self, pool: Pool) -> list[np.ndarray]:
        return batches(pool, batch_tokens=self.batch_tokens, seed=self.pools.seed, rank=self.pools.rank)


@contextmanager
def _forking(workers: int) -> Iterator[None]:
    """Worker processes that are begun here tokenise on one core each: the threads of this one are not in them."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    if workers:
        os.environ[name] = "false"
    try:
        yield
    finally:
        if workers and before is None:
            del os.environ[name]
        elif workers and before is not None:
            os.environ[name] = before
