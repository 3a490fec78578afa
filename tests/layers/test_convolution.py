"""Gated convolutions, and an encoder and a decoder of one block each, against torch and NumPy."""

import math
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from seqtrain.layers.convolution import Convolution, ConvolutionalEncoder, Embedding, Memory, normed_linear
from seqtrain.layers.convolutional import ConvolutionalDecoder

M = TypeVar("M", bound=torch.nn.Module)
Array = NDArray[np.float64]
HALF = math.sqrt(0.5)


def encoder(kernel: int = 3, layers: int = 1) -> ConvolutionalEncoder:
    torch.manual_seed(0)
    embedding = Embedding(vocabulary=9, width=4, positions=7, dropout=0.0)
    made = ConvolutionalEncoder(
        embedding=embedding, width=4, hidden=6, layers=layers, kernel=kernel, dropout=0.0, attentions=2
    )
    return with_biases(made)


def decoder(kernel: int = 3, layers: int = 1) -> ConvolutionalDecoder:
    torch.manual_seed(1)
    embedding = Embedding(vocabulary=9, width=4, positions=7, dropout=0.0)
    made = ConvolutionalDecoder(
        vocabulary=9, embedding=embedding, width=4, hidden=6, layers=layers, kernel=kernel, dropout=0.0, tie=False
    )
    return with_biases(made)


def with_biases(module: M) -> M:
    for name, p in module.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(p, std=0.3)
    return module.double()


def affine(layer: Any) -> tuple[Array, Array]:
    """W, by the equation w = g v / |v|, and b."""
    p = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    g, v = p["parametrizations.weight.original0"], p["parametrizations.weight.original1"]
    return g * v / np.sqrt((v * v).sum(1, keepdims=True)), p["bias"]


def gated(layer: Any, window: Array) -> Array:
    """GLU(W [x; …; x] + b) for one position."""
    W, b = affine(layer.product)
    a, gate = np.split(W @ window.reshape(-1) + b, 2)
    return np.asarray(a / (1 + np.exp(-gate)))


def embedded(embedding: Embedding, tokens: list[int]) -> Array:
    table, positions = embedding.tokens.weight.detach().numpy(), embedding.positions.table.weight.detach().numpy()
    return np.stack([table[token] + positions[place] for place, token in enumerate(tokens)])


def encoded(module: ConvolutionalEncoder, tokens: list[int]) -> tuple[Array, Array]:
    """Keys and values of one sentence."""
    e = embedded(module.embedding, tokens)
    (W, b), (V, c) = affine(module.widen), affine(module.narrow)
    h = e @ W.T + b
    outside = np.zeros_like(h[:1])
    padded = np.concatenate([outside, h, outside])
    v = np.stack([gated(module.stack[0], padded[j : j + 3]) for j in range(len(tokens))])
    z = ((v + h) * HALF) @ V.T + c
    return z, (z + e) * HALF


def test_encoder_of_one_block() -> None:
    module, tokens = encoder(), [4, 8, 5, 2]
    memory = module(torch.tensor([[*tokens, 0, 0], [3, 2, 0, 0, 0, 0]]), torch.tensor([4, 2]))
    for row, sentence in enumerate((tokens, [3, 2])):
        keys, values = encoded(module, sentence)
        np.testing.assert_allclose(memory.keys[row, : len(sentence)].detach(), keys)
        np.testing.assert_allclose(memory.values[row, : len(sentence)].detach(), values)
    assert memory.real.sum(1).tolist() == [4, 2]


def test_decoder_of_one_block() -> None:
    source, target = encoder(), decoder()
    keys, values = encoded(source, [4, 8, 2])
    memory = source(torch.tensor([[4, 8, 2, 0]]), torch.tensor([3]))
    tokens = [1, 7, 3, 6]
    s, _, (weights,) = target(torch.tensor([tokens]), target.init_state(memory))
    stack: Any = target.stack
    (layer,) = stack
    (W, b), (V, c), (Q, d), (C, f) = map(affine, (target.widen, target.narrow, layer.to_query, layer.from_context))
    g = embedded(target.embedding, tokens)
    h = g @ W.T + b
    before = np.concatenate([np.zeros((2, 6)), h])
    for i in range(4):
        v = gated(layer.convolution, before[i : i + 3])
        a = np.exp(keys @ ((Q @ v + d + g[i]) * HALF))
        a /= a.sum()
        np.testing.assert_allclose(weights[0, i].detach(), [*a, 0.0])
        context = C @ (math.sqrt(3) * a @ values) + f
        out = ((v + context) * HALF + h[i]) * HALF
        np.testing.assert_allclose(s[0, i].detach(), V @ out + c)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_convolution_is_torchs(kernel: int) -> None:
    torch.manual_seed(0)
    layer = with_biases(Convolution(hidden=6, kernel=kernel, dropout=0.0))
    x = torch.randn(2, 9, 6, dtype=torch.float64, requires_grad=True)
    expected = F.conv1d(x.transpose(1, 2), layer.weight.view(12, kernel, 6).transpose(1, 2), layer.product.bias)
    torch.testing.assert_close(layer(x), F.glu(expected, dim=1).transpose(1, 2))


