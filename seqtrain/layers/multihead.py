"""Multi-head attention (Vaswani 2017, section 3.2), of a sequence over itself and over another one."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from seqtrain.layers.output import state_dtype
from seqtrain.layers.packing import Packing
from seqtrain.layers.positions import Rotary


class _ShortAttention(torch.autograd.Function):
    """softmax(Q Kᵀ / √E + M) V for short sequences on the CPU.

    The forward and backward passes of torch's fused kernel, which is made for long sequences, take more than twice as
    long on thirty tokens in float32, and far longer in bfloat16.
    """

    @staticmethod
    def forward(ctx: Any, q_BTHE: Tensor, kv_BS2HE: Tensor, mask: Tensor | None) -> Tensor:
        B, T, H, E = q_BTHE.shape
        q, k, v = (_heads_first(x) for x in (q_BTHE, *kv_BS2HE.unbind(2)))
        p = torch.bmm(q.mul_(E**-0.5), k.transpose(1, 2)).view(B, H, T, -1)
        if mask is not None:
            p.add_(mask)
        p = torch.softmax(p, -1).flatten(0, 1)
        ctx.save_for_backward(q, k, v, p)
        ctx.shapes = q_BTHE.shape, kv_BS2HE.shape
        ctx.dtypes = q_BTHE.dtype, kv_BS2HE.dtype
        return _heads_last(torch.bmm(p, v), q_BTHE.new_empty(B, T, H, E))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, do_BTHE: Tensor) -> tuple[Tensor, Tensor, None]:
        q, k, v, p = ctx.saved_tensors
        do = _heads_first(do_BTHE)
        ds = torch._softmax_backward_data(torch.bmm(do, v.transpose(1, 2)), p, -1, p.dtype)
        dq = do.new_empty(ctx.shapes[0], dtype=ctx.dtypes[0])
        dkv = do.new_empty(ctx.shapes[1], dtype=ctx.dtypes[1])
        _heads_last(torch.bmm(ds, k).mul_(q.shape[-1] ** -0.5), dq)
        _heads_last(torch.bmm(ds.transpose(1, 2), q), dkv[:, :, 0])
        _heads_last(torch.bmm(p.transpose(1, 2), do), dkv[:, :, 1])
        return dq, dkv, None


def _heads_first(x_BTHE: Tensor) -> Tensor:
    """(B · H, T, E), an own copy in float32 at least."""
    B, T, H, E = x_BTHE.shape
    copy = x_BTHE.new_empty(B, H, T, E, dtype=torch.promote_types(x_BTHE.dtype, torch.float32))
    return copy.copy_(x_BTHE.transpose(1, 2)).flatten(0, 1)


def _heads_last(x: Tensor, out_BTHE: Tensor) -> Tensor:
    """(B · H, T, E) into (B, T, H, E)."""
    B, T, H, E = out_BTHE.shape
    return out_BTHE.copy_(x.view(B, H, T, E).transpose(1, 2))


def attend(q_BTHE: Tensor, kv_BS2HE: Tensor, real_BS: Tensor | None = None, *, causal: bool = False) -> Tensor:
    """softmax(Q Kᵀ / √E) V of every head, (B, T, H · E) (Vaswani 2017, eq. 1).

    Args:
        q_BTHE: (B, T, H, E) queries.
        kv_BS2HE: (B, S, 2, H, E) keys and values.
        real_BS: (B, S) the keys that may be seen; all without it.
        causal: whether query t sees the keys 0 to t alone, instead.
    """
    if q_BTHE.device.type == "cpu" and torch.is_grad_enabled():
        mask = None
        if causal:
            T = q_BTHE.shape[1]
            mask = torch.full((T, T), -torch.inf, device=q_BTHE.device).triu(1)
        elif real_BS is not None:
            mask = torch.zeros(real_BS.shape).masked_fill(~real_BS, -torch.inf)[:, None, None, :]
        with torch.autocast("cpu", enabled=False):
            return _ShortAttention.apply(q_BTHE, kv_BS2HE, mask).flatten(2)
    k_BSHE, v_BSHE = kv_BS2HE.unbind(2)
    q, k, v = (x.transpose(1, 2) for x in (q_BTHE, k_BSHE, v_BSHE))
    mask = None if real_BS is None else real_BS[:, None, None, :]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal).transpose(1, 2).flatten(2)


def weights(q_BTHE: Tensor, k_BSHE: Tensor, real_BS: Tensor) -> Tensor:
    """(B, H, T, S): softmax(Q Kᵀ / √E), 0 where a key may not be seen; arguments as in `attend`."""
    dtype = state_dtype(q_BTHE)
    with torch.autocast(q_BTHE.device.type, enabled=False):
        scores = torch.einsum("bthe,bshe->bhts", q_BTHE.to(dtype), k_BSHE.to(dtype)) * q_BTHE.shape[-1] ** -0.5
    return scores.masked_fill(~real_BS[:, None, None, :], -torch.inf).softmax(-1)


STACKED = 0.5**0.5
"""How much smaller the matrices of queries, keys and values start: as in one (3D, D) matrix, like `torch.nn`'s."""


