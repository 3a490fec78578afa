"""The output layer: a distribution over the vocabulary, and its loss without ever holding all the logits."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHUNK, SLICE = 512, 64
"""Rows of logits held at a time, and rows of them whose softmax is taken at a time: matrix products want many, and what
is done element by element wants few, which stay in a processor's cache with a usual vocabulary.
"""


def working_dtype(x: Tensor) -> torch.dtype:
    """The precision that matrix products run in: autocast's where it is on, else that of `x`."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def state_dtype(x: Tensor) -> torch.dtype:
    """The precision that states are kept in: that of `x`, but under autocast float32 at least, as small steps towards a
    candidate would be rounded away.
    """
    return torch.promote_types(x.dtype, torch.float32) if torch.is_autocast_enabled(x.device.type) else x.dtype


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Summed cross-entropy of `F.linear` logits, `CHUNK` rows at a time.

    Each chunk's gradients are taken while its logits are there, in the forward pass; the backward pass only scales
    them. Products run in the working precision, the softmax and the sums in float32.

    With log p = logit - log_sum, what smoothing needs of all the log p is known without them: the sum of a row's logits
    is a product of x with the sum of W's rows.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x_NE: Tensor,
        weight_VE: Tensor,
        bias_V: Tensor,
        target_N: Tensor,
        smoothing: float,
        dtype: torch.dtype,
        wants: bool,
    ) -> tuple[Tensor, Tensor]:
        N, V = len(x_NE), len(weight_VE)
        wide = torch.promote_types(dtype, torch.float32)
        # In bfloat16 a processor prepares products anew for every number of rows, which costs as much as they do: rows
        # of zeros make it a multiple.
        x, W, b = F.pad(x_NE.to(dtype), (0, 0, 0, -N % SLICE)), weight_VE.to(dtype), bias_V.to(dtype)
        log_p_right = torch.zeros((), dtype=wide, device=x.device)
        log_sums = torch.zeros_like(log_p_right)
        dx = torch.empty_like(x) if wants else x
        dW = torch.zeros_like(weight_VE, dtype=wide) if wants else None
        db = torch.zeros_like(bias_V, dtype=wide)
        chunk = x.new_empty(min(CHUNK, len(x)), V)
        for start in range(0, len(x), CHUNK):
            rows = slice(start, start + CHUNK)
            right = target_N[rows].unsqueeze(1)
            whole = torch.addmm(b, x[rows], W.t(), out=chunk[: len(x[rows])])
            d = whole[: len(right)]
            for part, own in zip(d.split(SLICE), right.split(SLICE), strict=True):
                log_p = torch.log_softmax(part, 1, dtype=wide)
                own_log_p = log_p.gather(1, own)
                log_p_right += own_log_p.sum()
                log_sums += (part.gather(1, own).to(wide) - own_log_p).sum()
                if wants:
                    part.copy_(log_p.exp_())
            if dW is not None:
                # dL/dlogits, but for the even share of the smoothing, which is the same everywhere and comes below.
                # One index into the flat chunk: `scatter_add_` would copy all of it, there and back.
                places = torch.arange(len(d), device=d.device) * V + right.squeeze(1)
                d.view(-1).index_add_(0, places, torch.full_like(places, smoothing - 1, dtype=dtype))
                torch.mm(whole, W, out=dx[rows])
                dW += whole.t() @ x[rows]
                db += d.sum(0)  # added up in float32 inside, and not copied to it before
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
    def backward(ctx: Any, dloss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        dx, *rest = ctx.saved_tensors
        gradients = (g.mul(dloss).to(dtype) for g, dtype in zip((dx[: ctx.rows], *rest), ctx.dtypes, strict=True))
        return *gradients, None, None, None, None


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
        return _ChunkedCrossEntropy.apply(x_NE, self.weight, self.bias, target_N, smoothing, working_dtype(x_NE), wants)
