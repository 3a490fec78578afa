"""Gradient clipping against torch's own."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_lightning.plugins import MixedPrecision

from seqtrain.callbacks.clipping import GradientClipping, clip_per_unit_
from seqtrain.errors import UserError
from tests.tiny import Numbers, Regression, trainer


class Watched(Regression):
    """Keeps the gradients that the optimizer is given."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seen: list[list[torch.Tensor | None]] = []

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        # A module's hook runs after the callbacks'.
        self.seen.append([None if p.grad is None else p.grad.clone() for p in self.parameters()])


class Poisoned(Watched):
    """The gradient of the bias is not finite in the second step."""

    def on_after_backward(self) -> None:
        if self.trainer.global_step == 1:
            assert self.layer.bias.grad is not None
            self.layer.bias.grad[0] = float("nan")


def first_gradients() -> list[torch.Tensor]:
    torch.manual_seed(0)
    model = Regression(scale=50.0)
    model.loss(next(iter(Numbers().loader(1)))).backward()
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def parameters_with(gradients: list[torch.Tensor]) -> list[torch.nn.Parameter]:
    found = []
    for gradient in gradients:
        parameter = torch.nn.Parameter(torch.zeros_like(gradient))
        parameter.grad = gradient.clone()
        found.append(parameter)
    return found


def run(callback: GradientClipping, folder: Path, model: Watched | None = None, **options: Any) -> Watched:
    if model is None:
        torch.manual_seed(0)
        model = Watched(scale=50.0)
    trainer(folder, callback, max_epochs=1, **options).fit(model, datamodule=Numbers())
    return model


def test_by_norm_as_torch(tmp_path: Path) -> None:
    model = run(GradientClipping(norm=1.5), tmp_path)
    expected = parameters_with(first_gradients())
    torch.nn.utils.clip_grad_norm_(expected, 1.5)
    for seen, parameter in zip(model.seen[0], expected, strict=True):
        torch.testing.assert_close(seen, parameter.grad)


def test_by_value_as_torch(tmp_path: Path) -> None:
    model = run(GradientClipping(norm=None, value=0.3), tmp_path)
    expected = parameters_with(first_gradients())
    torch.nn.utils.clip_grad_value_(expected, 0.3)
    for seen, parameter in zip(model.seen[0], expected, strict=True):
        torch.testing.assert_close(seen, parameter.grad)


def test_per_parameter_clips_each_alone(tmp_path: Path) -> None:
    model = run(GradientClipping(norm=2.0, per_parameter=True), tmp_path)
    expected = parameters_with(first_gradients())
    for seen, parameter in zip(model.seen[0], expected, strict=True):
        torch.nn.utils.clip_grad_norm_([parameter], 2.0)
        torch.testing.assert_close(seen, parameter.grad)


