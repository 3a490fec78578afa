"""The Elman network (Elman 1990), with tanh, rectified or linear units."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from seqtrain.layers.stepped import OverTime, SteppedLayer, at_ends

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "linear": lambda a: a,
}
KERNELS: dict[str, Any] = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}


class RNNLayer(SteppedLayer):
    """One layer of an Elman network in one direction:

        h_t = f(W x_t + U h_{t-1} + b)

    With layer normalisation, h_t = f(LN(W x_t + U h_{t-1})), whose own bias takes b's place (Ba et al. 2016,
    arXiv:1607.06450, equation 4). Without it and without recurrent dropout, `torch.nn.RNN`'s kernel computes tanh and
    rectified units.

    Args:
        inputs: width I of the input.
        hidden: width H of the state.
        activation: f, `tanh`, `relu` or `linear`. With an orthogonal U, linear units keep what they have read for as
            long as one likes (Henaff et al. 2016, arXiv:1602.06662).
        layer_norm: whether the sum is normalised.
        recurrent_dropout: see `SteppedLayer`.
    """

    def __init__(
        self,
        *,
        inputs: int,
        hidden: int,
        activation: str = "tanh",
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
    ) -> None:
        super().__init__(hidden=hidden, state_size=hidden, read_size=hidden, recurrent_dropout=recurrent_dropout)
        self.activation = activation
        bound = hidden**-0.5  # as torch.nn.RNN starts
        self.weight_ih = nn.Parameter(torch.empty(hidden, inputs).uniform_(-bound, bound))
        self.weight_hh = nn.Parameter(torch.empty(hidden, hidden).uniform_(-bound, bound))
        self.bias = None if layer_norm else nn.Parameter(torch.empty(hidden).uniform_(-bound, bound))
        self.norm = nn.LayerNorm(hidden) if layer_norm else None

    def read(self, x_TBI: Tensor) -> Tensor:
        """W x_t + b for all steps."""
        return nn.functional.linear(x_TBI, self.weight_ih, self.bias)

    def begin(self, dtype: torch.dtype) -> OverTime:
        """The product U h."""
        return OverTime(self.weight_hh, dtype)

    def step(self, x_BG: Tensor, state_BS: Tensor, products: OverTime, kept_BH: Tensor | None) -> Tensor:
        """See `SteppedLayer`."""
        h = state_BS if kept_BH is None else state_BS * kept_BH
        a = products(h, x_BG).to(state_BS.dtype)
        return ACTIVATIONS[self.activation](a if self.norm is None else self.norm(a))

    def forward(self, x_TBI: Tensor, state_BS: Tensor, lengths_B: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `RecurrentLayer`."""
        kernel = KERNELS.get(self.activation)
        if kernel is None or self.bias is None or (self.training and self.recurrent_dropout.rate):
            return super().forward(x_TBI, state_BS, lengths_B)
        weights = [self.weight_ih, self.weight_hh, self.bias, torch.zeros_like(self.bias)]
        h_TBH, _ = kernel(
            x_TBI, state_BS.to(x_TBI.dtype).unsqueeze(0), weights, True, 1, 0.0, self.training, False, False
        )
        return h_TBH, at_ends(h_TBH, lengths_B)

    def recurrent_blocks(self) -> Iterator[tuple[str, Tensor]]:
        """The matrix U."""
        yield "h", self.weight_hh.detach()
