"""The chunked output layer against F.linear and F.cross_entropy."""

import pytest
import torch
import torch.nn.functional as F

from seqtrain.layers import output
from seqtrain.layers.output import OutputLayer


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("rows", [1, 7, output.CHUNK, 2 * output.CHUNK + 3])
def test_loss_and_gradients_are_cross_entropys(smoothing, rows):
    assert_cross_entropy(smoothing, rows)


@pytest.mark.parametrize(("chunk", "piece"), [(64, 64), (128, 32), (4096, 4096)])
def test_how_many_rows_are_held_at_a_time_does_not_matter(chunk, piece, monkeypatch):
    monkeypatch.setattr(output, "CHUNK", chunk)
    monkeypatch.setattr(output, "SLICE", piece)
    assert_cross_entropy(0.1, 150)


def assert_cross_entropy(smoothing, rows):
    torch.manual_seed(rows)
    layer = OutputLayer(inputs=5, vocabulary=11).double()
    x = torch.randn(rows, 5, dtype=torch.double, requires_grad=True)
    target = torch.randint(0, 11, (rows,))
    loss, nll = layer.loss(x, target, smoothing=smoothing)
    (3 * loss).backward()
    ours = [x.grad, layer.weight.grad, layer.bias.grad]
    x.grad = layer.weight.grad = layer.bias.grad = None
    logits = F.linear(x, layer.weight, layer.bias)
    oracle = F.cross_entropy(logits, target, label_smoothing=smoothing, reduction="sum")
    (3 * oracle).backward()
    torch.testing.assert_close(loss, oracle)
    torch.testing.assert_close(nll, F.cross_entropy(logits, target, reduction="sum"))
    for mine, theirs in zip(ours, [x.grad, layer.weight.grad, layer.bias.grad], strict=True):
        torch.testing.assert_close(mine, theirs)


def test_extreme_logits_stay_finite():
    layer = OutputLayer(inputs=2, vocabulary=4)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1e3, 0], [-1e3, 0], [0, 1e3], [0, -1e3]]))
    x = torch.tensor([[1.0, 0.5]], requires_grad=True)
    loss, nll = layer.loss(x, torch.tensor([1]), smoothing=0.1)
    loss.backward()
    assert torch.isfinite(loss)
    assert nll == pytest.approx(2e3)
    assert torch.isfinite(x.grad).all()


def test_bfloat16_is_near_float32():
    torch.manual_seed(0)
    layer = OutputLayer(inputs=64, vocabulary=500)
    x, target = torch.randn(300, 64, requires_grad=True), torch.randint(0, 500, (300,))
    exact, _ = layer.loss(x, target, smoothing=0.1)
    exact.backward()
    gradient, x.grad = x.grad, None
    weight, layer.weight.grad = layer.weight.grad, None
    with torch.autocast("cpu", torch.bfloat16):
        rough, _ = layer.loss(x, target, smoothing=0.1)
    rough.backward()
    assert rough.item() == pytest.approx(exact.item(), rel=1e-3)
    assert F.cosine_similarity(x.grad.flatten(), gradient.flatten(), dim=0) > 0.999
    assert F.cosine_similarity(layer.weight.grad.flatten(), weight.flatten(), dim=0) > 0.999


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_no_gradient_is_computed_where_none_is_wanted(mode, monkeypatch):
    layer = OutputLayer(inputs=4, vocabulary=6)
    monkeypatch.setattr(torch, "mm", lambda *_, **__: pytest.fail("the gradient's matrix product was computed"))
    with mode():
        loss, nll = layer.loss(torch.randn(3, 4), torch.tensor([0, 1, 5]), smoothing=0.0)
    torch.testing.assert_close(loss, nll)
    assert not loss.requires_grad


def test_a_shared_matrix_gets_both_gradients():
    embedding = torch.nn.Embedding(6, 4)
    layer = OutputLayer(inputs=4, vocabulary=6, weight=embedding.weight)
    loss, _ = layer.loss(embedding(torch.tensor([2, 3])), torch.tensor([3, 4]))
    loss.backward()
    assert layer.weight is embedding.weight
    assert (embedding.weight.grad.abs().sum(1) > 0).all()