def _linear(width: int, matrices: int = 1, *, gain: float = 1.0) -> nn.Linear:
    """Square matrices on top of each other, from `gain` times Glorot & Bengio 2010's for one, and zero biases."""
    linear = nn.Linear(width, matrices * width)
    bound = gain * (3 / width) ** 0.5
    nn.init.uniform_(linear.weight, -bound, bound)
    nn.init.zeros_(linear.bias)
    return linear


class SelfAttention(nn.Module):
    """Attention of a sequence over itself: queries, keys and values by one matrix product.

    Args:
        width: D of the input and of the output.
        heads: number of heads H; their columns are E = D / H.
        causal: whether a token sees only those before it and itself.
        rotary: turns queries and keys by their positions.
    """

    def __init__(self, *, width: int, heads: int, causal: bool, rotary: Rotary | None = None) -> None:
        super().__init__()
        self.heads, self.causal, self.rotary = heads, causal, rotary
        self.project = _linear(width, 3, gain=STACKED)
        self.out = _linear(width)

    def forward(self, x_ND: Tensor, packing: Packing) -> Tensor:
        """(N, D) outputs for (N, D) packed tokens."""
        x_BT3HE = packing.unpack(self._projected(x_ND, packing.steps)).unflatten(-1, (3, self.heads, -1))
        # Padding stands behind: who sees only what is before sees none.
        real = None if self.causal or packing.full else packing.real
        q_BT1HE, kv_BT2HE = x_BT3HE.split([1, 2], 2)
        return self.out(packing.pack(attend(q_BT1HE.squeeze(2), kv_BT2HE, real, causal=self.causal)))

    def step(self, x_BD: Tensor, cache_BT2HE: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) outputs for one more token, and the keys and values (B, T + 1, 2, H, E) of all that there are now."""
        B, T = cache_BT2HE.shape[:2]
        steps_B = torch.full((B,), T, device=x_BD.device)
        x_B13HE = self._projected(x_BD, steps_B).view(B, 1, 3, self.heads, -1)
        cache = torch.cat([cache_BT2HE, x_B13HE[:, :, 1:].to(cache_BT2HE.dtype)], 1)
        return self.out(attend(x_B13HE[:, :, 0].to(cache.dtype), cache)[:, 0]), cache

    def _projected(self, x_ND: Tensor, steps_N: Tensor) -> Tensor:
        x_N3D = self.project(x_ND)
        if self.rotary is None:
            return x_N3D
        q_k, v = x_N3D.unflatten(-1, (3, self.heads, -1)).split([2, 1], 1)
        turned = self.rotary(q_k.flatten(1, 2), steps_N)
        return torch.cat([turned.flatten(1), v.flatten(1)], 1)


class CrossAttention(nn.Module):
    """Attention over another sequence, whose keys and values are computed once.

    Args:
        width: D of both sequences and of the output.
        heads: number of heads H; their columns are E = D / H.
    """

    def __init__(self, *, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = _linear(width, gain=STACKED)
        self.key_value = _linear(width, 2, gain=STACKED)
        self.out = _linear(width)

    def keys_and_values(self, memory_ND: Tensor, packing: Packing) -> Tensor:
        """(B, S, 2, H, E) of a packed sequence."""
        return packing.unpack(self.key_value(memory_ND)).unflatten(-1, (2, self.heads, -1))

    def queries(self, x_ND: Tensor, packing: Packing) -> Tensor:
        """(B, T, H, E) of a packed sequence."""
        return packing.unpack(self.query(x_ND)).unflatten(-1, (self.heads, -1))

    def forward(self, x_ND: Tensor, packing: Packing, kv_BS2HE: Tensor, real_BS: Tensor | None) -> Tensor:
        """(N, D) outputs for (N, D) packed tokens that look at (B, S) keys."""
        return self.out(packing.pack(attend(self.queries(x_ND, packing), kv_BS2HE, real_BS)))

    def step(self, x_BD: Tensor, kv_RS2HE: Tensor, real_RS: Tensor) -> Tensor:
        """(B, D) outputs for one token of each of B = R · K hypotheses, K for each of R sentences."""
        R = len(kv_RS2HE)
        q_RKHE = self.query(x_BD).view(R, -1, self.heads, kv_RS2HE.shape[-1])
        return self.out(attend(q_RKHE.to(kv_RS2HE.dtype), kv_RS2HE, real_RS).flatten(0, 1))
