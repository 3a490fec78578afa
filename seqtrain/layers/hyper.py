"""The HyperLSTM (Ha et al. 2016, arXiv:1609.09106): a small LSTM scales the rows of a larger one's weights."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtrain.layers.hyper_pass import HyperPass, Norms, by_gate
from seqtrain.layers.lstm import lstm_step
from seqtrain.layers.stepped import OverTime, SteppedLayer, at_ends

GATES = ("i", "f", "g", "o")
HYPER_HIDDEN = 64
"""Width of the small LSTM, unless another is chosen."""

Products = tuple[OverTime, OverTime, OverTime, OverTime]


class HyperLSTMLayer(SteppedLayer):
    """One layer of a HyperLSTM in one direction (Ha et al. 2016, appendix A.2.2).

    A small LSTM of width Ĥ reads [h_{t-1}; x_t]. For each gate y of i, f, g, o of the large one, its new state ĥ_t
    makes three embeddings of width N, which make a scale for each row of the gate's two matrices, and a bias:

        z_h = Z_h ĥ_t + ẑ_h      d_h = D_h z_h
        z_x = Z_x ĥ_t + ẑ_x      d_x = D_x z_x
        z_b = Z_b ĥ_t            b   = D_b z_b + b_0
        y_t = LN(d_h * (U h_{t-1}) + d_x * (W x_t) + b)
        c_t = sigmoid(f_t) * c_{t-1} + sigmoid(i_t) * tanh(g_t)
        h_t = sigmoid(o_t) * tanh(LN(c_t))

    The small LSTM is normalised in the same places. The appendix writes ĥ_{t-1} where the embeddings are made, the
    author's code takes ĥ_t, and so does this.

    It begins as in appendix A.2.3: Z_h, Z_x = 0, ẑ = 1 and D_h, D_x = 0.1 / N, so that every scale is 0.1, which
    suits sums that are normalised; without layer normalisation D is 1 / N and the scales are 1, those of an LSTM.
    Z_b begins small, and D_b and b_0 as 0.

    Without recurrent dropout, a pass over a sequence has its own gradient: `seqtrain.layers.hyper_pass`.

    Args:
        inputs: width I of the input.
        hidden: width H of h and of c; a state is [h; c; ĥ; ĉ].
        hyper_hidden: width Ĥ of the small LSTM.
        hyper_embedding: width N of the embeddings.
        layer_norm: whether sums and cells are normalised.
        recurrent_dropout: see `SteppedLayer`; it also acts on the h that the small LSTM reads.
    """

    def __init__(
        self,
        *,
        inputs: int,
        hidden: int,
        hyper_hidden: int = HYPER_HIDDEN,
        hyper_embedding: int = 16,
        layer_norm: bool = True,
        recurrent_dropout: float = 0.0,
    ) -> None:
        H, hyper, N = hidden, hyper_hidden, hyper_embedding
        super().__init__(
            hidden=H, state_size=2 * (H + hyper), read_size=4 * (H + hyper), recurrent_dropout=recurrent_dropout
        )
        self.hyper_hidden, self.hyper_embedding = hyper, N
        bound = H**-0.5
        self.weight_ih = nn.Parameter(torch.empty(4 * H, inputs).uniform_(-bound, bound))
        self.weight_hh = nn.Parameter(torch.empty(4 * H, H).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(4 * H))
        bound = hyper**-0.5
        self.hyper_ih = nn.Parameter(torch.empty(4 * hyper, inputs).uniform_(-bound, bound))
        self.hyper_hh = nn.Parameter(torch.empty(4 * hyper, H + hyper).uniform_(-bound, bound))
        self.hyper_bias = nn.Parameter(torch.zeros(4 * hyper))
        # Twelve blocks: those of h, of x and of the biases, for the gates i, f, g, o each.
        self.embed = nn.Parameter(torch.cat([torch.zeros(8 * N, hyper), 0.01 * torch.randn(4 * N, hyper)]))
        self.embed_shift = nn.Parameter(torch.ones(8, N))
        scale = torch.full((8, H, N), (0.1 if layer_norm else 1.0) / N)
        self.scale = nn.Parameter(torch.cat([scale, torch.zeros(4, H, N)]))
        self.norms: Any = None
        if layer_norm:
            self.norms = nn.ModuleDict(
                {
                    **{gate: nn.LayerNorm(H) for gate in GATES},
                    "c": nn.LayerNorm(H),
                    **{f"hyper_{gate}": nn.LayerNorm(hyper) for gate in GATES},
                    "hyper_c": nn.LayerNorm(hyper),
                }
            )

    @property
    def parts(self) -> list[int]:
        """H, H, Ĥ, Ĥ."""
        return [self.hidden, self.hidden, self.hyper_hidden, self.hyper_hidden]

    def read(self, x_TBI: Tensor) -> Tensor:
        """[W x; the small LSTM's product of x, with its bias] for all steps."""
        weight = torch.cat([self.weight_ih, self.hyper_ih])
        return F.linear(x_TBI, weight, F.pad(self.hyper_bias, (4 * self.hidden, 0)))

    def forward(self, x_TBI: Tensor, state_BS: Tensor, lengths_B: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `RecurrentLayer`."""
        if self.training and self.recurrent_dropout.rate:
            return super().forward(x_TBI, state_BS, lengths_B)
        norms = [] if self.norms is None else [*self._stacked(""), *self._stacked("hyper_")]
        weights = [self.weight_hh, self.hyper_hh, self.embed, self._scale()]
        states_TBS = HyperPass.apply(torch.is_grad_enabled(), self.read(x_TBI), state_BS, *weights, *norms)
        return states_TBS[..., : self.hidden], at_ends(states_TBS, lengths_B)

    def begin(self, dtype: torch.dtype) -> Products:
        """The products of h, of [h; ĥ], of ĥ with the embeddings' weights, and of the embeddings with D."""
        recurrent, small = OverTime(self.weight_hh, dtype), OverTime(self.hyper_hh, dtype)
        return recurrent, small, OverTime(self.embed, dtype), OverTime(self._scale(), dtype)

    def _scale(self) -> Tensor:
        """(12, H, N + 1) D, and behind it what does not depend on ĥ: D ẑ, or b_0. Embeddings have a 1 there."""
        constant = torch.cat([(self.scale[:8] @ self.embed_shift.unsqueeze(2)).squeeze(2), self.bias.view(4, -1)])
        return torch.cat([self.scale, constant.unsqueeze(2)], dim=2)

    def _stacked(self, prefix: str) -> Norms:
        """The normalisation of the large cell or, where `prefix` says so, of the small one."""
        gates, c = [self.norms[prefix + gate] for gate in GATES], self.norms[f"{prefix}c"]
        gain, bias = (torch.stack([getattr(gate, name) for gate in gates]) for name in ("weight", "bias"))
        return Norms(gain.unsqueeze(1), bias.unsqueeze(1), c.weight, c.bias)

    def step(self, x_BG: Tensor, state_BS: Tensor, products: Products, kept_BH: Tensor | None) -> Tensor:
        """See `SteppedLayer`."""
        H, hyper, dtype = self.hidden, self.hyper_hidden, state_BS.dtype
        recurrent, small, embed, scale = products
        h, c, hyper_h, hyper_c = state_BS.split([H, H, hyper, hyper], dim=1)
        if kept_BH is not None:
            h = h * kept_BH
        x, hyper_x = x_BG.split([4 * H, 4 * hyper], dim=1)
        a = small(torch.cat([h, hyper_h], dim=1), hyper_x)
        hyper_h, hyper_c = self._cell(a.to(dtype).chunk(4, dim=1), hyper_c, "hyper_")
        z_B12N = embed(hyper_h).unflatten(1, (12, -1))
        scales_12BH = scale(F.pad(z_B12N.transpose(0, 1), (0, 1), value=1.0))
        d_h, d_x, b = scales_12BH.chunk(3)
        a_4BH = torch.addcmul(torch.addcmul(b, d_h, by_gate(recurrent(h))), d_x, by_gate(x))
        h, c = self._cell(a_4BH.to(dtype).unbind(0), c, "")
        return torch.cat([h, c, hyper_h, hyper_c], dim=1)

    def _cell(self, sums: Sequence[Tensor], c: Tensor, prefix: str) -> tuple[Tensor, Tensor]:
        """h and c of the large LSTM or, where `prefix` says so, of the small one."""
        if self.norms is None:
            return lstm_step(sums, c)
        normed = [self.norms[prefix + gate](a) for gate, a in zip(GATES, sums, strict=True)]
        return lstm_step(normed, c, self.norms[f"{prefix}c"])

    def input_blocks(self) -> Iterator[tuple[str, Tensor]]:
        """The matrices of x: the gates', and the small LSTM's."""
        yield from super().input_blocks()
        for n, block in enumerate(self.hyper_ih.detach().chunk(4)):
            yield f"hyper_ih[{n}]", block

    def recurrent_blocks(self) -> Iterator[tuple[str, Tensor]]:
        """The matrices U of the four gates, and those of the small LSTM's own state."""
        yield from zip(GATES, self.weight_hh.detach().chunk(4), strict=True)
        own = self.hyper_hh.detach()[:, self.hidden :]
        yield from zip((f"hyper_{gate}" for gate in GATES), own.chunk(4), strict=True)

    def forget_biases(self) -> Iterator[tuple[str, Tensor]]:
        """The biases that the forget gates add last: of layer normalisation, where there is one, or b_0's."""
        if self.norms is None:
            yield "f", self.bias.detach().chunk(4)[1]
            yield "hyper_f", self.hyper_bias.detach().chunk(4)[1]
        else:
            yield from ((gate, self.norms[gate].bias.detach()) for gate in ("f", "hyper_f"))
