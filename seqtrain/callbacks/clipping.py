"""Gradient clipping by norm, per-matrix norm, value, or adaptively per unit, with a record of what it did."""

import logging
import math
from collections.abc import Iterable
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only

from seqtrain.config.types import PositiveFloat
from seqtrain.errors import UserError
from seqtrain.layers.finite import first_gradient_not_finite, refuse_spoilt
from seqtrain.layers.sharding import whole

log = logging.getLogger(__name__)

EPSILON = 1e-3
"""What a unit's weights count as at least (Brock 2021): one that starts at zero could not be learnt otherwise."""
IN_A_ROW = 100
"""So many steps in a row are not skipped for an odd batch: nothing is trained any more. The scaler of float16 finds its
scale in fewer: 40 halvings lead from its first one, 2¹⁶, to the smallest number that float16 has, 2⁻²⁴."""


class GradientClipping(pl.Callback):
    """Clips gradients before the optimizer's step and keeps steps with a gradient that is not finite from happening.

    By the norm of all gradients g together (Pascanu 2013): g ← g · min(1, norm / ‖g‖). With `per_parameter`, the same
    for every parameter on its own (Sukhbaatar 2015), or for every matrix of one that several are stacked in. By value:
    every number is brought into [-value, value]. Adaptively, for every unit i on its own (Brock 2021, arXiv:2102.06171,
    section 4): see `clip_per_unit_`.

    Logs, whenever Lightning logs a step: `grad/norm`, the norm of all gradients before clipping; `grad/clipped_share`,
    the share of the steps since the last time that were clipped; `grad/skipped`, how many steps were skipped so far.

    Under float16 the gradients are unscaled before, and a step that overflowed is the scaler's to skip, as always in
    such a training: it is counted, but `stop` does not stop for it.

    Whatever `non_finite` is, the training ends where nothing can come of it any more: after `IN_A_ROW` steps that were
    skipped, or when a weight is not finite itself.

    Args:
        norm: the largest norm allowed; `None`, with `value` and `adaptive` `None` too, clips nothing and logs the norm.
        value: the largest absolute value allowed; set `norm` to `None` with it.
        adaptive: λ, the largest ratio of a unit's gradient to its weights, 0.01, say; set `norm` to `None` with it.
        per_parameter: apply `norm` to every parameter on its own.
        non_finite: `skip` leaves parameters and the optimizer's moments as they are, `stop` ends the training.

    Raises:
        UserError: settings that exclude each other, or the trainer clips gradients itself.
    """

    def __init__(
        self,
        *,
        norm: PositiveFloat | None = 1.0,
        value: PositiveFloat | None = None,
        adaptive: PositiveFloat | None = None,
        per_parameter: bool = False,
        non_finite: Literal["skip", "stop"] = "skip",
    ) -> None:
        super().__init__()
        ways = {"norm": norm, "value": value, "adaptive": adaptive}
        given = {way: limit for way, limit in ways.items() if limit is not None}
        if len(given) > 1:
            raise UserError(
                f"gradients are clipped by {' or by '.join(f'{way} ({limit})' for way, limit in given.items())},"
                f" not by {'both' if len(given) == 2 else 'all'}",
                f"Leave one: set {' or '.join(f'callbacks.clipping.{way}=null' for way in given)}.",
            )
        if per_parameter and norm is None:
            raise UserError("per_parameter needs a norm", "Set callbacks.clipping.norm to a number.")
        self.norm = norm
        self.value = value
        self.adaptive = adaptive
        self.per_parameter = per_parameter
        self.non_finite = non_finite
        self.skipped = 0
        self._steps = 0
        self._in_a_row = 0
        self._loss: torch.Tensor | float = 0.0
        self._clipped = torch.zeros(())

    def state_dict(self) -> dict[str, Any]:
        """What has been counted: steps skipped in all, and steps taken and clipped since the last logging."""
        return {"skipped": self.skipped, "steps": self._steps, "clipped": float(self._clipped)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on counting from there."""
        self.skipped = int(state_dict["skipped"])
        self._steps = int(state_dict["steps"])
        self._clipped = torch.tensor(float(state_dict["clipped"]))

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuses to clip what the trainer clips as well."""
        if trainer.gradient_clip_val:
            raise UserError(
                f"gradients would be clipped twice: by trainer.gradient_clip_val={trainer.gradient_clip_val} "
                "and by the callback GradientClipping",
                "Remove one: trainer.gradient_clip_val=null, or ~callbacks.clipping.",
            )

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: torch.Tensor) -> None:
        """Keeps the loss, of all batches of a step together, to tell which was not finite first."""
        self._loss = self._loss + loss.detach()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Clips the gradients of `optimizer`'s parameters in place, or takes them away."""
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            scaler.unscale_(optimizer)  # a fused optimizer would do so in its own step, after they are clipped
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not parameters:
            return
        gradients = [p.grad for p in parameters]
        total = whole(torch.nn.utils.get_total_norm(gradients))
        size = total.item()  # the one wait for the device; nothing is scaled by a norm that is not finite
        self._steps += 1
        if math.isfinite(size):
            self._in_a_row = 0
            self._clipped = self._clipped.to(total.device) + whole(self._clip(parameters, gradients, total))
        else:
            self._refuse(trainer, pl_module, size, stop=self.non_finite == "stop" and scaler is None)
            for parameter in parameters:
                parameter.grad = None
        self._loss = 0.0
        if _logs(trainer):
            self._log(pl_module, size)

    def _clip(
        self, parameters: list[torch.nn.Parameter], gradients: list[torch.Tensor], total: torch.Tensor
    ) -> torch.Tensor:
        """Clips in place; returns a () tensor that tells whether anything was too large."""
        if self.value is not None:
            clipped = torch.stack([g.abs().max() for g in gradients]).max() > self.value
            torch.nn.utils.clip_grad_value_(parameters, self.value)
            return clipped
        if self.adaptive is not None:
            return clip_per_unit_(parameters, self.adaptive)
        if self.norm is None:
            return torch.zeros((), dtype=torch.bool, device=total.device)
        if not self.per_parameter:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.norm, total)
            return total > self.norm
        return torch.stack([clip_per_matrix_(parameter, self.norm) for parameter in parameters]).any()

    def _refuse(self, trainer: pl.Trainer, pl_module: pl.LightningModule, size: float, *, stop: bool) -> None:
        """Counts a step that is skipped, or ends the training; says what was not finite first."""
        step = trainer.global_step
        refuse_spoilt(pl_module, step)
        loss = float(self._loss)
        name = first_gradient_not_finite(pl_module)
        found = f"the gradient of {name}" if name else "no gradient alone: their sum of squares is too large"
        if not math.isfinite(loss):
            found = f"the loss ({loss}) and {found}"
        self.skipped += 1
        self._in_a_row += 1
        lasting = self._in_a_row >= IN_A_ROW
        if stop or lasting:
            row = f"{self._in_a_row} steps in a row were skipped: " if lasting else ""
            ways = "" if lasting else ", or callbacks.clipping.non_finite=skip"
            raise UserError(
                f"{row}the gradient's norm is {size} at step {step}; not finite: {found}",
                f"Try a smaller optimizer.lr or a longer warm-up, trainer.precision=32-true{ways}.",
                code=1,
            )
        if self.skipped == 1:
            _warn(f"the gradient's norm is {size} at step {step}; not finite: {found}")

    def _log(self, pl_module: pl.LightningModule, size: float) -> None:
        share = self._clipped.float() / self._steps
        pl_module.log("grad/norm", size, on_step=True, on_epoch=False, batch_size=1)
        pl_module.log("grad/clipped_share", share, on_step=True, on_epoch=False, batch_size=1)
        pl_module.log("grad/skipped", float(self.skipped), on_step=True, on_epoch=False, batch_size=1)
        self._steps = 0
        self._clipped = torch.zeros_like(self._clipped)


