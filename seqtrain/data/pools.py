"""Pools of tokenised pairs out of a stream: every process its share, in an order that can be gone on with."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain, islice
from typing import Any, Protocol

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from seqtrain.data.batching import BucketBatchSampler
from seqtrain.data.corpora.base import Pair
from seqtrain.data.corpora.shards import Offsets, Raw, Shard
from seqtrain.data.lines import check_characters
from seqtrain.data.store import Ragged
from seqtrain.errors import UserError

PAIRS_AT_ONCE = 2048
"""Pairs that are tokenised together; what the tokenizers give for them takes much more memory than their ids."""


@dataclass(frozen=True)
class Place:
    """Where in an endless stream, one epoch after the other, a pool begins.

    Attributes:
        epoch: which passage through all shards.
        pool: which pool of it.
        shard: which shard in the epoch's order.
        row: how many of its rows belong to pools before this one.
        offsets: the bytes that these rows take up, where the format has such places.
        pairs: how many pairs of the epoch belong to pools before this one, those of all processes.
    """

    epoch: int = 0
    pool: int = 0
    shard: int = 0
    row: int = 0
    offsets: Offsets = ()
    pairs: int = 0


@dataclass
class Pool:
    """What a process has of some consecutive pairs of the stream.

    Attributes:
        begin: where the pool begins.
        end: where the next one begins.
        read: how many pairs it has of all processes, those that were too long included.
        index: (pairs,) the pairs' numbers in the epoch.
        source: their source tokens.
        target: their target tokens.
        excluded: how many of this process's pairs were too long.
    """

    begin: Place
    end: Place
    read: int
    index: np.ndarray
    source: Ragged
    target: Ragged
    excluded: int

    def __len__(self) -> int:
        return len(self.index)

    @classmethod
    def empty(cls) -> "Pool":
        """One without pairs."""
        return cls(Place(), Place(), 0, np.zeros(0, dtype=np.int64), Ragged.of([]), Ragged.of([]), 0)

    @property
    def lengths(self) -> np.ndarray:
        """(pairs,) tokens of the longer side, end of sentence included."""
        return np.maximum(self.source.lengths, self.target.lengths) + 1


@dataclass(frozen=True)
class Broken:
    """What is handed on in the place of a pool that could not be read."""

    message: str


class Tokenizer(Protocol):
    """Text to token ids."""

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of many texts."""
        ...


Row = tuple[int, int, Raw, Offsets]
"""The shard's number in the epoch's order, the row's in the shard (0 is the first), the row, the place behind it."""


