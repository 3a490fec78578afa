from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seqtrain.data.batching import BucketBatchSampler
from seqtrain.data.shuffling import shuffled
from seqtrain.errors import UserError


def sampler(lengths: list[int], tokens: int = 100, **options: object) -> BucketBatchSampler:
    return BucketBatchSampler(lengths=np.asarray(lengths), batch_tokens=tokens, **options)  # type: ignore[arg-type]


BLOCKS = st.sampled_from([7, 40, 1 << 18])
LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=300)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(20, 500), st.integers(1, 5), st.integers(0, 3), st.integers(0, 9), BLOCKS)
def test_every_example_once_within_the_budget_in_equal_shares(
    lengths: list[int], tokens: int, world: int, epoch: int, seed: int, block: int
) -> None:
    options = {"seed": seed, "world_size": world, "block": block}
    try:
        ranks = [sampler(lengths, tokens, rank=rank, **options) for rank in range(world)]
    except UserError:
        alone = sampler(lengths, tokens, shuffle=False, **options).batches(0)
        assert len(lengths) % world
        assert all(len(batch) == 1 for batch in alone)
        return
    batches = [list(rank.batches(epoch)) for rank in ranks]
    assert len({len(own) for own in batches}) == 1
    assert [len(own) for own in batches] == [len(rank) for rank in ranks]
    assert sorted(chain.from_iterable(b.tolist() for own in batches for b in own)) == list(range(len(lengths)))
    for batch in chain.from_iterable(batches):
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= tokens


@settings(max_examples=40, deadline=None)
@given(LENGTHS, st.integers(20, 500), st.integers(1, 9))
def test_every_example_is_evaluated_once_by_any_number_of_ranks(lengths: list[int], tokens: int, world: int) -> None:
    shares = [sampler(lengths, tokens, shuffle=False, rank=rank, world_size=world) for rank in range(world)]
    assert [len(list(share)) for share in shares] == [len(share) for share in shares]
    assert sorted(chain.from_iterable(chain.from_iterable(share) for share in shares)) == list(range(len(lengths)))
    assert len(lengths) < world or all(len(share) for share in shares)  # a rank without a batch would be waited for


def test_epochs_differ_in_order_but_not_in_number() -> None:
    lengths = np.random.default_rng(0).integers(3, 40, size=500).tolist()
    one = sampler(lengths, seed=4)
    orders = [[tuple(batch) for batch in one.batches(epoch)] for epoch in range(4)]
    assert {len(order) for order in orders} == {len(one)}
    assert len({frozenset(order[0]) for order in orders}) == 4
    assert orders[2] == [tuple(batch) for batch in sampler(lengths, seed=4).batches(2)]
    assert orders[2] != [tuple(batch) for batch in sampler(lengths, seed=5).batches(2)]


def test_padding_is_small_and_batches_are_full() -> None:
    lengths = np.random.default_rng(1).gamma(8, 2, size=5000).astype(int) + 2
    batches = list(sampler(lengths.tolist(), 2000).batches(0))
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert lengths.sum() / padded > 0.9
    assert padded / len(batches) > 0.85 * 2000


def test_without_shuffling_the_longest_come_first_and_every_epoch_is_the_same() -> None:
    lengths = [3, 50, 7, 20, 21, 8]
    fixed = sampler(lengths, 60, shuffle=False)
    longest = [max(lengths[i] for i in batch) for batch in fixed.batches(0)]
    assert longest == sorted(longest, reverse=True)
    assert [b.tolist() for b in fixed.batches(0)] == [b.tolist() for b in fixed.batches(7)]


def test_an_example_longer_than_the_budget_is_a_batch_by_itself() -> None:
    assert [b.tolist() for b in sampler([500, 3, 3], 100, shuffle=False).batches(0)] == [[0], [1, 2]]


def test_only_the_chosen_examples_are_used() -> None:
    chosen = sampler([5] * 20, 30, indices=np.array([1, 3, 19]))
    assert sorted(chain.from_iterable(chosen)) == [1, 3, 19]


def test_goes_on_where_the_state_says_and_begins_the_next_epoch_at_its_start() -> None:
    lengths = np.random.default_rng(2).integers(1, 30, size=200).tolist()
    straight = sampler(lengths, seed=1)
    straight.set_epoch(3)
    whole = list(straight)
    stopped = sampler(lengths, seed=1)
    stopped.set_epoch(3)
    stream = iter(stopped)
    begun = [next(stream) for _ in range(4)]
    fresh = sampler(lengths, seed=1)
    fresh.load_state_dict(stopped.state_dict())
    fresh.set_epoch(3)
    assert begun + list(fresh) == whole
    older = {
        name: value for name, value in stopped.state_dict().items() if name not in ("data", "longest", "processes")
    }
    fresh.load_state_dict(older)
    assert begun + list(fresh) == whole
    assert list(fresh) == whole
    fresh.set_epoch(4)
    assert sorted(chain.from_iterable(fresh)) == list(range(200))


