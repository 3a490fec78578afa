"""The tasks of the neural Turing machine: what goes in, what is asked for, and which sequences there are."""

from typing import Any

import numpy as np
import pytest
import torch

from seqtrain.data.algorithms import associative_recall, copy, ngrams, optimal, priority_sort, repeat_copy
from seqtrain.data.associative_recall import AssociativeRecall
from seqtrain.data.bits import BitSequences
from seqtrain.data.copy import Copy
from seqtrain.data.generating import Draws
from seqtrain.data.ngrams import NGrams
from seqtrain.data.preflight import preflight
from seqtrain.data.priority_sort import PrioritySort
from seqtrain.data.repeat_copy import RepeatCopy
from seqtrain.errors import UserError

KINDS: dict[str, Any] = {
    "copy": Copy,
    "repeat_copy": RepeatCopy,
    "associative_recall": AssociativeRecall,
    "ngrams": NGrams,
    "priority_sort": PrioritySort,
}
EVERY = pytest.mark.parametrize("kind", KINDS)


def draws(number: int = 0) -> Draws:
    return Draws("test", number)


def opened(kind: str, **options: Any) -> BitSequences:
    data: BitSequences = KINDS[kind](**{"seed": 1, "size": 20, "val_size": 12, "test_size": 10, **options})
    data.setup()
    return data


def test_copy() -> None:
    made = copy(draws(), length=5, bits=3)
    assert made.inputs.shape == (11, 4)
    assert made.inputs[:, 3].tolist() == [0] * 5 + [1] + [0] * 5
    assert np.array_equal(made.inputs[:5, :3], made.targets[6:])
    assert not made.inputs[6:].any()
    assert made.asked.tolist() == [False] * 6 + [True] * 5
    assert set(np.unique(made.targets)) <= {0, 1}


@pytest.mark.parametrize("repeats", [1, 3])
def test_repeat_copy(repeats: int) -> None:
    made = repeat_copy(draws(), length=4, repeats=repeats, bits=3, mean=5.5, deviation=2.0)
    assert made.inputs.shape == (4 + 1 + 4 * repeats + 1, 5)
    assert made.inputs[4].tolist() == [0, 0, 0, 1, (repeats - 5.5) / 2]
    assert not made.inputs[5:].any()
    vectors = made.inputs[:4, :3]
    for i in range(repeats):
        assert np.array_equal(made.targets[5 + 4 * i : 9 + 4 * i, :3], vectors)
    assert made.targets[:, 3].tolist() == [0] * (len(made.targets) - 1) + [1]
    assert not made.targets[-1, :3].any()
    assert made.asked.tolist() == [False] * 5 + [True] * (4 * repeats + 1)


def test_repeats_have_mean_0_and_variance_1_in_training() -> None:
    data = opened("repeat_copy", size=3000)
    scalars = np.array([data.collate("train", np.array([i])).inputs[0, :, 9].sum().item() for i in range(3000)])
    assert scalars.mean() == pytest.approx(0, abs=0.06)
    assert scalars.std() == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize("number", range(5))
def test_associative_recall(number: int) -> None:
    made = associative_recall(draws(number), items=4, bits=6)
    assert made.inputs.shape == (24, 8)
    assert np.flatnonzero(made.inputs[:, 6]).tolist() == [0, 4, 8, 12]
    assert np.flatnonzero(made.inputs[:, 7]).tolist() == [16, 20]
    items = [made.inputs[1 + 4 * i : 4 + 4 * i, :6] for i in range(4)]
    (asked,) = [i for i, item in enumerate(items) if np.array_equal(item, made.inputs[17:20, :6])]
    assert np.array_equal(made.targets[-3:], items[asked + 1])
    assert made.asked.tolist() == [False] * 21 + [True] * 3
    assert not made.inputs[21:].any()


def test_ngrams_follow_a_table() -> None:
    """After the same five bits a 1 is about as frequent in both halves of a long sequence, and often 0 or 1."""
    made = ngrams(draws(), length=40_001)
    sequence = np.concatenate([made.inputs[:1, 0], made.targets[:, 0]]).astype(int)
    assert np.array_equal(sequence[:-1], made.inputs[:, 0])
    assert made.asked.all()
    windows = np.lib.stride_tricks.sliding_window_view(sequence, 6)
    contexts = windows[:, :5] @ (2 ** np.arange(5))
    rates = []
    for context in np.unique(contexts):
        ones = windows[contexts == context, 5]
        if len(ones) > 400:
            rates.append((ones[::2].mean(), ones[1::2].mean()))
    first, second = np.array(rates).T
    assert len(first) > 5
    assert np.abs(first - second).max() < 0.15
    tables = np.array([[ngrams(draws(i), length=6).targets[4, 0]] for i in range(2000)])
    assert tables.mean() == pytest.approx(0.5, abs=0.04)