class Pools(IterableDataset[Pool | Broken]):
    """The pools of one epoch from some place on.

    A pool is `size` · `world_size` consecutive pairs, of which the process of rank r has every `world_size`th from the
    r-th on; fewer than `world_size` that are left over at the end belong to the pool before. So every process reads all
    lines, and looks into and tokenises only its own: whatever the sizes of the shards, the shares are equal.

    In worker processes each makes every so many-th pool; the pools are the same for any number of them.

    Args:
        shards: what the stream consists of; every epoch has them in another order.
        tokenizers: of the source and of the target sentences.
        size: pairs a pool and process.
        max_length: pairs with more tokens on a side are left out.
        seed: with the epoch, where the order of the shards comes from.
        rank: which share is this process's.
        world_size: number of shares.
    """

    def __init__(
        self,
        *,
        shards: Sequence[Shard],
        tokenizers: tuple[Tokenizer, Tokenizer],
        size: int,
        max_length: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.shards, self.tokenizers = list(shards), tokenizers
        self.size, self.max_length, self.seed = size, max_length, seed
        self.rank, self.world_size = rank, world_size
        self.begin = Place()

    def __iter__(self) -> Iterator[Pool | Broken]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info is not None else (0, 1)
        try:
            yield from self._read(worker, workers)
        except UserError as error:
            # Raised here it would end the process, and stop neither the others nor tell them why.
            yield Broken(str(error))

    def _read(self, worker: int, workers: int) -> Iterator[Pool]:
        begin, rows = self.begin, _Ahead(self._rows())
        while begin.epoch == self.begin.epoch and rows.more(1):
            share = _Share(self, begin) if (begin.pool - self.begin.pool) % workers == worker else None
            read, last = 0, None
            for last in rows.some(self.size * self.world_size, joined=self.world_size):
                if share is not None and read % self.world_size == self.rank:
                    share.add(read, last)
                read += 1
            assert last is not None
            end = self._behind(begin, last, read) if rows.more(1) else Place(epoch=begin.epoch + 1)
            if share is not None:
                yield share.pool(end, read)
            begin = end

    @staticmethod
    def _behind(begin: Place, last: Row, read: int) -> Place:
        shard, row, _, offsets = last
        return Place(begin.epoch, begin.pool + 1, shard, row + 1, offsets, begin.pairs + read)

    def order(self, epoch: int) -> list[Shard]:
        """The shards as an epoch reads them."""
        draw = np.random.default_rng([self.seed, epoch])
        return [self.shards[k] for k in draw.permutation(len(self.shards))]

    def _rows(self) -> Iterator[Row]:
        first = self.begin
        for number, shard in enumerate(self.order(first.epoch)):
            if number < first.shard:
                continue
            begun, before = (first.row, first.offsets) if number == first.shard else (0, ())
            for row, (raw, offsets) in enumerate(shard.read(begun, before), start=begun):
                yield number, row, raw, offsets


class _Ahead:
    """Rows some at a time, with a look at how many are left.

    Args:
        rows: all of them.
    """

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._seen: list[Row] = []

    def more(self, number: int) -> bool:
        """Whether there are so many more."""
        self._seen += islice(self._rows, max(0, number - len(self._seen)))
        return len(self._seen) >= number

    def some(self, number: int, *, joined: int) -> Iterator[Row]:
        """The next `number` rows, or all if there are then fewer than `joined` left."""
        seen, self._seen = self._seen, []
        yield from islice(chain(seen, self._rows), number)
        if not self.more(joined):
            rest, self._seen = self._seen, []
            yield from rest


class _Share:
    """A process's pairs of a pool while it is being made."""

    def __init__(self, pools: Pools, begin: Place) -> None:
        self._pools, self._begin = pools, begin
        self._order = pools.order(begin.epoch)
        self._index: list[int] = []
        self._texts: list[tuple[str, str]] = []
        self._numbers: list[np.ndarray] = []
        self._sides: tuple[list[Ragged], list[Ragged]] = ([], [])

    def add(self, place: int, row: Row) -> None:
        """Takes the pair at a place of the pool."""
        shard, number, raw, _ = row
        self._texts.append(pair_of(self._order[shard], raw, number + 1))
        self._index.append(self._begin.pairs + place)
        if len(self._texts) == PAIRS_AT_ONCE:
            self._tokenise()

    def pool(self, end: Place, read: int) -> Pool:
        """All that was taken, but for what is too long."""
        self._tokenise()
        index = np.concatenate([np.zeros(0, dtype=np.int64), *self._numbers])
        source, target = map(Ragged.joined, self._sides)
        self._sides = ([], [])  # the generator goes on holding this while the pool is trained on
        kept = np.flatnonzero(np.maximum(source.lengths, target.lengths) <= self._pools.max_length)
        excluded = len(index) - len(kept)
        if excluded:
            index, source, target = index[kept], source.rows(kept), target.rows(kept)
        return Pool(self._begin, end, read, index, source, target, excluded)

    def _tokenise(self) -> None:
        if self._texts:
            texts = zip(*self._texts, strict=True)
            for tokenizer, side, parts in zip(self._pools.tokenizers, texts, self._sides, strict=True):
                parts.append(Ragged.of(tokenizer.encode_all(side)))
            self._numbers.append(np.array(self._index, dtype=np.int64))
            self._texts, self._index = [], []


def pair_of(shard: Shard, raw: Raw, number: int) -> Pair:
    """The pair of a row (1 is the first) of a shard, which can be tokenised.

    Raises:
        UserError: it is malformed, empty on a side or no Unicode.
    """
    pair = shard.pair(raw, number)
    check_characters(pair, f"{shard.name}, row {number}")
    return pair


def batches(pool: Pool, *, batch_tokens: int, seed: int, rank: int) -> list[np.ndarray]:
    """A pool in batches of like length, each an array of rows, in an order drawn from seed, rank and place."""
    own = np.random.SeedSequence([seed, pool.begin.pool, rank]).generate_state(1)
    sampler = BucketBatchSampler(lengths=pool.lengths, batch_tokens=batch_tokens, seed=int(own[0]))
    return list(sampler.batches(pool.begin.epoch))


def adjusted(cut: list[np.ndarray], lengths: np.ndarray, number: int) -> list[np.ndarray]:
    """As many batches as asked for: the most costly are cut in two, or the cheapest put together.

    Those that are put together may have more tokens than `data.batch_tokens`. That is where even pairs that were dealt
    out anew give one process more batches than another has pairs: where hardly any batch has more than one.

    Args:
        cut: batches, each an array of rows.
        lengths: (rows,) tokens of each row.
        number: of batches; not more than there are rows.
    """
    found = list(cut)

    def cost(k: int) -> int:
        return len(found[k]) * int(lengths[found[k]].max())

    while len(found) < number:
        k = max((k for k in range(len(found)) if len(found[k]) > 1), key=cost)
        half = len(found[k]) // 2
        found[k : k + 1] = [found[k][:half], found[k][half:]]
    while len(found) > number:
        first, second = sorted(sorted(range(len(found)), key=cost)[:2])
        found[first] = np.concatenate([found[first], found.pop(second)])
    return found


def redistributed(pools: Sequence[Pool], rank: int) -> Pool:
    """The pairs of all processes' pools dealt out anew, one by one.

    Args:
        pools: of the same place, of every rank.
        rank: whose share is asked for.
    """
    index = np.concatenate([pool.index for pool in pools])
    own = np.argsort(index, kind="stable")[rank :: len(pools)]
    source, target = (Ragged.joined([getattr(pool, side) for pool in pools]).rows(own) for side in ("source", "target"))
    return replace(pools[rank], index=index[own], source=source, target=target)


def plain(place: Place) -> dict[str, Any]:
    """A place as a plain dict."""
    return {**vars(place), "offsets": list(place.offsets)}


def place_of(state: Mapping[str, Any]) -> Place:
    """The place that `plain` described, in a dict that may have more."""
    known = {field.name: state[field.name] for field in fields(Place)}
    return Place(**{**known, "offsets": tuple(known["offsets"])})
