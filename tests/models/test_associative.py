"""The associative memory finds what it was given under keys with errors, and learns how sharp it has to be."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtrain.data.retrieval import Retrieved
from seqtrain.data.retrieval_generator import generate, sharpest
from seqtrain.errors import UserError
from seqtrain.models.associative import Associative
from seqtrain.tasks.retrieval import Retrieval

SMALL = {"size": 400, "val_size": 50, "test_size": 50, "width": 16, "classes": 4, "max_pairs": 6, "batch_tokens": 900}


def ready(**options: float) -> Retrieved:
    data = Retrieved(**{**SMALL, "test_max_pairs": 30, "seed": 1, **options})
    data.prepare_data()
    data.setup()
    return data


@settings(max_examples=20, deadline=None)
@given(pairs=st.integers(1, 9), more=st.integers(0, 9), noise=st.sampled_from([0.0, 0.2]), seed=st.integers(0, 999))
def test_queries_are_keys_with_errors(pairs: int, more: int, noise: float, seed: int) -> None:
    made = generate(
        split="train", size=60, seed=seed, width=40, classes=3, noise=noise, min_pairs=pairs, max_pairs=pairs + more
    )
    lengths = np.diff(made.offsets)
    assert pairs <= lengths.min() <= lengths.max() <= pairs + more
    assert set(np.unique(made.keys)) <= {-1, 1}
    assert set(np.unique(made.values)) <= {0, 1, 2}
    for i, (first, asked) in enumerate(zip(made.offsets[:-1], made.asked, strict=True)):
        assert 0 <= asked < lengths[i]
        assert made.targets[i] == made.values[first + asked]
    wrong = (made.queries != made.keys[made.offsets[:-1] + made.asked]).mean()
    assert wrong == pytest.approx(noise, abs=0.05)


def test_batches_hold_every_memory_once() -> None:
    data = ready()
    assert data.task == Retrieval(inputs=16, classes=4)
    assert data.attributes("test")["pairs"].max() > 20
    seen = []
    for batch in data.test_dataloader():
        assert batch.keys.shape[0] * batch.keys.shape[1] <= 900
        for row, pairs in enumerate(batch.pairs.tolist()):
            norms = batch.keys[row].norm(dim=1)
            torch.testing.assert_close(norms[:pairs], torch.ones(pairs))
            assert not norms[pairs:].any()
        seen += batch.index.tolist()
    assert sorted(seen) == list(range(50))
    assert ready(seed=2).fingerprint == data.fingerprint != ready(corpus_seed=2).fingerprint


def test_the_best_sharpness_makes_the_weights_the_probabilities() -> None:
    """Against Bayes' rule: P(q | k) = Π noise^[q≠k] (1 − noise)^[q=k], pairs as likely."""
    data = ready(noise=0.2)
    batch = next(iter(data.val_dataloader()))
    model = Associative(task=data.task, width=16, sharpness=sharpest(width=16, noise=0.2)).eval()
    logits = model.network(*(getattr(batch, name) for name in ("keys", "values", "query")), batch.keys[..., 0] != 0)
    for row, pairs in enumerate(batch.pairs.tolist()):
        same = (torch.sign(batch.keys[row, :pairs]) == torch.sign(batch.query[row])).numpy()
        likely = np.where(same, 0.8, 0.2).prod(1)
        classes = np.bincount(batch.values[row, :pairs], weights=likely / likely.sum(), minlength=4)
        np.testing.assert_allclose(logits[row].exp().detach(), classes, atol=1e-4)


def test_it_learns_to_retrieve_from_larger_memories_than_it_was_trained_on() -> None:
    data = ready(noise=0.05)
    torch.manual_seed(0)
    model = Associative(task=data.task, width=16)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(15):
        for batch in data.train_dataloader():
            optimizer.zero_grad()
            model.measure(batch).loss.backward()
            optimizer.step()
    found = [model.eval().measure(batch) for batch in data.test_dataloader()]
    right = sum(float(measures.sums["correct"]) for measures in found) / 50
    assert right >= 0.9
    sums = {name: float(sum(m.sums[name] for m in found)) for name in found[0].sums}
    assert data.task.metrics(sums)["accuracy"] == pytest.approx(right)


def test_refusals() -> None:
    with pytest.raises(UserError, match="no split 'dev'"):
        generate(split="dev", size=1, seed=1, width=2, classes=2, noise=0.1, min_pairs=1, max_pairs=1)
    with pytest.raises(UserError, match=r"retrieval: noise = 0.5 is out of range"):
        generate(split="val", size=1, seed=1, width=2, classes=2, noise=0.5, min_pairs=1, max_pairs=1)
    with pytest.raises(UserError, match=r"max_pairs = 1 is out of range\n  Allowed are 2 to"):
        ready(max_pairs=1)