def test_chances_of_ngrams_are_of_the_arcsine_distribution() -> None:
    """Of Beta(½, ½) a fifth is below sin²(π/10), a fifth above cos²(π/10)."""
    long = [ngrams(draws(i), length=3000) for i in range(30)]
    rates = []
    for made in long:
        sequence = np.concatenate([made.inputs[:1, 0], made.targets[:, 0]]).astype(int)
        windows = np.lib.stride_tricks.sliding_window_view(sequence, 6)
        contexts = windows[:, :5] @ (2 ** np.arange(5))
        # The context that a sequence has first is not chosen by its chances.
        own = windows[contexts == contexts[0], 5]
        rates.append(own.mean())
    assert 2 <= sum(rate < np.sin(np.pi / 10) ** 2 for rate in rates) <= 13
    assert 2 <= sum(rate > np.cos(np.pi / 10) ** 2 for rate in rates) <= 13


def test_the_optimal_estimator_counts() -> None:
    sequence = np.array([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0])
    found = optimal(sequence)
    assert found[:4].tolist() == [0.5] * 4
    counts: dict[tuple[int, ...], list[int]] = {}
    for t in range(5, len(sequence)):
        zeros, ones = counts.setdefault(tuple(sequence[t - 5 : t]), [0, 0])
        assert found[t - 1] == pytest.approx((ones + 0.5) / (ones + zeros + 1))
        counts[tuple(sequence[t - 5 : t])][sequence[t]] += 1


def test_no_estimator_is_better_than_the_optimal_one() -> None:
    data = opened("ngrams", test_size=200)
    baselines = data.baselines("test")
    assert baselines["chance_bits"] == 199
    assert 110 < baselines["optimal_bits"] < 150  # the paper's figure 13 has about 130 for 200 bits


def test_priority_sort() -> None:
    made = priority_sort(draws(), length=6, kept=4, bits=3)
    assert made.inputs.shape == (11, 5)
    assert made.inputs[:, 4].tolist() == [0] * 6 + [1] + [0] * 4
    priorities = made.inputs[:6, 3]
    assert ((priorities >= -1) & (priorities < 1)).all()
    best = sorted(range(6), key=lambda i: -priorities[i])[:4]
    assert np.array_equal(made.targets[7:], made.inputs[best, :3])
    assert made.asked.tolist() == [False] * 7 + [True] * 4
    with pytest.raises(UserError, match=r"kept = 7 is out of range"):
        PrioritySort(length=6, kept=7, seed=1)


@EVERY
def test_an_epoch_has_other_sequences_than_the_one_before_and_splits_differ(kind: str) -> None:
    data = opened(kind)
    sampler = data.sampler("train", shuffle=True, rank=0, world_size=1)
    seen = [np.concatenate(list(sampler.batches(epoch))).tolist() for epoch in range(3)]
    assert seen == [list(range(20)), list(range(20, 40)), list(range(40, 60))]
    fixed = data.sampler("val", shuffle=False, rank=0, world_size=1)
    assert (
        np.concatenate(list(fixed.batches(0))).tolist()
        == np.concatenate(list(fixed.batches(5))).tolist()
        == list(range(12))
    )
    contents = {
        tuple(data.collate(split, np.array([i])).inputs.flatten().tolist())
        for split, count in (("train", 60), ("val", 12), ("test", 10))
        for i in range(count)
    }
    assert len(contents) > 75  # a vector or two of bits may be drawn twice


@EVERY
def test_a_sequence_does_not_depend_on_its_batch(kind: str) -> None:
    data = opened(kind)
    batch = data.collate("train", np.array([7, 3, 11]))
    alone = data.collate("train", np.array([3]))
    T = int(alone.lengths[0])
    assert batch.lengths[1] == T
    for name in ("inputs", "targets", "asked"):
        assert torch.equal(getattr(batch, name)[1, :T], getattr(alone, name)[0])
        assert not getattr(batch, name)[1, T:].any()
    assert torch.equal(opened(kind).collate("train", np.array([3])).inputs, alone.inputs)
    assert not torch.equal(opened(kind, corpus_seed=2).collate("train", np.array([3])).inputs, alone.inputs)
    assert opened(kind).fingerprint == data.fingerprint != opened(kind, corpus_seed=2).fingerprint


