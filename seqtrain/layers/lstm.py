"""Long short-term memory (Hochreiter & Schmidhuber 1997; with forget gates, Gers et al. 2000)."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from seqtrain.layers.stepped import OverTime, SteppedLayer, at_ends

HOLD = 1e4
"""What is added to a gate before its sigmoid to open or close it, however far its own sum has gone."""


class LSTMLayer(SteppedLayer):
    """One layer of long short-term memory in one direction, in the lecture's equations, which are `torch.nn.LSTM`'s:

        i_t = sigmoid(W_i x_t + U_i h_{t-1} + b_i)
        f_t = sigmoid(W_f x_t + U_f h_{t-1} + b_f)
        g_t = tanh(W_g x_t + U_g h_{t-1} + b_g)
        o_t = sigmoid(W_o x_t + U_o h_{t-1} + b_o)
        c_t = f_t * c_{t-1} + i_t * g_t
        h_t = o_t * tanh(c_t)

    With layer normalisation, the sums are LN(W x_t) + LN(U h_{t-1}) + b and h_t = o_t * tanh(LN(c_t)) (Ba et al. 2016,
    arXiv:1607.06450, equations 20 to 22). Without it and without recurrent dropout, `torch.nn.LSTM`'s kernel computes
    it.

    Args:
        inputs: width I of the input.
        hidden: width H of h and of c; a state is [h; c].
        layer_norm: whether sums and cells are normalised.
        recurrent_dropout: see `SteppedLayer`.
    """

    def __init__(
        self,
        *,
        inputs: int,
        hidden: int,
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
    ) -> None:
        super().__init__(
            hidden=hidden, state_size=2 * hidden, read_size=4 * hidden, recurrent_dropout=recurrent_dropout
        )
        bound = hidden**-0.5  # as torch.nn.LSTM starts
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden, inputs).uniform_(-bound, bound))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden, hidden).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(4 * hidden).uniform_(-bound, bound))
        self.norms: nn.ModuleDict | None = None
        if layer_norm:
            self.norms = nn.ModuleDict(
                {
                    "x": nn.LayerNorm(4 * hidden, bias=False),
                    "h": nn.LayerNorm(4 * hidden, bias=False),
                    "c": nn.LayerNorm(hidden),
                }
            )

    def read(self, x_TBI: Tensor) -> Tensor:
        """W x_t + b for all steps."""
        if self.norms is None:
            return nn.functional.linear(x_TBI, self.weight_ih, self.bias)
        return self.norms["x"](nn.functional.linear(x_TBI, self.weight_ih)) + self.bias

    def begin(self, dtype: torch.dtype) -> OverTime:
        """The product U h."""
        return OverTime(self.weight_hh, dtype)

    def step(self, x_BG: Tensor, state_BS: Tensor, products: OverTime, kept_BH: Tensor | None) -> Tensor:
        """See `SteppedLayer`."""
        h, c = state_BS.chunk(2, dim=1)
        if kept_BH is not None:
            h = h * kept_BH
        a = products(h, x_BG) if self.norms is None else self.norms["h"](products(h)) + x_BG
        norm = None if self.norms is None else self.norms["c"]
        return torch.cat(lstm_step(a.to(state_BS.dtype).chunk(4, dim=1), c, norm), dim=1)

    def forward(self, x_TBI: Tensor, state_BS: Tensor, lengths_B: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `RecurrentLayer`."""
        if self.norms is not None or (self.training and self.recurrent_dropout.rate):
            return super().forward(x_TBI, state_BS, lengths_B)
        W: Tensor = self.weight_ih
        if lengths_B is not None:
            # The kernel returns c after the last step alone. One more input, 1 at padded steps, holds it there: it
            # opens the forget gate and closes the input gate.
            padded_TB1 = torch.arange(len(x_TBI), device=x_TBI.device).view(-1, 1, 1) >= lengths_B.view(1, -1, 1)
            x_TBI = torch.cat([x_TBI, padded_TB1.to(x_TBI.dtype)], dim=-1)
            hold = W.new_zeros(4, self.hidden)
            hold[0], hold[1] = -HOLD, HOLD
            W = torch.cat([W, hold.view(-1, 1)], dim=1)
        h0, c0 = (part.to(x_TBI.dtype).unsqueeze(0).contiguous() for part in state_BS.chunk(2, dim=1))
        weights = [W, self.weight_hh, self.bias, torch.zeros_like(self.bias)]
        h_TBH, _, c_1BH = torch.lstm(x_TBI, [h0, c0], weights, True, 1, 0.0, self.training, False, False)
        return h_TBH, torch.cat([at_ends(h_TBH, lengths_B), c_1BH[0]], dim=1)

    def recurrent_blocks(self) -> Iterator[tuple[str, Tensor]]:
        """The matrices U of the four gates."""
        yield from zip(("i", "f", "g", "o"), self.weight_hh.detach().chunk(4), strict=True)

    def forget_biases(self) -> Iterator[tuple[str, Tensor]]:
        """The bias b_f."""
        yield "f", self.bias.detach().chunk(4)[1]


def lstm_step(sums: Sequence[Tensor], c_BH: Tensor, norm: nn.Module | None = None) -> tuple[Tensor, Tensor]:
    """h and c, (B, H) each, from the sums of the gates i, f, g, o (B, H) and the c before."""
    i, f, g, o = sums
    c = torch.sigmoid(f) * c_BH + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c if norm is None else norm(c)), c
