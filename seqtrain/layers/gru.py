"""The gated recurrent unit, in the lecture's equations and in `torch.nn.GRU`'s."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


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
        gates = x_TBG.new_empty(T, B, 2 * H)  # z, r
        candidate = x_TBG.new_empty(T, B, H)
        reset_h = x_TBG.new_empty(T, B, H)  # r * h
        gates_t, candidate_t = U_GH.to(dtype).t().split([2 * H, H], dim=1)
        for t in range(T):
            h, x_t = h_TBH[t], x_TBG[t]
            torch.addmm(x_t[:, : 2 * H], h.to(dtype), gates_t, out=gates[t]).sigmoid_()
            torch.mul(gates[t, :, H:], h, out=reset_h[t])
            torch.addmm(x_t[:, 2 * H :], reset_h[t], candidate_t, out=candidate[t]).tanh_()
            torch.lerp(candidate[t].to(h.dtype), h, gates[t, :, :H].to(h.dtype), out=h_TBH[t + 1])
        ctx.save_for_backward(h_TBH, gates, candidate, reset_h, U_GH)
        return h_TBH[1:]

    @staticmethod
    def backward(ctx: Any, dh_TBH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h_TBH, gates, candidate, reset_h, U_GH = ctx.saved_tensors
        T, B, H = candidate.shape
        dtype = gates.dtype
        before = h_TBH[:-1]
        z, r = gates[..., :H].to(before.dtype), gates[..., H:].to(before.dtype)
        n = candidate.to(before.dtype)
        to_candidate = (1 - z) * (1 - n * n)
        to_z = (before - n) * z * (1 - z)
        to_r = before * r * (1 - r)
        dx = gates.new_empty(T, B, 3 * H)  # gradients before the sigmoids and the tanh: z, r, candidate
        Ug, Uc = U_GH.to(dtype).split([2 * H, H])
        dh = torch.zeros_like(h_TBH[0])
        for t in range(T - 1, -1, -1):
            dh = dh + dh_TBH[t]
            dx_t = dx[t]
            torch.mul(dh, to_candidate[t], out=dx_t[:, 2 * H :])
            d_reset = dx_t[:, 2 * H :] @ Uc
            torch.mul(dh, to_z[t], out=dx_t[:, :H])
            torch.mul(d_reset, to_r[t], out=dx_t[:, H : 2 * H])
            dh = (dh * z[t]).addcmul_(d_reset, r[t]).add_(dx_t[:, : 2 * H] @ Ug)
        flat = dx.view(T * B, 3 * H)
        dU_GH = torch.cat(
            [flat[:, : 2 * H].t() @ before.reshape(T * B, H).to(dtype), flat[:, 2 * H :].t() @ reset_h.view(T * B, H)]
        )
        return dx, dh, dU_GH.to(U_GH.dtype)


class GRULayer(nn.Module):
    """One layer of gated recurrent units in one direction.

    With ``reset="before"``, the lecture's equations and those of Cho et al. 2014 (arXiv:1406.1078), section 2.3:

        z_t = sigmoid(W_z x_t + U_z h_{t-1} + b_z)
        r_t = sigmoid(W_r x_t + U_r h_{t-1} + b_r)
        n_t = tanh(W x_t + U (r_t * h_{t-1}) + b)
        h_t = z_t * h_{t-1} + (1 - z_t) * n_t

    With ``reset="after"``, those of `torch.nn.GRU`: n_t = tanh(W x_t + b + r_t * (U h_{t-1} + b')).

    Args:
        inputs: width I of the input.
        hidden: width H of the state.
        reset: whether the reset gate acts before or after the recurrent product.
    """

    def __init__(self, *, inputs: int, hidden: int, reset: str = "before") -> None:
        super().__init__()
        self.hidden = hidden
        self.kernel: nn.GRU | None = nn.GRU(inputs, hidden) if reset == "after" else None
        if self.kernel is None:
            bound = hidden**-0.5  # as torch.nn.GRU starts
            self.weight_ih = nn.Parameter(torch.empty(3 * hidden, inputs).uniform_(-bound, bound))
            self.weight_hh = nn.Parameter(torch.empty(3 * hidden, hidden).uniform_(-bound, bound))
            self.bias = nn.Parameter(torch.empty(3 * hidden).uniform_(-bound, bound))

    def forward(self, x_TBI: Tensor, state_BH: Tensor) -> Tensor:
        """The states h_1 … h_T, (T, B, H), from inputs (T, B, I) and the state before the first step (B, H)."""
        if self.kernel is not None:
            return self.kernel(x_TBI, state_BH.to(x_TBI.dtype).unsqueeze(0))[0]
        x_TBG = nn.functional.linear(x_TBI, self.weight_ih, self.bias)
        return _ResetBefore.apply(x_TBG, state_BH, self.weight_hh)

    def recurrent_blocks(self) -> Iterator[tuple[str, Tensor]]:
        """The recurrent matrix of each gate, as (H, H) views of the parameters."""
        if self.kernel is not None:
            weight: Any = self.kernel.weight_hh_l0
            names = ("r", "z", "n")
        else:
            weight, names = self.weight_hh, ("z", "r", "n")
        yield from zip(names, weight.detach().chunk(3), strict=True)