@EVERY
def test_ranks_share_an_epoch(kind: str) -> None:
    data = opened(kind, batch_size=3)
    shares = [list(data.sampler("train", shuffle=True, rank=rank, world_size=2).batches(1)) for rank in range(2)]
    assert len(shares[0]) == len(shares[1]) == 4
    assert sorted(np.concatenate([*shares[0], *shares[1]]).tolist()) == list(range(20, 40))


def test_every_rank_has_batches_or_says_why_not() -> None:
    data = opened("copy", batch_size=16)
    shares = [list(data.sampler("val", shuffle=False, rank=rank, world_size=2).batches(0)) for rank in range(2)]
    assert [len(share) for share in shares] == [1, 1]
    with pytest.raises(UserError, match=r"data\.size=20 sequences cannot be shared by 21 processes"):
        data.sampler("train", shuffle=True, rank=0, world_size=21)


def test_a_stream_is_gone_on_with_only_where_it_is_the_same() -> None:
    sampler = opened("copy", batch_size=4).sampler("train", shuffle=True, rank=0, world_size=1)
    batches = iter(sampler)
    next(batches)
    state = sampler.state_dict()
    assert next(iter(opened("copy", batch_size=4).sampler("train", shuffle=True, rank=0, world_size=1))) == [0, 1, 2, 3]
    for changed in ({"size": 19, "batch_size": 4}, {"size": 40, "batch_size": 8}):
        other = opened("copy", **changed).sampler("train", shuffle=True, rank=0, world_size=1)
        with pytest.raises(UserError, match=r"Resume with the data, data\.size, data\.batch_size"):
            other.load_state_dict(state)


def test_other_numbers_of_sequences_are_other_data() -> None:
    assert opened("copy", test_size=200).fingerprint != opened("copy", test_size=300).fingerprint


def test_test_sequences_are_of_the_lengths_that_are_asked_for() -> None:
    data = opened("copy", test_lengths=[3, 30], test_size=4)
    assert data.attributes("test")["length"].tolist() == [3, 30, 3, 30]
    assert data.collate("test", np.arange(4)).lengths.tolist() == [7, 61, 7, 61]
    assert data.baselines("test") == {"chance_bits": 8 * (3 + 30) / 2}
    shapes = opened("repeat_copy", test_shapes=[[2, 3], [1, 5]], test_size=4).attributes("test")
    assert (shapes["length"].tolist(), shapes["repeats"].tolist()) == ([2, 1, 2, 1], [3, 5, 3, 5])
    assert opened("associative_recall", test_items=[2, 9]).attributes("test")["items"].tolist() == [2, 9] * 5


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("copy", {"max_length": 0}, r"copy: max_length = 0 is out of range\n  Allowed are 1 to 4999"),
        ("copy", {"min_length": 30}, r"max_length = 20 is out of range\n  Allowed are 30 to 4999"),
        ("copy", {"test_lengths": []}, "copy: test_lengths is empty"),
        ("copy", {"test_lengths": [10, 20_000]}, "test_lengths = 20000 is out of range"),
        ("repeat_copy", {"test_shapes": [[3]]}, r"repeat_copy: \[3\] in test_shapes is not two numbers"),
        ("repeat_copy", {"test_shapes": [[3, 4000]]}, "in test_shapes = 12003 is out of range"),
        ("repeat_copy", {"max_length": 1000, "max_repeats": 11}, r"max_length \* \(1 \+ max_repeats\) = 12000"),
        ("associative_recall", {"min_items": 9}, "max_items = 6 is out of range"),
        ("associative_recall", {"test_items": [1]}, r"test_items = 1 is out of range\n  Allowed are 2"),
        ("ngrams", {"length": 5}, r"ngrams: length = 5 is out of range\n  Allowed are 6"),
        ("priority_sort", {"kept": 21}, r"kept = 21 is out of range\n  Allowed are 1 to 20"),
    ],
)
def test_mistakes_show_before_anything_is_made(kind: str, given: dict[str, Any], message: str) -> None:
    target = f"{KINDS[kind].__module__}.{KINDS[kind].__name__}"
    preflight({"_target_": target})
    with pytest.raises(UserError, match=message):
        preflight({"_target_": target, **given})
    with pytest.raises(UserError, match=message):
        KINDS[kind](seed=1, **given)
