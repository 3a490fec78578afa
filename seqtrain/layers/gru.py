"""The gated recurrent unit, in the lecture's equations and in `torch.nn.GRU`'s."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from seqtrain.layers.stepped import OverTime, SteppedLayer, at_ends

CACHED = 1 << 16
"""Numbers of one kind that the backward pass makes at once: as many steps' as stay in a processor's cache."""


class _ResetBefore(torch.autograd.Function):
    """h_t for all t from input products and recurrent weights, with the gradient written by hand.

    Autograd would take a weight gradient at every step. Here the backward loop holds only what depends on the step
    behind it: the derivative factors are made for all steps at once, and so are the weight gradients, one matrix
    product each.
    """

    @staticmethod
    def forward(ctx: Any, x_TBG: Tensor, h0_BH: Tensor, U_GH: Tensor) -> Tensor:
        T, B, G = x_TBG.shape
        H = G // 3
        dtype = x_TBG.dtype
        h_TBH = h0_BH.new_empty(T + 1, B, H)  # h_TBH[t] is the state before step t
        h_TBH[0] = h0_BH
        gates = x_TBG.new_empty(T, B, 2 * H)  # r, z
        candidate = x_TBG.new_empty(T, B, H)
        reset_h = x_TBG.new_empty(T, B, H)  # r * h
        gates_t, candidate_t = U_GH.to(dtype).t().split([2 * H, H], dim=1)
        for t in range(T):
            h, x_t = h_TBH[t], x_TBG[t]
            torch.addmm(x_t[:, : 2 * H], h.to(dtype), gates_t, out=gates[t]).sigmoid_()
            torch.mul(gates[t, :, :H], h, out=reset_h[t])
            torch.addmm(x_t[:, 2 * H :], reset_h[t], candidate_t, out=candidate[t]).tanh_()
            torch.lerp(candidate[t].to(h.dtype), h, gates[t, :, H:].to(h.dtype), out=h_TBH[t + 1])
        ctx.save_for_backward(h_TBH, gates, candidate, reset_h, U_GH)
        return h_TBH[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dh_TBH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h_TBH, gates, candidate, reset_h, U_GH = ctx.saved_tensors
        T, B, H = candidate.shape
        dtype = gates.dtype
        before = h_TBH[:-1]
        dx = gates.new_empty(T, B, 3 * H)  # gradients before the sigmoids and the tanh: r, z, candidate
        Ug, Uc = U_GH.to(dtype).split([2 * H, H])
        dh = torch.zeros_like(h_TBH[0])
        span = max(1, CACHED // dh.numel())
        for end in range(T, 0, -span):
            some = slice(max(0, end - span), end)
            factors = _factors(before[some], gates[some], candidate[some])
            for t, r, z, to_r, to_z, to_candidate in reversed(
                list(zip(range(some.start, end), *(f.unbind(0) for f in factors), strict=True))
            ):
                dh += dh_TBH[t]
                dx_t = dx[t]
                torch.mul(dh, to_candidate, out=dx_t[:, 2 * H :])
                d_reset = (dx_t[:, 2 * H :] @ Uc).to(dh.dtype)
                torch.mul(d_reset, to_r, out=dx_t[:, :H])
                torch.mul(dh, to_z, out=dx_t[:, H : 2 * H])
                dh.mul_(z).addcmul_(d_reset, r).add_(dx_t[:, : 2 * H] @ Ug)
        flat = dx.view(T * B, 3 * H)
        dU_GH = torch.cat(
            [flat[:, : 2 * H].t() @ before.reshape(T * B, H).to(dtype), flat[:, 2 * H :].t() @ reset_h.view(T * B, H)]
        )
        return dx, dh, dU_GH.to(U_GH.dtype)


def _factors(before: Tensor, gates: Tensor, candidate: Tensor) -> tuple[Tensor, ...]:
    """r, z, and the derivatives of h by what goes into r, z and n, the first without U's part; of some steps."""
    H = candidate.shape[-1]
    r, z, n = (a.to(before.dtype) for a in (gates[..., :H], gates[..., H:], candidate))
    rest = 1 - z
    to_r = (1 - r).mul_(r).mul_(before)
    to_z = (before - n).mul_(z).mul_(rest)
    return r, z, to_r, to_z, rest.sub_(rest * n * n)


