"""Orthogonal initialisation of recurrent matrices."""

import logging
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only

from seqtrain.config.types import PositiveFloat

log = logging.getLogger(__name__)

GATES = {"RNN": ("h",), "GRU": ("r", "z", "n"), "LSTM": ("i", "f", "g", "o")}
"""The gates in the rows of `torch.nn`'s recurrent weights, in their order."""


class OrthogonalInitialisation(pl.Callback):
    """Makes every recurrent matrix orthogonal, gate by gate, before a fresh run begins (Saxe 2013).

    An orthogonal matrix keeps the length of what it multiplies: ‖gain · Q h‖ = gain · ‖h‖, so that a state, and the
    gradient on its way back, neither vanish nor explode by the matrix alone. The matrices of an LSTM's or GRU's gates
    lie stacked in one parameter; each is orthogonal by itself.

    A model that has `recurrent_matrices()` and `forget_gate_biases()` tells what is recurrent in it; in any other, the
    `torch.nn.RNN`, `GRU`, `LSTM` and their cells are found. A resumed run is left as its checkpoint has it.

    Args:
        gain: the factor before Q.
        forget_bias: what the LSTM's forget gates start with (Jozefowicz 2015: 1); `None` leaves them.

    Attributes:
        touched: name and shape of everything that was set.
    """

    def __init__(self, *, gain: PositiveFloat = 1.0, forget_bias: float | None = 1.0) -> None:
        super().__init__()
        self.gain = gain
        self.forget_bias = forget_bias
        self.touched: list[tuple[str, tuple[int, ...]]] = []
        self._resumed = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Initialises here: after it, a checkpoint is loaded over it and every rank gets the first one's parameters."""
        if stage == "fit" and trainer.global_step == 0:
            self.initialise(pl_module)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """A resumed run has the parameters of its checkpoint: nothing of the above is left."""
        self.touched = []
        self._resumed = True

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Says what was set."""
        if not self._resumed and trainer.global_step == 0:
            self._report()

    @torch.no_grad()
    def initialise(self, model: torch.nn.Module) -> None:
        """Sets the matrices and biases of `model` in place and notes them in `touched`."""
        self.touched = []
        own: Any = model
        matrices = own.recurrent_matrices() if hasattr(model, "recurrent_matrices") else recurrent_matrices(model)
        for name, matrix_HH in matrices:
            # The decomposition knows no half precision.
            wide = torch.empty(matrix_HH.shape, dtype=torch.float32, device=matrix_HH.device)
            matrix_HH.copy_(torch.nn.init.orthogonal_(wide, gain=self.gain))
            self.touched.append((name, tuple(matrix_HH.shape)))
        if self.forget_bias is None:
            return
        if hasattr(model, "forget_gate_biases"):
            for name, bias_H in own.forget_gate_biases():
                bias_H.fill_(self.forget_bias)
                self.touched.append((name, tuple(bias_H.shape)))
            return
        for name, bias_H, other_H in forget_gate_biases(model):
            bias_H.fill_(self.forget_bias)
            other_H.zero_()
            self.touched.append((name, tuple(bias_H.shape)))

    @rank_zero_only
    def _report(self) -> None:
        if not self.touched:
            log.warning("orthogonal initialisation found no recurrent matrix in this model (~callbacks.orthogonal)")
            return
        parts = [f"{name} {'×'.join(map(str, shape))}" for name, shape in self.touched]
        ends = ", ".join(parts) if len(parts) < 3 else f"{parts[0]} to {parts[-1]}"
        log.info("orthogonal initialisation (gain %g): %d blocks, %s", self.gain, len(parts), ends)
        log.debug("orthogonal initialisation: %s", ", ".join(parts))


def recurrent_matrices(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and (H, H) view of every gate's recurrent matrix in `torch.nn`'s recurrent modules inside `model`."""
    for prefix, module, gates in _recurrent(model):
        for name, weight in module.named_parameters(recurse=False):
            if name.startswith("weight_hh"):
                blocks = weight.chunk(len(gates))
                yield from ((f"{prefix}{name}[{gate}]", block) for gate, block in zip(gates, blocks, strict=True))


def forget_gate_biases(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Name and two (H,) views a forget gate of `torch.nn`'s LSTMs inside `model`: the two biases that it adds."""
    for prefix, module, gates in _recurrent(model):
        if "f" not in gates:
            continue
        parameters = dict(module.named_parameters(recurse=False))
        for name, bias in parameters.items():
            if name.startswith("bias_ih"):
                other = parameters[name.replace("bias_ih", "bias_hh")]
                yield f"{prefix}{name}[f]", bias.chunk(4)[1], other.chunk(4)[1]


def _recurrent(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module, tuple[str, ...]]]:
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.RNNBase | torch.nn.RNNCellBase):
            gates = next(gates for kind, gates in GATES.items() if isinstance(module, _classes(kind)))
            yield f"{name}." if name else "", module, gates


def _classes(kind: str) -> tuple[type, type]:
    return getattr(torch.nn, kind), getattr(torch.nn, f"{kind}Cell")
