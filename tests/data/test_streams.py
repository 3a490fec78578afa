"""Streams through a text: every character once, rows that go on, ranks apart, any position gone on with."""

from itertools import chain, islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtrain.data.batching import StreamSampler
from seqtrain.data.streams import Streams
from seqtrain.errors import UserError

BPTT = st.integers(2, 40)


@st.composite
def cuts(draw: st.DrawFn, bptt: st.SearchStrategy[int] = BPTT) -> Streams:
    streams = draw(st.integers(1, 12))
    return Streams(characters=draw(st.integers(streams, 600)), streams=streams, bptt=draw(bptt))


@settings(max_examples=150, deadline=None)
@given(st.data(), BPTT, st.integers(1, 4), st.integers(0, 2))
def test_every_character_once_in_order_in_equal_shares(data: st.DataObject, bptt: int, world: int, epoch: int) -> None:
    cut = data.draw(cuts(st.just(bptt)))
    try:
        ranks = [StreamSampler(streams=cut, rank=rank, world_size=world) for rank in range(world)]
    except UserError:
        assert cut.number % world
        return
    read: list[int] = []
    for sampler in ranks:
        batches = list(sampler.batches(epoch))
        assert len(batches) == len(sampler) == cut.steps
        bounds = [cut.bounds(batch) for batch in batches]
        for (_, ended), (begins, _) in pairwise(bounds):
            assert ended.tolist() == begins.tolist()  # row b goes on where row b ended
        for begins, ends in bounds:
            assert 1 <= (ends - begins).min() <= (ends - begins).max() <= bptt
            assert len(begins) == cut.number // world
            read.extend(chain.from_iterable(map(range, begins.tolist(), ends.tolist())))
    assert sorted(read) == list(range(cut.characters))


@settings(max_examples=100, deadline=None)
@given(cuts())
def test_segments_are_as_equal_as_can_be(cut: Streams) -> None:
    lengths = cut.lengths()
    assert len(lengths) == len(cut) == cut.number * cut.steps
    assert lengths.max() - lengths.min() <= 1
    padded = lengths.reshape(cut.steps, cut.number)
    assert (padded[:-1] == padded[:-1, :1]).all()  # only the last batch may hold padding


def test_segments_are_as_long_as_asked_for() -> None:
    assert set(Streams(characters=3 * 1000, streams=3, bptt=100).lengths().tolist()) == {100}
    assert Streams(characters=3 * 1000 + 1, streams=3, bptt=100).steps == 11  # none is longer than that
    with pytest.raises(ValueError, match="cannot be cut"):
        Streams(characters=3, streams=4, bptt=5)


@settings(max_examples=50, deadline=None)
@given(cuts(), st.data())
def test_goes_on_at_any_position_and_begins_the_next_epoch_at_its_start(cut: Streams, data: st.DataObject) -> None:
    straight = StreamSampler(streams=cut)
    whole = list(straight)
    assert whole == list(straight)
    position = data.draw(st.integers(0, cut.steps - 1))
    stopped = StreamSampler(streams=cut)
    stopped.set_epoch(2)
    stream = iter(stopped)
    begun = [next(stream) for _ in range(position)]
    fresh = StreamSampler(streams=cut)
    fresh.load_state_dict(stopped.state_dict())
    fresh.set_epoch(2)
    assert begun + list(fresh) == whole
    assert list(fresh) == whole


def test_another_cut_is_refused_within_an_epoch_only() -> None:
    sampler = StreamSampler(streams=Streams(characters=400, streams=4, bptt=10), seed=1)
    stream = iter(sampler)
    next(stream)
    within = sampler.state_dict()
    # As many batches, but other rows.
    other = StreamSampler(streams=Streams(characters=400, streams=2, bptt=20), seed=1)
    with pytest.raises(UserError, match=r"seed 1, processes 1, streams 4.*processes 1, streams 2.*(?s:.*)data.bptt"):
        other.load_state_dict(within)
    shared = StreamSampler(streams=Streams(characters=400, streams=4, bptt=10), seed=1, world_size=2)
    with pytest.raises(UserError, match=r"processes 1.*processes 2"):
        shared.load_state_dict(within)
    list(stream)
    other.load_state_dict(sampler.state_dict())
    assert len(list(other)) == len(other)


def test_streams_that_cannot_be_shared() -> None:
    cut = Streams(characters=400, streams=3, bptt=10)
    with pytest.raises(UserError, match="3 streams cannot be shared equally by 2 processes"):
        StreamSampler(streams=cut, world_size=2)
    shares = [StreamSampler(streams=cut, equal=False, rank=rank, world_size=2) for rank in range(2)]
    assert [len(batch) for share in shares for batch in islice(share.batches(0), 1)] == [2, 1]
    assert np.array_equal([*shares[1].batches(0)][1], [4])
    with pytest.raises(UserError, match="too few for 4 processes"):
        StreamSampler(streams=cut, equal=False, world_size=4)
