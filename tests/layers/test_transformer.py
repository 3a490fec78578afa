"""Transformer layers against torch.nn's."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtrain.layers.multihead import SelfAttention, attend, weights
from seqtrain.layers.packing import Packing
from seqtrain.layers.transformer import DecoderLayer, EncoderLayer, Norm, TransformerMemory

WIDTH, HEADS, HIDDEN = 8, 2, 12
NORMS = pytest.mark.parametrize("norm", ["pre", "post"])


def packing(*lengths: int) -> Packing:
    return Packing(torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1))


def stir(module: nn.Module) -> None:
    """Biases and norms too away from where they start."""
    torch.manual_seed(0)
    for p in module.parameters():
        nn.init.normal_(p, std=0.5)


def copy_attention(theirs: nn.MultiheadAttention, *inner: nn.Linear, out: nn.Linear) -> None:
    theirs.in_proj_weight.data = torch.cat([linear.weight.data for linear in inner])
    theirs.in_proj_bias.data = torch.cat([linear.bias.data for linear in inner])
    theirs.out_proj.load_state_dict(out.state_dict())


def copy_rest(theirs: Any, ours: Any) -> None:
    theirs.linear1.load_state_dict(ours.feed_forward.first.state_dict())
    theirs.linear2.load_state_dict(ours.feed_forward.second.state_dict())
    for i, sublayer in enumerate(ours.sublayers, 1):
        getattr(theirs, f"norm{i}").load_state_dict(sublayer.norm.state_dict())
    copy_attention(theirs.self_attn, ours.attention.project, out=ours.attention.out)


def same(ours: Tensor, theirs: Tensor, inputs: list[Tensor]) -> None:
    """Values and gradients."""
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    factor = torch.randn(ours.shape)
    for a, b in zip(*(torch.autograd.grad((y * factor).sum(), inputs) for y in (ours, theirs)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


SIZES: Any = {"width": WIDTH, "heads": HEADS, "feed_forward": HIDDEN, "dropout": 0.0}


@NORMS
def test_encoder_layer(norm: Norm) -> None:
    ours = EncoderLayer(**SIZES, norm=norm)
    stir(ours)
    theirs = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, 0.0, batch_first=True, norm_first=norm == "pre")
    copy_rest(theirs, ours)
    where, x = packing(3, 5, 1), torch.randn(3, 5, WIDTH, requires_grad=True)
    expected = theirs(x, src_key_padding_mask=~where.real)
    same(ours(where.pack(x), where), expected[where.real], [x])
    with torch.no_grad():
        torch.testing.assert_close(ours(where.pack(x), where), expected[where.real], rtol=1e-4, atol=1e-5)


@NORMS
def test_decoder_layer(norm: Norm) -> None:
    ours = DecoderLayer(**SIZES, norm=norm)
    stir(ours)
    theirs = nn.TransformerDecoderLayer(WIDTH, HEADS, HIDDEN, 0.0, batch_first=True, norm_first=norm == "pre")
    copy_rest(theirs, ours)
    copy_attention(theirs.multihead_attn, ours.cross.query, ours.cross.key_value, out=ours.cross.out)
    where, source = packing(4, 2, 3), packing(2, 3, 1)
    x, m = torch.randn(3, 4, WIDTH, requires_grad=True), torch.randn(3, 3, WIDTH, requires_grad=True)
    later = torch.ones(4, 4, dtype=torch.bool).triu(1)
    expected = theirs(x, m, tgt_mask=later, memory_key_padding_mask=~source.real)
    seen: list[Tensor] = []
    found = ours(where.pack(x), where, TransformerMemory(source.pack(m), source), seen)
    same(found, expected[where.real], [x, m])
    if norm == "post":
        before = theirs.norm1(x + theirs.self_attn(x, x, x, attn_mask=later)[0])
        _, by_head = theirs.multihead_attn(
            before, m, m, key_padding_mask=~source.real, need_weights=True, average_attn_weights=False
        )
        torch.testing.assert_close(
            seen[0].transpose(1, 2)[where.real], by_head.transpose(1, 2)[where.real], rtol=1e-4, atol=1e-5
        )


def test_self_attention_is_that_of_torch() -> None:
    ours = SelfAttention(width=WIDTH, heads=HEADS, causal=False)
    stir(ours)
    theirs = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    copy_attention(theirs, ours.project, out=ours.out)
    where, x = packing(4, 4), torch.randn(2, 4, WIDTH, requires_grad=True)
    same(ours(where.pack(x), where), theirs(x, x, x, need_weights=False)[0].flatten(0, 1), [x])


@pytest.mark.parametrize("causal", [False, True])
def test_attention_s_own_gradients(causal: bool) -> None:
    torch.manual_seed(0)
    q = torch.randn(2, 3, 2, 4, dtype=torch.float64, requires_grad=True)
    kv = torch.randn(2, 3, 2, 2, 4, dtype=torch.float64, requires_grad=True)
    real = None if causal else torch.tensor([[True, True, False], [True, True, True]])
    assert torch.autograd.gradcheck(lambda q, kv: attend(q, kv, real, causal=causal), (q, kv))
    mask = None if real is None else real[:, None, None]
    k, v = kv.transpose(1, 3).unbind(2)
    expected = F.scaled_dot_product_attention(q.transpose(1, 2), k, v, attn_mask=mask, is_causal=causal)
    torch.testing.assert_close(attend(q, kv, real, causal=causal), expected.transpose(1, 2).flatten(2))
    if real is not None:
        by_weights = torch.einsum("bhts,bshe->bthe", weights(q, kv[:, :, 0], real), kv[:, :, 1])
        torch.testing.assert_close(by_weights.flatten(2), expected.transpose(1, 2).flatten(2))


def test_packing_and_back() -> None:
    for where in (packing(3, 1, 2), packing(2, 2)):
        x = torch.randn(*where.real.shape, 4, dtype=torch.float64, requires_grad=True)
        rows = where.pack(x)
        assert rows.tolist() == x[where.real].tolist()
        assert where.unpack(rows).tolist() == (x * where.real.unsqueeze(-1)).tolist()
        assert torch.autograd.gradcheck(lambda x, where=where: where.pack(x), x)
        assert torch.autograd.gradcheck(lambda rows, where=where: where.unpack(rows), rows.detach().requires_grad_())
        assert where.steps.tolist() == [t for row in where.real.tolist() for t, real in enumerate(row) if real]
