"""Padded batches without their padding: real tokens as rows, for all that is done token by token."""

from typing import Any

import torch
from torch import Tensor


class _Pack(torch.autograd.Function):
    """Rows of a matrix; each is taken once, so that gradients need no sums."""

    @staticmethod
    def forward(ctx: Any, x_PD: Tensor, rows_N: Tensor) -> Tensor:
        ctx.save_for_backward(rows_N)
        ctx.places = len(x_PD)
        return x_PD.index_select(0, rows_N)

    @staticmethod
    def backward(ctx: Any, d_ND: Tensor) -> tuple[Tensor, None]:
        return _scattered(d_ND, ctx.saved_tensors[0], ctx.places), None


class _Unpack(torch.autograd.Function):
    """The inverse; the other rows are 0."""

    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, rows_N: Tensor, places: int) -> Tensor:
        ctx.save_for_backward(rows_N)
        return _scattered(x_ND, rows_N, places)

    @staticmethod
    def backward(ctx: Any, d_PD: Tensor) -> tuple[Tensor, None, None]:
        return d_PD.index_select(0, ctx.saved_tensors[0]), None, None


def _scattered(x_ND: Tensor, rows_N: Tensor, places: int) -> Tensor:
    return x_ND.new_zeros(places, x_ND.shape[1]).index_copy_(0, rows_N, x_ND)


class Packing:
    """Which places of a (B, T) batch hold a token, and the way from there to a row for each and back.

    Args:
        real_BT: true where there is a token; padding stands behind.
        multiple: the number of rows is a multiple of it, as far as there is padding to fill them up with. A processor
            prepares a matrix product anew for every number of rows, which in bfloat16 can cost more than the product:
            few different numbers are fast.

    Attributes:
        real: `real_BT`.
        rows: (N,) places of the tokens in the flattened batch, sentence by sentence; behind them padding that fills up.
        steps: (N,) the step t of each.
        full: whether there is no padding.
    """

    def __init__(self, real_BT: Tensor, *, multiple: int = 1) -> None:
        flat_P = real_BT.flatten()
        rows_N = flat_P.nonzero().squeeze(1)
        self.real, self.full = real_BT, len(rows_N) == len(flat_P)
        rounded = -(-len(rows_N) // multiple) * multiple
        self._all = rounded >= len(flat_P)
        if self._all:
            rows_N = torch.arange(len(flat_P), device=real_BT.device)
        elif rounded > len(rows_N):
            rows_N = torch.cat([rows_N, (~flat_P).nonzero().squeeze(1)[: rounded - len(rows_N)]])
        self.rows, self.steps = rows_N, rows_N % real_BT.shape[1]

    def pack(self, x_BTD: Tensor) -> Tensor:
        """(N, …) the rows of (B, T, …)."""
        x_PD = x_BTD.flatten(0, 1)
        if self._all:
            return x_PD
        return _Pack.apply(x_PD, self.rows) if x_PD.requires_grad else x_PD.index_select(0, self.rows)

    def unpack(self, x_ND: Tensor) -> Tensor:
        """(B, T, D) with 0 at padding that is no row."""
        x_PD = x_ND if self._all else _Unpack.apply(x_ND, self.rows, self.real.numel())
        return x_PD.view(*self.real.shape, -1)
