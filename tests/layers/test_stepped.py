"""Products over time against plain autograd, and the loop of layers that are written as one step."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seqtrain.layers.stepped import OverTime, SteppedLayer, at_ends

T, B, K = 4, 3, 5


class Plain:
    """The product as autograd knows it."""

    def __init__(self, weight: Tensor, dtype: torch.dtype) -> None:
        self.weight = weight.to(dtype)

    def __call__(self, s_BK: Tensor, add_BG: Tensor | None = None) -> Tensor:
        product = s_BK.to(self.weight.dtype) @ self.weight.t()
        return product if add_BG is None else product + add_BG


def states(product: Any, W: Tensor, x_TBK: Tensor, s_BK: Tensor) -> list[Tensor]:
    """s_t = tanh(W s_{t-1} + x_t) + W s_{t-1}: the matrix is used with and without something to add."""
    W_ = product(W, W.dtype)
    found = []
    for x_BK in x_TBK:
        s_BK = torch.tanh(W_(s_BK, x_BK)) + W_(s_BK)
        found.append(s_BK)
    return found


@pytest.fixture
def given() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    W, x, s = torch.randn(K, K) / K, torch.randn(T, B, K), torch.randn(B, K)
    return tuple(tensor.double().requires_grad_() for tensor in (W, x, s))  # type: ignore[return-value]


def weighted(found: list[Tensor]) -> Tensor:
    return sum((t + 1) * s.square().sum() for t, s in enumerate(found))  # type: ignore[return-value]


def test_the_gradient_is_autograd_s(given: Any) -> None:
    found, expected = states(OverTime, *given), states(Plain, *given)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(weighted(found), given), torch.autograd.grad(weighted(expected), given)
    )


def test_the_gradient_is_that_of_finite_differences(given: Any) -> None:
    assert torch.autograd.gradcheck(lambda *tensors: states(OverTime, *tensors)[-1], given)


def test_a_second_pass_over_the_same_graph_adds_the_same_again(given: Any) -> None:
    loss, (W, *_) = weighted(states(OverTime, *given)), given
    loss.backward(retain_graph=True)
    once = W.grad.clone()
    loss.backward()
    torch.testing.assert_close(W.grad, 2 * once)


def test_a_pass_that_does_not_want_the_weight_s_gradient_leaves_nothing_for_the_next(given: Any) -> None:
    W, x, s = given
    expected = torch.autograd.grad(weighted(states(Plain, *given)), W)
    found = states(OverTime, *given)
    torch.autograd.grad(found[2].sum(), [x, s], retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(weighted(found), W), expected)


def test_a_pass_that_fails_leaves_nothing_for_the_next(given: Any) -> None:
    expected = torch.autograd.grad(weighted(states(Plain, *given)), given)
    found = states(OverTime, *given)

    def fail(_: Tensor) -> None:
        raise ZeroDivisionError

    hook = found[1].register_hook(fail)
    with pytest.raises(ZeroDivisionError):
        weighted(found).backward(retain_graph=True)
    hook.remove()
    torch.testing.assert_close(torch.autograd.grad(weighted(found), given), expected)


def test_a_part_of_the_steps_is_enough(given: Any) -> None:
    W, *_ = given
    expected = torch.autograd.grad(states(Plain, *given)[1].sum(), W)
    torch.testing.assert_close(torch.autograd.grad(states(OverTime, *given)[1].sum(), W), expected)


def test_gradients_of_gradients_are_refused(given: Any) -> None:
    (gradient,) = torch.autograd.grad(weighted(states(OverTime, *given)), given[2], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()


def test_nothing_is_differentiated_that_is_not_wanted(given: Any) -> None:
    W, x, s = given
    with torch.no_grad():
        assert not states(OverTime, *given)[-1].requires_grad
    frozen = W.detach()
    found, expected = states(OverTime, frozen, x, s), states(Plain, frozen, x, s)
    torch.testing.assert_close(
        torch.autograd.grad(weighted(found), [x, s]), torch.autograd.grad(weighted(expected), [x, s])
    )
    assert not states(OverTime, frozen, x.detach(), s.detach())[-1].requires_grad


def test_a_lower_precision_s_gradient_is_the_weight_s_own() -> None:
    torch.manual_seed(0)
    W, s = torch.randn(4, 4, requires_grad=True), torch.randn(3, 4)
    product = OverTime(W, torch.bfloat16)
    out = product(s, torch.randn(3, 4))
    out.float().square().sum().backward()
    assert out.dtype == torch.bfloat16
    assert W.grad is not None
    assert W.grad.dtype == torch.float32


class Sum(SteppedLayer):
    """A state of two parts: h_t = 2 x_t + W (kept h_{t-1}), and the number of steps so far."""

    def __init__(self, *, rate: float = 0.0) -> None:
        super().__init__(hidden=K, state_size=K + 1, read_size=K, recurrent_dropout=rate)
        self.W = torch.nn.Parameter(torch.eye(K))

    def read(self, x_TBI: Tensor) -> Tensor:
        return 2 * x_TBI

    def begin(self, dtype: torch.dtype) -> OverTime:
        return OverTime(self.W, dtype)

    def step(self, x_BG: Tensor, state_BS: Tensor, products: OverTime, kept_BH: Tensor | None) -> Tensor:
        h, count = state_BS.split([K, 1], dim=1)
        h = h if kept_BH is None else h * kept_BH
        return torch.cat([products(h, x_BG), count + 1], dim=1)


def test_a_state_is_h_and_whatever_else() -> None:
    h_TBH, end = Sum()(torch.ones(T, B, K), torch.zeros(B, K + 1), torch.tensor([4, 1, 2]))
    np.testing.assert_array_equal(h_TBH[:, 0, 0].detach(), [2, 4, 6, 8])
    assert h_TBH.shape == (T, B, K)
    np.testing.assert_array_equal(end[:, 0].detach(), [8, 2, 4])
    np.testing.assert_array_equal(end[:, K].detach(), [4, 1, 2])


def test_dropout_leaves_out_the_same_units_at_every_step() -> None:
    torch.manual_seed(0)
    layer = Sum(rate=0.5)
    x = torch.zeros(T, 64, K)
    x[0] = 1.0
    h_TBH, end = layer(x, torch.zeros(64, K + 1))
    # From step to step units are doubled, as half of them are left out, or gone; nothing comes back.
    kept = h_TBH[1] != 0
    assert 0.4 < kept.float().mean() < 0.6
    for t in range(T):
        expected = torch.where(kept, 2.0 ** (t + 1), 2.0 if t == 0 else 0.0)
        torch.testing.assert_close(h_TBH[t].detach(), expected)
    assert torch.equal(end[:, K], torch.full((64,), float(T)))  # what else is in a state is left alone
    assert torch.equal(layer.eval()(x, torch.zeros(64, K + 1))[0], torch.full((T, 64, K), 2.0))


def test_states_at_ends() -> None:
    states_TBS = torch.arange(24.0).view(4, 2, 3)
    assert torch.equal(at_ends(states_TBS, None), states_TBS[3])
    assert torch.equal(at_ends(states_TBS, torch.tensor([1, 3])), torch.stack([states_TBS[0, 0], states_TBS[2, 1]]))
