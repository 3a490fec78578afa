"""The output layer: a distribution over the vocabulary, and its loss without ever holding all the logits."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

CHUNK, SLICE = 512, 64
"""Rows of logits held at a time, and rows of them whose softmax is taken at a time: matrix products want many, and what
is done element by element wants few, which stay in a processor's cache with a usual vocabulary.
"""
LARGE = 4096
"""Rows held at a time, and all treated at once, where there is no such cache: off the CPU."""


def working_dtype(x: Tensor) -> torch.dtype:
    """The precision that matrix products run in: autocast's where it is on, else that of `x`."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def state_dtype(x: Tensor) -> torch.dtype:
    """The precision that states are kept in: that of `x`, but under autocast float32 at least, as small steps towards a
    candidate would be rounded away.
    """
    return torch.promote_types(x.dtype, torch.float32) if torch.is_autocast_enabled(x.device.type) else x.dtype


How = tuple[float, torch.dtype, bool]
"""The share of smoothing, the precision of products, and whether gradients are wanted."""


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Summed cross-entropy of `F.linear` logits, `CHUNK` rows at a time.

    Each chunk's gradients are taken while its logits are there, in the forward pass; the backward pass only scales
    them. Products run in the working precision, the softmax and the sums in float32.

    With log p = logit - log_sum, what smoothing needs of all the log p is known without them: the sum of a row's logits
    is a product of x with the sum of W's rows.
    """

    @staticmethod
    def forward(
        ctx: Any, x_NE: Tensor, weight_VE: Tensor, bias_V: Tensor, target_N: Tensor, how: How
    ) -> tuple[Tensor, Tensor]:
        smoothing, dtype, wants = how
        N, V = len(x_NE), len(weight_VE)
        size = CHUNK if x_NE.device.type == "cpu" else LARGE
        wide = torch.promote_types(dtype, torch.float32)
        # In bfloat16 a processor prepares products anew for every number of rows, which costs as much as they do: rows
        # of zeros make it a multiple.
        x, W, b = F.pad(x_NE.to(dtype), (0, 0, 0, -N % SLICE)), weight_VE.to(dtype), bias_V.to(dtype)
        sums = torch.zeros(2, dtype=wide, device=x.device)
        dx = torch.empty_like(x) if wants else x
        dW = torch.zeros_like(weight_VE, dtype=wide) if wants else None
        db = torch.zeros_like(bias_V, dtype=wide)
        chunk = x.new_empty(min(size, len(x)), V)
        for start in range(0, len(x), size):
            rows = slice(start, start + size)
            right = target_N[rows].unsqueeze(1)
            whole = torch.addmm(b, x[rows], W.t(), out=chunk[: len(x[rows])])
            d = whole[: len(right)]
            _add_logs(sums, d, right, wants)
            if dW is not None:
                _subtract_right(d, right, 1 - smoothing)
                torch.mm(whole, W, out=dx[rows])
                dW += whole.t() @ x[rows]
                db += d.sum(0)  # added up in float32 inside, and not copied to it before
        log_p_right, log_sums = sums
        x_sum, W_sum = x.sum(0, dtype=wide), W.sum(0, dtype=wide)
        log_p_all = x_sum @ W_sum + N * b.sum(dtype=wide) - V * log_sums
        if dW is not None and smoothing:
            even = smoothing / V
            dx -= even * W_sum.to(dtype)
            dW -= even * x_sum
            db -= even * N
        if wants:
            ctx.save_for_backward(dx, dW, db)
        ctx.rows, ctx.dtypes = N, (x_NE.dtype, weight_VE.dtype, bias_V.dtype)
        nll = -log_p_right
        ctx.mark_non_differentiable(nll)
        return (1 - smoothing) * nll - smoothing / V * log_p_all, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dloss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        dx, *rest = ctx.saved_tensors
        gradients = (g.mul(dloss).to(dtype) for g, dtype in zip((dx[: ctx.rows], *rest), ctx.dtypes, strict=True))
        return *gradients, None, None


def _add_logs(sums: Tensor, logits_NV: Tensor, right_N1: Tensor, wants: bool) -> None:
    """Adds log p of the right tokens, and the logarithms of all rows' normalisers, to two sums; puts the probabilities
    in the place of the logits if they are wanted.
    """
    size = SLICE if logits_NV.device.type == "cpu" else LARGE
    for part, own in zip(logits_NV.split(size), right_N1.split(size), strict=True):
        log_p = torch.log_softmax(part, 1, dtype=sums.dtype)
        own_log_p = log_p.gather(1, own)
        sums[0] += own_log_p.sum()
        sums[1] += (part.gather(1, own).to(sums.dtype) - own_log_p).sum()
        if wants:
            part.copy_(log_p.exp_())


def _subtract_right(p_NV: Tensor, right_N1: Tensor, share: float) -> None:
    """Makes probabilities dL/dlogits, but for the even share of the smoothing, which is the same everywhere."""
    # One index into the flat chunk: `scatter_add_` would copy all of it, there and back.
    places = torch.arange(len(p_NV), device=p_NV.device) * p_NV.shape[1] + right_N1.squeeze(1)
    p_NV.view(-1).index_add_(0, places, torch.full_like(places, -share, dtype=p_NV.dtype))


class OutputLayer(nn.Module):
    """Logits W x + b over a vocabulary.

    Args:
        inputs: width E of the input.
        vocabulary: number of tokens V.
        weight: the (V, E) matrix to share with an embedding (Press & Wolf 2017); an own one without it.
    """

    def __init__(self, *, inputs: int, vocabulary: int, weight: Tensor | None = None) -> None:
        super().__init__()
        if weight is None:
            weight = nn.Parameter(torch.empty(vocabulary, inputs).uniform_(-(inputs**-0.5), inputs**-0.5))
        self.weight = weight
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, x: Tensor) -> Tensor:
        """(…, V) logits of (…, E) inputs."""
        return F.linear(x, self.weight, self.bias)

    def loss(self, x_NE: Tensor, target_N: Tensor, *, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
        """Summed cross-entropy over rows, with and without label smoothing.

        The first is `F.cross_entropy(logits, target, label_smoothing=smoothing, reduction="sum")` (Szegedy 2016);
        only it carries gradients. No (N, V) tensor is held.

        Args:
            x_NE: (N, E) inputs.
            target_N: (N,) the right tokens.
            smoothing: share of the target distribution that is spread evenly over the vocabulary.
        """
        # Inside of the function gradients are always off: whether they are wanted shows only here.
        wants = torch.is_grad_enabled()
        how = smoothing, working_dtype(x_NE), wants
        return _ChunkedCrossEntropy.apply(x_NE, self.weight, self.bias, target_N, how)