def per_unit(weights: np.ndarray, gradient: np.ndarray, ratio: float) -> np.ndarray:
    """Brock 2021, equation 3, unit by unit; a vector is one unit."""
    if weights.ndim == 1:
        return per_unit(weights[None], gradient[None], ratio)[0]
    rows = []
    for W, G in zip(weights, gradient, strict=True):
        largest = max(np.sqrt((W**2).sum()), 1e-3)
        size = np.sqrt((G**2).sum())
        rows.append(ratio * largest / size * G if size / largest > ratio else G)
    return np.stack(rows)


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    ratio=st.floats(1e-3, 10),
    weight=st.sampled_from([0.0, 1e-4, 1.0, 30.0]),
    seed=st.integers(0, 99),
)
def test_per_unit_as_the_paper(shape: list[int], ratio: float, weight: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = weight * rng.standard_normal(shape)
    gradient = rng.standard_normal(shape) * rng.choice([0.0, 0.1, 10.0], (shape[0],) + (1,) * (len(shape) - 1))
    parameter = torch.nn.Parameter(torch.tensor(weights))
    parameter.grad = torch.tensor(gradient)
    clipped = clip_per_unit_([parameter], ratio)
    expected = per_unit(weights, gradient, ratio)
    np.testing.assert_allclose(parameter.grad.numpy(), expected, rtol=1e-12)
    assert bool(clipped) == bool((np.abs(expected - gradient) > 1e-12 * np.abs(gradient)).any())
    np.testing.assert_array_equal(parameter.detach().numpy(), weights)


def test_adaptive_in_a_training(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Watched(scale=50.0)
    before = [p.detach().numpy().copy() for p in model.parameters()]
    callback = GradientClipping(norm=None, adaptive=0.01)
    fitted = trainer(tmp_path, callback, max_epochs=1, log_every_n_steps=4)
    fitted.fit(model, datamodule=Numbers())
    for seen, weights, gradient in zip(model.seen[0], before, first_gradients(), strict=True):
        assert seen is not None
        np.testing.assert_allclose(seen.numpy(), per_unit(weights, gradient.numpy(), 0.01), rtol=1e-5)
    assert float(fitted.callback_metrics["grad/norm"]) > 1.0
    assert float(fitted.callback_metrics["grad/clipped_share"]) == 1.0


def test_adaptive_leaves_small_gradients_alone(tmp_path: Path) -> None:
    callback = GradientClipping(norm=None, adaptive=1e6)
    fitted = trainer(tmp_path, callback, max_epochs=1, log_every_n_steps=4)
    torch.manual_seed(0)
    model = Watched(scale=50.0)
    fitted.fit(model, datamodule=Numbers())
    for seen, gradient in zip(model.seen[0], first_gradients(), strict=True):
        assert seen is not None
        assert torch.equal(seen, gradient)
    assert float(fitted.callback_metrics["grad/clipped_share"]) == 0.0


def test_adaptive_in_half_precision() -> None:
    parameter = torch.nn.Parameter(torch.full((2, 3), 2.0, dtype=torch.bfloat16))
    parameter.grad = torch.tensor([[3.0, 0.0, 4.0], [0.0, 0.0, 0.0]], dtype=torch.bfloat16)
    assert clip_per_unit_([parameter], 0.1)
    assert parameter.grad.dtype == torch.bfloat16
    torch.testing.assert_close(
        parameter.grad.float().norm(dim=1), torch.tensor([0.1 * 12**0.5, 0.0]), rtol=1e-2, atol=0
    )


def test_logs_norm_before_clipping_and_share(tmp_path: Path) -> None:
    callback = GradientClipping(norm=1e-3)
    fitted = trainer(tmp_path, callback, max_epochs=1, log_every_n_steps=4)
    torch.manual_seed(0)
    fitted.fit(Watched(), datamodule=Numbers())
    assert float(fitted.callback_metrics["grad/norm"]) > 0.1
    assert float(fitted.callback_metrics["grad/clipped_share"]) == 1.0
    assert float(fitted.callback_metrics["grad/skipped"]) == 0.0


def test_share_of_steps(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Watched(scale=50.0, lr=0.0)
    norms = []

    class Norms(GradientClipping):
        def _log(self, pl_module: Any, size: float) -> None:
            norms.append(size)
            super()._log(pl_module, size)

    run(Norms(norm=None), tmp_path, copy.deepcopy(model))
    middle = sorted(norms)[1] + 1e-3  # two of the four steps are above it: the weights stay where they are
    assert len(norms) == 4
    clipping = GradientClipping(norm=middle)
    fitted = trainer(tmp_path, clipping, max_epochs=1, log_every_n_steps=4)
    fitted.fit(model, datamodule=Numbers())
    assert float(fitted.callback_metrics["grad/clipped_share"]) == 0.5


def test_step_that_is_not_finite_leaves_everything_alone(tmp_path: Path) -> None:
    """Weights, weight decay, moments and the optimizer's count of steps: as if the step had not been."""
    torch.manual_seed(0)
    model = Poisoned()
    states: list[Any] = []

    class Snapshots(GradientClipping):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            states.append(copy.deepcopy((pl_module.layer.state_dict(), trainer.optimizers[0].state_dict()["state"])))

    callback = Snapshots()
    fitted = trainer(tmp_path, callback, max_epochs=1)
    fitted.fit(model, datamodule=Numbers())
    assert model.seen[1] == [None, None]
    for before, after in zip(_tensors(states[0]), _tensors(states[1]), strict=True):
        torch.testing.assert_close(before, after, rtol=0, atol=0)
    assert any(not torch.equal(a, b) for a, b in zip(_tensors(states[1]), _tensors(states[2]), strict=True))
    assert callback.skipped == 1
    assert float(fitted.callback_metrics["grad/skipped"]) == 1.0


def _tensors(state: Any) -> list[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return [state]
    values = state.values() if isinstance(state, dict) else state
    return [tensor for value in values for tensor in _tensors(value)]


def test_stop_names_step_and_parameter(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nan at step 1; not finite: the gradient of layer\.bias"):
        run(GradientClipping(non_finite="stop"), tmp_path, Poisoned())


def test_bfloat16(tmp_path: Path) -> None:
    model = run(GradientClipping(norm=0.5), tmp_path, precision="bf16-mixed")
    norms = [torch.nn.utils.get_total_norm([g for g in step if g is not None]).item() for step in model.seen]
    assert max(norms) <= 0.5 + 1e-5


@pytest.mark.parametrize("fused", [False, True])
def test_float16_is_unscaled_before(fused: bool, tmp_path: Path) -> None:
    """A fused optimizer unscales gradients in its own step, where others are given unscaled ones."""

    class Scaled(Watched):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.01, fused=fused)

    torch.manual_seed(0)
    model = Scaled(scale=50.0)
    before = [p.detach().clone() for p in model.parameters()]
    precision = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=8.0))
    run(GradientClipping(norm=1.5), tmp_path, model, plugins=[precision], max_steps=1)
    expected = parameters_with(first_gradients())
    torch.nn.utils.clip_grad_norm_(expected, 1.5)
    for old, new, seen, parameter in zip(before, model.parameters(), model.seen[0], expected, strict=True):
        torch.testing.assert_close(seen, parameter.grad, rtol=1e-2, atol=1e-3)
        torch.testing.assert_close(new, old - 0.01 * parameter.grad, rtol=1e-2, atol=1e-4)


def test_refuses_to_clip_twice(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="clipped twice"):
        run(GradientClipping(), tmp_path, gradient_clip_val=1.0)


def test_refuses_what_excludes_each_other() -> None:
    with pytest.raises(UserError, match="not by both"):
        GradientClipping(norm=1.0, value=1.0)
    with pytest.raises(UserError, match=r"by value \(1.0\) or by adaptive \(0.01\), not by both"):
        GradientClipping(norm=None, value=1.0, adaptive=0.01)
    with pytest.raises(UserError, match="not by all"):
        GradientClipping(norm=1.0, value=1.0, adaptive=0.01)
    with pytest.raises(UserError, match="per_parameter"):
        GradientClipping(norm=None, per_parameter=True)


def test_counts_are_kept() -> None:
    callback = GradientClipping()
    callback.skipped, callback._steps, callback._clipped = 3, 7, torch.tensor(2.0)
    other = GradientClipping()
    other.load_state_dict(callback.state_dict())
    assert other.skipped == 3
    assert other.state_dict() == callback.state_dict() == {"skipped": 3, "steps": 7, "clipped": 2.0}
