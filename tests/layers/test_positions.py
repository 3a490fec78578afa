"""Positions against the papers' equations in NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqtrain.errors import UserError
from seqtrain.layers.positions import Learned, Rotary, Sinusoidal, sinusoids


@pytest.mark.parametrize("width", [2, 6, 128])
def test_sinusoids_are_the_paper_s(width: int) -> None:
    expected = np.zeros((50, width))
    for t in range(50):
        for i in range(width // 2):
            expected[t, 2 * i] = np.sin(t / 10000 ** (2 * i / width))
            expected[t, 2 * i + 1] = np.cos(t / 10000 ** (2 * i / width))
    np.testing.assert_allclose(sinusoids(torch.arange(50), width).numpy(), expected, atol=1e-5)
    steps = torch.tensor([0, 49, 3, 3])
    added = Sinusoidal(width=width)(torch.ones(4, width), steps, 50)
    np.testing.assert_allclose(added.numpy(), 1 + expected[steps.numpy()], atol=1e-5)


def test_rotations_are_the_paper_s() -> None:
    x, steps = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0)), np.array([0, 1, 7])
    expected = np.empty((3, 2, 4))
    for n, t in enumerate(steps):
        for i, angle in enumerate((t * 1.0, t / 100.0)):
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            expected[n, :, [i, i + 2]] = turn @ x[n, :, [i, i + 2]].numpy().T
    np.testing.assert_allclose(Rotary(width=4)(x, torch.from_numpy(steps)).numpy(), expected, rtol=1e-5, atol=1e-6)


@given(t=st.integers(0, 200), s=st.integers(0, 200), shift=st.integers(0, 200))
def test_rotated_scores_depend_on_the_difference_of_steps_only(t: int, s: int, shift: int) -> None:
    generator = torch.Generator().manual_seed(t * 1000 + s)
    q, k = torch.randn(2, 1, 1, 8, generator=generator)
    turn = Rotary(width=8)

    def score(t: int, s: int) -> torch.Tensor:
        return (turn(q, torch.tensor([t])) * turn(k, torch.tensor([s]))).sum()

    torch.testing.assert_close(score(t, s), score(t + shift, s + shift), rtol=1e-3, atol=2e-3)


def test_learned_positions_are_one_vector_a_step_and_end() -> None:
    learned = Learned(width=4, max_positions=3, deviation=0.5)
    steps = torch.tensor([2, 0, 2])
    torch.testing.assert_close(learned(torch.ones(3, 4), steps, 3), 1 + learned.table.weight[steps])
    with pytest.raises(UserError, match=r"4 tokens is longer than model\.max_positions=3"):
        learned(torch.ones(1, 4), torch.tensor([3]), 4)
    assert Learned(width=50, max_positions=300, deviation=0.1).table.weight.std().item() == pytest.approx(0.1, rel=0.03)


def test_sinusoids_are_kept_for_the_steps_that_come(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def noted(steps: torch.Tensor, width: int) -> torch.Tensor:
        made.append(len(steps))
        return sinusoids(steps, width)

    monkeypatch.setattr("seqtrain.layers.positions.sinusoids", noted)
    positions, x = Sinusoidal(width=4), torch.ones(1, 4, requires_grad=True)
    with torch.inference_mode():
        one_by_one = [positions(x, torch.tensor([t]), t + 1) for t in range(40)]
    torch.testing.assert_close(torch.cat(one_by_one), 1 + sinusoids(torch.arange(40), 4))
    assert len(made) < 8
    positions(x, torch.tensor([7]), 8).sum().backward()
    assert not positions.state_dict()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_positions_keep_the_precision_of_what_they_are_added_to(dtype: torch.dtype) -> None:
    x, steps = torch.ones(3, 2, 4, dtype=dtype), torch.arange(3)
    assert Sinusoidal(width=4)(x[:, 0], steps, 3).dtype == dtype
    assert Learned(width=4, max_positions=3, deviation=0.1).to(dtype)(x[:, 0], steps, 3).dtype == dtype
    assert Rotary(width=4)(x, steps).dtype == dtype
