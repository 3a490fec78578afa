"""Transformer layers against torch.nn's."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtrain.layers.multihead import CrossAttention, SelfAttention, attend, weights
from seqtrain.layers.packing import Packing
from seqtrain.layers.transformer import DecoderLayer, EncoderLayer, Norm, TransformerMemory

WIDTH, HEADS, HIDDEN = 8, 2, 12
NORMS = pytest.mark.parametrize("norm", ["pre", "post"])


def packing(*lengths: int, multiple: int = 1) -> Packing:
    return Packing(torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1), multiple=multiple)


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


@pytest.mark.parametrize(("causal", "T"), [(False, 3), (True, 3), (False, 1), (False, 5)])
def test_attention_s_own_gradients(causal: bool, T: int) -> None:
    torch.manual_seed(0)
    q = torch.randn(2, T, 2, 4, dtype=torch.float64, requires_grad=True)
    kv = torch.randn(2, 3, 2, 2, 4, dtype=torch.float64, requires_grad=True)
    real = None if causal else torch.tensor([[True, True, False], [True, True, True]])
    assert torch.autograd.gradcheck(lambda q, kv: attend(q, kv, real, causal=causal), (q, kv))
    mask = None if real is None else real[:, None, None]
    k, v = kv.transpose(1, 3).unbind(2)
    expected = F.scaled_dot_product_attention(q.transpose(1, 2), k, v, attn_mask=mask, is_causal=causal)
    torch.testing.assert_close(attend(q, kv, real, causal=causal), expected.transpose(1, 2).flatten(2))
    with torch.no_grad():
        torch.testing.assert_close(attend(q, kv, real, causal=causal), expected.transpose(1, 2).flatten(2))
    if real is not None:
        by_weights = torch.einsum("bhts,bshe->bthe", weights(q, kv[:, :, 0], real), kv[:, :, 1])
        torch.testing.assert_close(by_weights.flatten(2), expected.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("lengths", [(3, 1, 2), (2, 2), (5, 1, 1)])
@pytest.mark.parametrize("multiple", [1, 2, 4, 256])
def test_packing_and_back(lengths: tuple[int, ...], multiple: int) -> None:
    where = packing(*lengths, multiple=multiple)
    x = torch.randn(*where.real.shape, 4, dtype=torch.float64, requires_grad=True)
    rows, places, tokens = where.pack(x), where.real.numel(), sum(lengths)
    assert len(rows) == min(places, -(-tokens // multiple) * multiple)
    assert len(set(map(tuple, rows.tolist()))) == len(rows)  # each place once
    packed = (torch.arange(places)[:, None] == where.rows).any(1).view(where.real.shape)
    assert bool((packed | ~where.real).all())
    if len(rows) < places:
        assert rows[:tokens].tolist() == x[where.real].tolist()
    assert where.unpack(rows).tolist() == (x * packed.unsqueeze(-1)).tolist()
    assert torch.autograd.gradcheck(where.pack, x)
    assert torch.autograd.gradcheck(where.unpack, rows.detach().requires_grad_())
    steps = torch.arange(where.real.shape[1]).expand(where.real.shape).flatten()
    assert torch.equal(where.steps, steps[where.rows])


def test_attention_starts_as_that_of_torch() -> None:
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(64, 4)
    nn.init.xavier_uniform_(theirs.out_proj.weight)  # as the paper's toolkits do
    cross, own = CrossAttention(width=64, heads=4), SelfAttention(width=64, heads=4, causal=False)
    for linear in (cross.query, cross.key_value, own.project):
        assert linear.weight.std().item() == pytest.approx(theirs.in_proj_weight.std().item(), rel=0.03)
        assert linear.weight.abs().max() <= theirs.in_proj_weight.abs().max() * 1.01
    for linear in (cross.out, own.out):
        assert linear.weight.std().item() == pytest.approx(theirs.out_proj.weight.std().item(), rel=0.03)
    assert not any(p.any() for module in (cross, own) for name, p in module.named_parameters() if "bias" in name)


def test_weights_are_in_float32_under_autocast() -> None:
    q, k = torch.randn(2, 1, 3, 2, 4)
    real = torch.ones(1, 3, dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16):
        rough = weights(q, k, real)
    assert torch.equal(rough, weights(q, k, real))
