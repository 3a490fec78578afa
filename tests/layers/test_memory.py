"""The associative memory against the lecture's equations, and in the limit of sharp keys."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtrain.layers.memory import attend, weigh


def by_hand(x: np.ndarray, keys: np.ndarray, values: np.ndarray, beta: float) -> np.ndarray:
    scores = beta * np.array([k @ x for k in keys])
    c = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    return sum(c_m * v for c_m, v in zip(c, values, strict=True))


def test_what_comes_back_is_the_equation() -> None:
    draws = np.random.default_rng(0)
    x, keys, values = draws.normal(size=(3, 4)), draws.normal(size=(3, 5, 4)), draws.normal(size=(3, 5, 2))
    lengths = [5, 3, 0]
    real = torch.arange(5) < torch.tensor(lengths)[:, None]
    tensors = [torch.from_numpy(array).float() for array in (x, keys, values)]
    found, weights = attend(*tensors, real, sharpness=1.5)
    for b, n in enumerate(lengths[:2]):
        np.testing.assert_allclose(found[b], by_hand(x[b], keys[b, :n], values[b, :n], 1.5), rtol=1e-5)
        assert not weights[b, n:].any()
    np.testing.assert_allclose(weights.sum(1), [1, 1, 0], rtol=1e-6)  # of an empty memory nothing comes back
    assert not found[2].any()
    whole, _ = attend(*tensors)
    np.testing.assert_allclose(whole[2], by_hand(x[2], keys[2], values[2], 1.0), rtol=1e-5)


def test_without_softmax_the_scores_are_the_weights() -> None:
    scores, real = torch.tensor([[2.0, -1.0, 5.0]]), torch.tensor([[True, True, False]])
    assert weigh(scores, real, linear=True).tolist() == [[2.0, -1.0, 0.0]]
    assert weigh(scores, linear=True).tolist() == [[2.0, -1.0, 5.0]]


@settings(max_examples=60, deadline=None)
@given(pairs=st.integers(1, 12), seed=st.integers(0, 10**6), beta=st.floats(1.0, 2000.0))
def test_sharp_keys_give_back_exactly_what_was_stored(pairs: int, seed: int, beta: float) -> None:
    """Keys of one length with distances: others get at most (M − 1) exp(−β δ), δ = min k·k − k·k' > 0."""
    draws = np.random.default_rng(seed)
    keys = draws.permutation(2**6)[:pairs, None] >> np.arange(6) & 1
    keys = torch.from_numpy(2.0 * keys - 1).float() / 6**0.5  # different corners of a cube, on the unit ball
    values = torch.from_numpy(draws.uniform(-1, 1, size=(pairs, 3))).float()
    wanted = int(draws.integers(pairs))
    found, weights = attend(keys[wanted : wanted + 1], keys[None], values[None], sharpness=beta)
    others = 1 - float(weights[0, wanted])
    margin = 1 / 3  # two corners differ in one of six places at least
    assert others <= (pairs - 1) * np.exp(-beta * margin) + 1e-5
    assert float((found[0] - values[wanted]).abs().max()) <= 2 * others + 1e-5
    if beta > 400:
        assert torch.equal(found[0], values[wanted])  # exactly: the others' weights are 0 in float32
