"""An exponential moving average of the weights, which is what is validated and saved."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from seqtrain.config.types import Probability
from seqtrain.errors import UserError
from seqtrain.layers.sharding import parts, spread, whole_values


class EMA(pl.Callback):
    """Keeps θ' ← d_t θ' + (1 − d_t) θ, an average of the parameters θ, after every optimizer step t (Polyak & Juditsky
    1992; Szegedy 2016, section 8).

    d_t = min(d, (1 + t) / (10 + t)): in the first steps the average forgets faster, so that what the parameters were
    drawn as does not stay in it for 1 / (1 − d) steps. Buffers are not averaged.

    Validation is of θ', and the `state_dict` of every checkpoint is θ': the best is chosen by what it is used as. θ
    stands beside it, under `ema`, and a resumed training goes on with both, bit for bit. After the training the module
    holds θ'.

    Lightning's `EMAWeightAveraging` is not used: its checkpoint lacks the update of a step after which another
    callback saves before it; it ends a training by writing θ' where a longer one would go on with θ; and a test of a
    checkpoint by the same trainer is of θ.

    Args:
        decay: d.

    Raises:
        UserError: when the training begins, with parameters in 16 bits, which (1 − d) θ is too little to change.
    """

    def __init__(self, *, decay: Probability = 0.999) -> None:
        super().__init__()
        self.decay = decay
        self._updates = 0
        self._step = 0
        self._loaded: dict[str, Any] | None = None
        self._other: dict[str, Tensor] | None = None  # θ' by name; while it is in the module, θ
        self._swapped = False

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keeps θ for the moment when the module is where it is trained."""
        if trainer.state.fn == "fit":
            # The trainer itself counts the checkpoint's steps a little later.
            self._loaded = {"step": checkpoint["global_step"], **checkpoint.get("ema", {})}

    @torch.no_grad()
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins with θ' = θ, or goes on from a checkpoint, whose θ' the module has loaded by now."""
        if any(p.dtype in (torch.bfloat16, torch.float16) for p in pl_module.parameters()):
            raise UserError(
                f"trainer.precision={trainer.precision}: a moving average of weights in 16 bits would not move",
                "Set trainer.precision=bf16-mixed, or leave out callbacks.ema.",
            )
        loaded, self._loaded = self._loaded or {"step": trainer.global_step}, None
        parameters = dict(pl_module.named_parameters())
        self._other = {name: value.detach().clone() for name, value in parameters.items()}
        self._swapped, self._updates, self._step = False, loaded.get("updates", 0), loaded["step"]
        for name, value in loaded.get("trained", {}).items():
            parameters[name].copy_(spread(value, parameters[name]))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Takes the step in, if the optimizer took one."""
        self._update(trainer, pl_module)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Puts the average into the module."""
        if self._other is not None:
            self._update(trainer, pl_module)
            self._swap(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Puts the parameters back."""
        if self._other is not None and self._swapped:
            self._swap(pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Saves the average as the weights, and the parameters beside it."""
        if self._other is None:
            return
        self._update(trainer, pl_module)  # another callback may save before this one's turn
        inside = {name: value.detach() for name, value in pl_module.named_parameters()}
        averages, trained = map(whole_values, (inside, self._other) if self._swapped else (self._other, inside))
        checkpoint["state_dict"] = {**checkpoint["state_dict"], **_under_all_names(pl_module, averages)}
        checkpoint["ema"] = {"trained": trained, "updates": self._updates}

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leaves the average in the module; everything is saved by now."""
        if self._other is not None and not self._swapped:
            self._swap(pl_module)
        self._other, self._swapped = None, False

    @torch.no_grad()
    def _update(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._other is None or self._swapped or trainer.global_step == self._step:
            return
        decay = min(self.decay, (1 + self._updates) / (10 + self._updates))
        torch._foreach_lerp_(parts(self._other.values()), parts(pl_module.parameters()), 1 - decay)
        self._updates, self._step = self._updates + 1, trainer.global_step

    @torch.no_grad()
    def _swap(self, pl_module: pl.LightningModule) -> None:
        assert self._other is not None
        parameters, other = parts(pl_module.parameters()), parts(self._other.values())
        inside = [value.clone() for value in parameters]
        torch._foreach_copy_(parameters, other)
        torch._foreach_copy_(other, inside)
        self._swapped = not self._swapped


def _under_all_names(module: nn.Module, values: dict[str, Tensor]) -> dict[str, Tensor]:
    """`values`, and for a parameter that several layers share, the value under each of its names."""
    by_identity = {id(parameter): values[name] for name, parameter in module.named_parameters()}
    return {name: by_identity[id(p)] for name, p in module.named_parameters(remove_duplicate=False)}