def test_fewer_examples_than_ranks_are_refused_in_training_and_shared_in_evaluation() -> None:
    with pytest.raises(UserError, match="2 training examples, in batches of one, cannot be shared equally by 3"):
        sampler([4, 4], rank=0, world_size=3)
    shares = [sampler([4, 4], shuffle=False, rank=rank, world_size=3) for rank in range(3)]
    assert [len(share) for share in shares] == [len(list(share)) for share in shares] == [1, 1, 0]


def test_no_examples_give_no_batches() -> None:
    assert list(sampler([], shuffle=False)) == []


@settings(max_examples=40, deadline=None)
@given(LENGTHS, st.integers(1, 3), st.integers(0, 9), st.integers(10, 60), st.data())
def test_blocks_leave_out_what_is_too_long_and_can_be_entered_anywhere(
    lengths: list[int], world: int, seed: int, most: int, data: st.DataObject
) -> None:
    used = [i for i, length in enumerate(lengths) if length <= most]
    assume(len(used) >= world)
    shuffle = data.draw(st.booleans())
    options = {"seed": seed, "world_size": world, "block": 25, "most": most, "shuffle": shuffle}
    try:
        ranks = [sampler(lengths, 80, rank=rank, **options) for rank in range(world)]
    except UserError:
        return
    whole = [[batch.tolist() for batch in rank.batches(2)] for rank in ranks]
    assert sorted(chain.from_iterable(chain.from_iterable(whole))) == used
    for rank, own in zip(ranks, whole, strict=True):
        begin = data.draw(st.integers(0, len(own)))
        rank.load_state_dict({**rank.state_dict(), "epoch": 2, "position": begin})
        assert list(rank) == own[begin:] or begin == len(own)


def test_blocks_are_drawn_from_all_of_the_data_and_come_in_another_order_every_epoch() -> None:
    blocks = sampler([10] * 4000, 100, seed=3, block=500)
    first, second = (np.concatenate(list(blocks.batches(epoch))) for epoch in (0, 1))
    for part in np.split(first, 8):
        assert np.histogram(part, bins=4, range=(0, 4000))[0].min() > 80
    assert {frozenset(part) for part in np.split(first, 8)} == {frozenset(part) for part in np.split(second, 8)}
    assert [frozenset(part) for part in np.split(first, 8)] != [frozenset(part) for part in np.split(second, 8)]
    assert (first != np.concatenate(list(sampler([10] * 4000, 100, seed=4, block=500).batches(0)))).mean() > 0.9


def test_numbers_of_batches_are_kept_until_something_else_is_asked_for(tmp_path: Path) -> None:
    lengths = np.random.default_rng(3).integers(1, 30, size=300)
    made = [BucketBatchSampler(lengths=lengths, batch_tokens=90, block=50, kept=tmp_path, most=m) for m in (25, 25, 20)]
    assert len(list(tmp_path.iterdir())) == 2
    assert [len(one) for one in made] == [len(list(one.batches(0))) for one in made]
    some = sampler(lengths.tolist(), 90, block=50, kept=tmp_path, most=25, indices=np.arange(300)[::-1])
    assert [len(list(tmp_path.iterdir())), len(some)] == [2, len(list(some.batches(0)))]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 99))
def test_a_shuffled_order_holds_every_number_once(size: int, seed: int) -> None:
    order = shuffled(np.arange(size), size=size, seed=seed)
    assert sorted(order.tolist()) == list(range(size))
    some = np.arange(0, size, 7)
    assert np.array_equal(shuffled(some, size=size, seed=seed), order[some])


def test_a_shuffled_order_looks_drawn_at_random() -> None:
    size = 20_000
    orders = np.stack([shuffled(np.arange(size), size=size, seed=seed) for seed in range(3)])
    far = np.abs(np.diff(orders)).mean(1) / size
    np.testing.assert_allclose(far, 1 / 3, atol=0.02)
    for one in (*orders, np.arange(size)):
        for other in orders:
            assert one is other or abs(np.corrcoef(one, other)[0, 1]) < 0.03 or np.array_equal(one, other)
