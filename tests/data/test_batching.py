from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtrain.data.batching import BucketBatchSampler
from seqtrain.errors import UserError


def sampler(lengths: list[int], tokens: int = 100, **options: object) -> BucketBatchSampler:
    return BucketBatchSampler(lengths=np.asarray(lengths), batch_tokens=tokens, **options)  # type: ignore[arg-type]


LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=300)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(20, 500), st.integers(1, 5), st.integers(0, 3), st.integers(0, 9))
def test_every_example_once_within_the_budget_in_equal_shares(
    lengths: list[int], tokens: int, world: int, epoch: int, seed: int
) -> None:
    try:
        ranks = [sampler(lengths, tokens, seed=seed, rank=rank, world_size=world) for rank in range(world)]
    except UserError:
        alone = sampler(lengths, tokens, shuffle=False, world_size=world).batches(0)
        assert len(lengths) % world
        assert all(len(batch) == 1 for batch in alone)
        return
    batches = [rank.batches(epoch) for rank in ranks]
    assert len({len(own) for own in batches}) == 1
    assert [len(own) for own in batches] == [len(rank) for rank in ranks]
    assert sorted(chain.from_iterable(b.tolist() for own in batches for b in own)) == list(range(len(lengths)))
    for batch in chain.from_iterable(batches):
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= tokens


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
    batches = sampler(lengths.tolist(), 2000).batches(0)
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
