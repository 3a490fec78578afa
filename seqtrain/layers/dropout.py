"""Dropout (Srivastava et al. 2014)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Module):
    """Sets elements to zero with probability `rate` in training and divides the rest by 1 − rate.

    `torch.nn.Dropout` in effect, but on the CPU, where torch draws one number at a time, sixteen bits decide about
    each element and four elements share a draw: several times as fast, with a rate that is exact to 2⁻¹⁶. What is
    compiled draws as torch does, since a compiler knows no draws of whole words.

    Args:
        rate: share that is left out.
        time: the dimension of steps, to leave out the same elements at each (variational dropout, Gal & Ghahramani
            2016, arXiv:1512.05287); without it every element is drawn for itself.
    """

    def __init__(self, rate: float, *, time: int | None = None) -> None:
        super().__init__()
        self.rate, self.time = rate, time

    def forward(self, x: Tensor) -> Tensor:
        """`x` of any shape, with dropout in training mode."""
        if not self.training or self.rate == 0.0:
            return x
        if self.time is not None:
            return x * self._drop(torch.ones_like(x.select(self.time, 0))).unsqueeze(self.time)
        return self._drop(x)

    def _drop(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(x, self.rate)
        draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        limit = min(round(self.rate * 2**16), 2**16 - 1) - 2**15
        # As whole numbers, since neither making truth values nor turning them into numbers is vectorised.
        kept = torch.ge(draws.view(torch.int16)[: x.numel()], limit, out=torch.empty(x.numel(), dtype=torch.int16))
        return x * kept.view(x.shape).to(x.dtype).div_(1 - self.rate)

    def extra_repr(self) -> str:
        """The rate, for `print(model)`."""
        return f"rate={self.rate}"