@torch.no_grad()
def test_start_is_the_papers() -> None:
    torch.manual_seed(0)
    for gated_too, variance in ((False, 0.8 / 500), (True, 4 * 0.8 / 500)):
        linear = normed_linear(500, 400, dropout=0.2, gated=gated_too)
        assert linear.weight.var().item() == pytest.approx(variance, rel=0.03)
        assert not linear.bias.any()
    embedding = Embedding(vocabulary=300, width=50, positions=300, dropout=0.0)
    for table in (embedding.tokens.weight, embedding.positions.table.weight):
        assert table.std().item() == pytest.approx(0.1, rel=0.03)
    deep = ConvolutionalEncoder(
        embedding=embedding, width=128, hidden=128, layers=8, kernel=3, dropout=0.0, attentions=1
    )
    h = torch.randn(16, 30, 128) * 0.1
    for layer in deep.stack:
        h = (layer(F.pad(h, (0, 0, 1, 1))) + h) * HALF
    assert 0.05 < h[:, 8:-8].std().item() < 0.2  # neither dies nor explodes


def test_gradient_of_the_encoder_is_divided_by_twice_the_attentions() -> None:
    module = encoder()
    memory = module(torch.tensor([[4, 5, 2]]), torch.tensor([3]))
    to_keys, to_values = torch.randn(2, 1, 3, 4, dtype=torch.float64)
    ((memory.keys * to_keys).sum() + (memory.values * to_values).sum()).backward()
    expected = (to_keys + to_values * HALF).sum((0, 1)) / 4
    torch.testing.assert_close(module.narrow.bias.grad, expected)


@pytest.mark.parametrize("kernel", [1, 2, 4])
@torch.no_grad()
def test_every_kernel_steps_as_it_reads(kernel: int) -> None:
    source, target = encoder(kernel, 2), decoder(kernel, 2)
    memory = source(torch.tensor([[4, 5, 2], [6, 2, 0]]), torch.tensor([3, 2]))
    tokens = torch.tensor([[1, 4, 4, 7, 8], [1, 8, 3, 5, 4]])
    whole, _, _ = target(tokens, target.init_state(memory))
    state = target.init_state(memory)
    for t in range(5):
        logits, state = target.step(tokens[:, t], state)
        torch.testing.assert_close(logits, target.output(whole[:, t]))


@torch.no_grad()
def test_rows_of_other_sentences_take_their_memory_along() -> None:
    target = decoder()
    keys, values = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    real = torch.arange(4) < torch.tensor([[4], [2], [3]])
    state = target.init_state(Memory(torch.arange(3), keys, values, real))
    _, state = target.step(torch.tensor([1, 1, 1]), state)
    _, state = target.step(torch.tensor([3, 4, 5]), state)
    for index in ([0, 1, 2], [2, 2, 0], [1], [0, 0, 1, 1, 2, 2]):
        rows = torch.tensor(index)
        logits, _ = target.step(torch.full((len(index),), 6), target.reorder_state(state, rows))
        expected, _ = target.step(torch.tensor([6, 6, 6]), state)
        torch.testing.assert_close(logits, expected[rows])
    twice = target.reorder_state(target.reorder_state(state, torch.tensor([0, 0, 2])), torch.tensor([1, 0, 2]))
    logits, _ = target.step(torch.tensor([6, 7, 8]), twice)
    for place, (row, token) in enumerate([(0, 6), (0, 7), (2, 8)]):
        alone, _ = target.step(torch.tensor([token]), target.reorder_state(state, torch.tensor([row])))
        torch.testing.assert_close(logits[place], alone[0])
