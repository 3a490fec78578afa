"""Gradient clipping by norm, per-matrix norm or value, with a record of what it did."""

import logging
import math
from collections.abc import Iterator
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only

from seqtrain.config.types import PositiveFloat
from seqtrain.errors import UserError

log = logging.getLogger(__name__)


class GradientClipping(pl.Callback):
    """Clips gradients before the optimizer's step and keeps steps with a gradient that is not finite from happening.

    By the norm of all gradients g together (Pascanu 2013): g ← g · min(1, norm / ‖g‖). With `per_parameter`, the same
    for every parameter on its own (Sukhbaatar 2015). By value: every number is brought into [-value, value].

    Logs, whenever Lightning logs a step: `grad/norm`, the norm of all gradients before clipping; `grad/clipped_share`,
    the share of the steps since the last time that were clipped; `grad/skipped`, how many steps were skipped so far.

    Under float16 the gradients arrive unscaled, and a step that overflowed is the scaler's to skip, as always in such
    a training: it is counted, but `stop` does not stop for it.

    Args:
        norm: the largest norm allowed; `None` and `value` `None` clip nothing and log the norm.
        value: the largest absolute value allowed; set `norm` to `None` with it.
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
        per_parameter: bool = False,
        non_finite: Literal["skip", "stop"] = "skip",
    ) -> None:
        super().__init__()
        if norm is not None and value is not None:
            raise UserError(
                f"gradients are clipped by norm ({norm}) or by value ({value}), not by both",
                "Set callbacks.clipping.norm=null or callbacks.clipping.value=null.",
            )
        if per_parameter and norm is None:
            raise UserError("per_parameter needs a norm", "Set callbacks.clipping.norm to a number.")
        self.norm = norm
        self.value = value
        self.per_parameter = per_parameter
        self.non_finite = non_finite
        self.skipped = 0
        self._steps = 0
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

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Clips the gradients of `optimizer`'s parameters in place, or takes them away."""
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            raise UserError(
                f"{type(optimizer).__name__} unscales float16 gradients in its own step, after they would be clipped",
                "Set optimizer.fused=false, or use bf16-mixed.",
            )
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not parameters:
            return
        gradients = [p.grad for p in parameters]
        total = torch.nn.utils.get_total_norm(gradients)
        size = total.item()  # the one wait for the device; nothing is scaled by a norm that is not finite
        self._steps += 1
        if math.isfinite(size):
            self._clipped = self._clipped.to(total.device) + self._clip(parameters, gradients, total)
        else:
            self._refuse(trainer, pl_module, parameters, size, stop=self.non_finite == "stop" and scaler is None)
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
        if self.norm is None:
            return torch.zeros((), dtype=torch.bool, device=total.device)
        if not self.per_parameter:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.norm, total)
            return total > self.norm
        norms = [torch.linalg.vector_norm(g) for g in gradients]
        for parameter, size in zip(parameters, norms, strict=True):
            torch.nn.utils.clip_grads_with_norm_([parameter], self.norm, size)
        return torch.stack(norms).max() > self.norm

    def _refuse(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        parameters: list[torch.nn.Parameter],
        size: float,
        *,
        stop: bool,
    ) -> None:
        """Takes the gradients away, so that no optimizer touches anything in this step, or ends the training."""
        message = f"the gradient's norm is {size} at step {trainer.global_step}"
        if stop:
            names = ", ".join(_not_finite(pl_module)) or "none alone: their sum of squares is too large"
            raise UserError(
                f"{message}; not finite: {names}",
                "Try a smaller learning rate or a longer warm-up, or callbacks.clipping.non_finite=skip.",
                code=1,
            )
        for parameter in parameters:
            parameter.grad = None
        self.skipped += 1
        if self.skipped == 1:
            _warn(message)

    def _log(self, pl_module: pl.LightningModule, size: float) -> None:
        share = self._clipped.float() / self._steps
        pl_module.log("grad/norm", size, on_step=True, on_epoch=False, batch_size=1)
        pl_module.log("grad/clipped_share", share, on_step=True, on_epoch=False, batch_size=1)
        pl_module.log("grad/skipped", float(self.skipped), on_step=True, on_epoch=False, batch_size=1)
        self._steps = 0
        self._clipped = torch.zeros_like(self._clipped)


def _logs(trainer: Any) -> bool:
    """Whether Lightning logs the step that is being taken."""
    every = trainer.log_every_n_steps
    return bool(trainer.fast_dev_run or (every and (trainer.global_step + 1) % every == 0))


def _not_finite(pl_module: pl.LightningModule) -> Iterator[str]:
    for name, parameter in pl_module.named_parameters():
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            yield name
            return


@rank_zero_only
def _warn(message: str) -> None:
    log.warning("%s: the step is skipped. From here on such steps are only counted, as grad/skipped.", message)