def clip_per_unit_(parameters: Iterable[torch.nn.Parameter], ratio: float) -> torch.Tensor:
    """Clips the gradient G_i of every unit i by the norm of its weights W_i, in place:

        G_i ← G_i · min(1, ratio · max(‖W_i‖, ε) / ‖G_i‖),   ε = 1e-3

    as Brock et al. 2021 (arXiv:2102.06171), section 4. A unit is a row of a matrix, what one unit reads (of stacked
    gates, one gate's row of one unit; of an embedding, one token's vector); of a kernel, everything behind its first
    dimension; a vector is one unit as a whole, as in the authors' code. They leave the last linear layer out; here it
    is clipped as the others are: it may be the embeddings' matrix too, and which layer is the last is not to be seen.

    Args:
        parameters: those with gradients.
        ratio: λ.

    Returns:
        A () tensor: whether any unit was clipped.
    """
    clipped = []
    for parameter in parameters:
        gradient = parameter.grad
        assert gradient is not None
        largest = ratio * _unit_norms(parameter.detach()).clamp(min=EPSILON)
        sizes = _unit_norms(gradient)
        # A gradient of zero makes the quotient infinite, not NaN: `largest` is above zero.
        gradient.mul_((largest / sizes).clamp(max=1.0))
        clipped.append((sizes > largest).any())
    return torch.stack(clipped).any()


def clip_per_matrix_(parameter: torch.nn.Parameter, norm: float) -> torch.Tensor:
    """Clips a parameter's gradient by its norm, in place, as `torch.nn.utils.clip_grad_norm_` does.

    Where several matrices are stacked in it, and `parameter.matrices` leading dimensions tell them apart, each has a
    norm of its own.

    Returns:
        A () tensor: whether anything was clipped.
    """
    gradient = parameter.grad
    assert gradient is not None
    apart = getattr(parameter, "matrices", 0)
    sizes = torch.linalg.vector_norm(gradient, dim=tuple(range(apart, gradient.ndim)), keepdim=True)
    gradient.mul_((norm / (sizes + 1e-6)).clamp(max=1.0))
    return (sizes > norm).any()


def _unit_norms(tensor: torch.Tensor) -> torch.Tensor:
    """The norm of every unit, with as many dimensions as `tensor`, or of a vector or a number as a whole."""
    dimensions = tuple(range(1, tensor.ndim)) or None
    wide = torch.promote_types(tensor.dtype, torch.float32)
    return torch.linalg.vector_norm(tensor, dim=dimensions, keepdim=dimensions is not None, dtype=wide)


def _logs(trainer: Any) -> bool:
    """Whether Lightning logs the step that is being taken."""
    every = trainer.log_every_n_steps
    return bool(trainer.fast_dev_run or (every and (trainer.global_step + 1) % every == 0))


@rank_zero_only
def _warn(message: str) -> None:
    log.warning("%s: the step is skipped. From here on such steps are only counted, as grad/skipped.", message)
