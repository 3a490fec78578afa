"""How parameters start: recurrent, input, embedding and other matrices, and biases, each group in its own way."""

import logging
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from seqtrain.callbacks.groups import Named, forget_gate_biases, groups
from seqtrain.config.types import PositiveFloat

log = logging.getLogger(__name__)


class Initialisation(pl.Callback):
    """Sets parameters, group by group, before a fresh run begins; a group that is `None` stays as the layers drew it.

        orthogonal   gain · Q, QᵀQ = I (Saxe 2013, arXiv:1312.6120)
        identity     gain · I, and the biases of the same layers 0: the IRNN of Le 2015, arXiv:1504.00941
        xavier       U(−a, a), a = √(6 / (fan-in + fan-out)) (Glorot & Bengio 2010, equation 16)
        uniform      U(−bound, bound) (Sutskever 2014, arXiv:1409.3215, section 3.4: 0.08 for every parameter)
        normal       N(0, deviation²) (Bahdanau 2014, arXiv:1409.0473, appendix B.1: 0.01)
        bahdanau     the same place's start of additive attention: W_a, U_a from N(0, 0.001²), v_a = 0

    The gates of an LSTM or a GRU lie stacked in one parameter, (gates · H, H) or (gates · H, I). Each block of H rows
    is a matrix by itself: it is orthogonal or the identity, and its own H and I are fan-out and fan-in.

    A model that has `recurrent_matrices()` and `forget_gate_biases()` tells what is recurrent in it; in any other, the
    `torch.nn.RNN`, `GRU`, `LSTM` and their cells are found. Which parameter is in which group: `groups`. A matrix that
    an embedding shares with the output layer is an embedding; rows of padding stay as they are. A resumed run is left
    as its checkpoint has it.

    Args:
        recurrent: the recurrent matrices' start.
        gain: the factor before Q or I.
        inputs: the start of the matrices that recurrent layers multiply their inputs by.
        attention: the start of what attention is scored with.
        embeddings: the embeddings' start.
        output: the start of all other matrices, the output layer's and those between recurrent layers and it.
        biases: the start of the biases, those of normalisation layers excepted.
        bound: the largest number that `uniform` draws.
        deviation: the standard deviation of what `normal` draws.
        forget_bias: what the LSTM's forget gates start with, whatever `biases` is (Jozefowicz 2015: 1); `None` leaves
            them.

    Attributes:
        touched: name and shape of everything that was set.
    """

    def __init__(
        self,
        *,
        recurrent: Literal["orthogonal", "identity", "xavier", "uniform"] | None = "orthogonal",
        gain: PositiveFloat = 1.0,
        inputs: Literal["xavier", "uniform", "normal"] | None = None,
        embeddings: Literal["xavier", "uniform", "normal"] | None = None,
        attention: Literal["bahdanau", "uniform"] | None = None,
        output: Literal["xavier", "uniform", "normal"] | None = None,
        biases: Literal["zero", "uniform"] | None = None,
        bound: PositiveFloat = 0.08,
        deviation: PositiveFloat = 0.01,
        forget_bias: float | None = 1.0,
    ) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.gain = gain
        self.inputs = inputs
        self.embeddings = embeddings
        self.attention = attention
        self.output = output
        self.biases = biases
        self.bound = bound
        self.deviation = deviation
        self.forget_bias = forget_bias
        self.touched: list[tuple[str, tuple[int, ...]]] = []
        self._said: list[str] = []
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
        """Sets the parameters of `model` in place and notes them in `touched`."""
        self.touched, self._said = [], []
        found = groups(model)
        self._set("recurrent", self.recurrent, found.recurrent)
        self._set("inputs", self.inputs, found.inputs)
        padding = [(matrix, row, matrix[row].clone()) for matrix, row in found.padding]
        self._set("embeddings", self.embeddings, found.embeddings)
        for matrix, row, kept in padding:
            matrix[row] = kept
        self._set("attention", self.attention, found.attention)
        self._set("output", self.output, found.output)
        self._set("biases", self.biases, found.biases)
        self._set("recurrent biases", "zero" if self.recurrent == "identity" else self.biases, found.recurrent_biases)
        self._set_forget_biases(model)

    def _set(self, group: str, start: str | None, named: Named) -> None:
        if start is None:
            return
        for _, tensor in named:
            # Orthogonal matrices are found by a decomposition, which knows no half precision.
            wide = torch.promote_types(tensor.dtype, torch.float32)
            tensor.copy_(self._drawn(start, torch.empty(tensor.shape, dtype=wide, device=tensor.device)))
        gain, bound = f" (gain {self.gain:g})", f" (±{self.bound:g})"
        deviation = f" (σ {self.deviation:g})"
        options = {"orthogonal": gain, "identity": gain, "uniform": bound, "normal": deviation}
        option = options.get(start, "")
        self._note(f"{group} {start}{option}", named)

    def _drawn(self, start: str, empty: Tensor) -> Tensor:
        match start:
            case "orthogonal":
                return torch.nn.init.orthogonal_(empty, gain=self.gain)
            case "identity":
                return torch.nn.init.eye_(empty).mul_(self.gain)
            case "xavier":
                return torch.nn.init.xavier_uniform_(empty)
            case "uniform":
                return torch.nn.init.uniform_(empty, -self.bound, self.bound)
            case "normal":
                return torch.nn.init.normal_(empty, std=self.deviation)
            case "bahdanau" if empty.ndim > 1:
                return torch.nn.init.normal_(empty, std=0.001)
            case _:
                return empty.zero_()

    def _set_forget_biases(self, model: torch.nn.Module) -> None:
        if self.forget_bias is None:
            return
        own: Any = model
        if hasattr(model, "forget_gate_biases"):
            named = list(own.forget_gate_biases())
        else:
            named = []
            for name, bias_H, other_H in forget_gate_biases(model):
                other_H.zero_()
                named.append((name, bias_H))
        for _, bias_H in named:
            bias_H.fill_(self.forget_bias)
        self._note(f"forget biases {self.forget_bias:g}", named)

    def _note(self, what: str, named: Named) -> None:
        shapes = [(name, tuple(tensor.shape)) for name, tensor in named]
        if not shapes:
            return
        self.touched += shapes
        parts = [f"{name} {'×'.join(map(str, shape))}" for name, shape in shapes]
        self._said.append(
            f"{what}: {', '.join(parts) if len(parts) < 3 else f'{len(parts)}, {parts[0]} to {parts[-1]}'}"
        )

    @rank_zero_only
    def _report(self) -> None:
        for line in self._said:
            log.info("initialisation of %s", line)
        log.debug("initialisation: %s", ", ".join(name for name, _ in self.touched))
