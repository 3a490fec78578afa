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

    Attributes:
        real: `real_BT`.
        rows: (N,) places of the tokens in the flattened batch, sentence by sentence.
        steps: (N,) the step t of each.
        full: whether there is no padding.
    """

    def __init__(self, real_BT: Tensor) -> None:
        self.real = real_BT
        self.rows = real_BT.flatten().nonzero().squeeze(1)
        self.steps = self.rows % real_BT.shape[1]
        self.full = len(self.rows) == real_BT.numel()

    def pack(self, x_BTD: Tensor) -> Tensor:
        """(N, D) rows of the tokens."""
        x_PD = x_BTD.flatten(0, 1)
        return x_PD if self.full else _Pack.apply(x_PD, self.rows)

    def unpack(self, x_ND: Tensor) -> Tensor:
        """(B, T, D) with 0 at padding."""
        x_PD = x_ND if self.full else _Unpack.apply(x_ND, self.rows, self.real.numel())
        return x_PD.view(*self.real.shape, -1)