class GRULayer(SteppedLayer):
    """One layer of gated recurrent units in one direction.

    With ``reset="before"``, the lecture's equations and those of Cho et al. 2014 (arXiv:1406.1078), section 2.3:

        r_t = sigmoid(W_r x_t + U_r h_{t-1} + b_r)
        z_t = sigmoid(W_z x_t + U_z h_{t-1} + b_z)
        n_t = tanh(W x_t + U (r_t * h_{t-1}) + b)
        h_t = z_t * h_{t-1} + (1 - z_t) * n_t

    With ``reset="after"``, those of `torch.nn.GRU`, whose kernel then computes them: n_t = tanh(W x_t + b + r_t *
    (U h_{t-1} + b')).

    With layer normalisation, every product is normalised before it is added to another: LN(W x_t) + LN(U h_{t-1}) + b
    (Ba et al. 2016, arXiv:1607.06450, supplement).

    Args:
        inputs: width I of the input.
        hidden: width H of the state.
        reset: whether the reset gate acts before or after the recurrent product.
        layer_norm: whether products are normalised.
        recurrent_dropout: see `SteppedLayer`.
    """

    def __init__(
        self,
        *,
        inputs: int,
        hidden: int,
        reset: str = "before",
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
    ) -> None:
        super().__init__(hidden=hidden, state_size=hidden, read_size=3 * hidden, recurrent_dropout=recurrent_dropout)
        self.reset = reset
        bound = hidden**-0.5  # as torch.nn.GRU starts
        self.weight_ih = nn.Parameter(torch.empty(3 * hidden, inputs).uniform_(-bound, bound))
        self.weight_hh = nn.Parameter(torch.empty(3 * hidden, hidden).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(3 * hidden).uniform_(-bound, bound))
        # Of a second bias only the part inside of the reset gate's product is not the same as the first one.
        self.bias_after = nn.Parameter(torch.empty(hidden).uniform_(-bound, bound)) if reset == "after" else None
        widths = {"gates_x": 2, "candidate_x": 1, "gates_h": 2, "candidate_h": 1}
        self.norms: nn.ModuleDict | None = None
        if layer_norm:
            self.norms = nn.ModuleDict({name: nn.LayerNorm(n * hidden, bias=False) for name, n in widths.items()})

    def read(self, x_TBI: Tensor) -> Tensor:
        """W x_t + b for all steps and gates."""
        if self.norms is None:
            return nn.functional.linear(x_TBI, self.weight_ih, self.bias)
        gates, candidate = nn.functional.linear(x_TBI, self.weight_ih).split([2 * self.hidden, self.hidden], dim=-1)
        return torch.cat([self.norms["gates_x"](gates), self.norms["candidate_x"](candidate)], dim=-1) + self.bias

    def begin(self, dtype: torch.dtype) -> tuple[OverTime, OverTime]:
        """The products of the gates and of the candidate."""
        gates, candidate = self.weight_hh.split([2 * self.hidden, self.hidden])
        return OverTime(gates, dtype), OverTime(candidate, dtype)

    def step(
        self, x_BG: Tensor, state_BS: Tensor, products: tuple[OverTime, OverTime], kept_BH: Tensor | None
    ) -> Tensor:
        """See `SteppedLayer`."""
        x_gates, x_n = x_BG.to(state_BS.dtype).split([2 * self.hidden, self.hidden], dim=1)
        h = state_BS if kept_BH is None else state_BS * kept_BH
        r, z = torch.sigmoid(x_gates + self._normed("gates_h", products[0](h))).chunk(2, dim=1)
        if self.bias_after is None:
            n = torch.tanh(x_n + self._normed("candidate_h", products[1](r * h)))
        else:
            n = torch.tanh(x_n + r * (self._normed("candidate_h", products[1](h)) + self.bias_after))
        return z * state_BS + (1 - z) * n

    def _normed(self, name: str, a: Tensor) -> Tensor:
        return a if self.norms is None else self.norms[name](a)

    def forward(self, x_TBI: Tensor, state_BS: Tensor, lengths_B: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `RecurrentLayer`."""
        if self.norms is not None or (self.training and self.recurrent_dropout.rate):
            return super().forward(x_TBI, state_BS, lengths_B)
        if self.bias_after is None:
            h_TBH = _ResetBefore.apply(self.read(x_TBI), state_BS, self.weight_hh)
        else:
            second = torch.cat([self.bias.new_zeros(2 * self.hidden), self.bias_after])
            weights = [self.weight_ih, self.weight_hh, self.bias, second]
            h0 = state_BS.to(x_TBI.dtype).unsqueeze(0)
            h_TBH, _ = torch.gru(x_TBI, h0, weights, True, 1, 0.0, self.training, False, False)
        return h_TBH, at_ends(h_TBH, lengths_B)

    def recurrent_blocks(self) -> Iterator[tuple[str, Tensor]]:
        """The matrices U of the gates and of the candidate."""
        yield from zip(("r", "z", "n"), self.weight_hh.detach().chunk(3), strict=True)
