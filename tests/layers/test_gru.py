"""The GRU against NumPy written from its equations, and against torch.nn.GRU."""

import numpy as np
import pytest
import torch
from torch import nn

from seqtrain.layers.gru import GRULayer
from seqtrain.layers.recurrent import Recurrent


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def gru_by_the_equations(layer: GRULayer, x_TBI: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Cho et al. 2014, section 2.3: the reset gate acts on the state, before the recurrent product."""
    W_z, W_r, W = np.split(layer.weight_ih.detach().numpy(), 3)
    U_z, U_r, U = np.split(layer.weight_hh.detach().numpy(), 3)
    b_z, b_r, b = np.split(layer.bias.detach().numpy(), 3)
    states = []
    for x in x_TBI:
        z = sigmoid(x @ W_z.T + h @ U_z.T + b_z)
        r = sigmoid(x @ W_r.T + h @ U_r.T + b_r)
        n = np.tanh(x @ W.T + (r * h) @ U.T + b)
        h = z * h + (1 - z) * n
        states.append(h)
    return np.stack(states)


@pytest.mark.parametrize(("T", "B", "I", "H"), [(7, 3, 5, 4), (1, 1, 1, 1), (20, 2, 3, 8)])
def test_reset_before_is_the_lectures_equations(T, B, I, H):  # noqa: E741
    torch.manual_seed(T)
    layer = GRULayer(inputs=I, hidden=H).double()
    x, h = torch.randn(T, B, I, dtype=torch.double), torch.randn(B, H, dtype=torch.double)
    np.testing.assert_allclose(
        layer(x, h).detach().numpy(), gru_by_the_equations(layer, x.numpy(), h.numpy()), rtol=1e-12, atol=1e-12
    )


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    layer = GRULayer(inputs=3, hidden=4).double()
    x = torch.randn(5, 2, 3, dtype=torch.double, requires_grad=True)
    h = torch.randn(2, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, h, *_: layer(x, h), (x, h, *layer.parameters()))


def test_reset_after_is_torchs_gru():
    torch.manual_seed(0)
    layer = GRULayer(inputs=3, hidden=4, reset="after")
    oracle = nn.GRU(3, 4)
    oracle.load_state_dict(layer.kernel.state_dict())
    x, h = torch.randn(6, 2, 3), torch.randn(2, 4)
    torch.testing.assert_close(layer(x, h), oracle(x, h.unsqueeze(0))[0])


def test_the_two_resets_differ():
    torch.manual_seed(0)
    before, after = GRULayer(inputs=3, hidden=4), GRULayer(inputs=3, hidden=4, reset="after")
    with torch.no_grad():
        z, r, n = before.weight_hh.chunk(3)
        after.kernel.weight_hh_l0.copy_(torch.cat([r, z, n]))
        z, r, n = before.weight_ih.chunk(3)
        after.kernel.weight_ih_l0.copy_(torch.cat([r, z, n]))
        z, r, n = before.bias.chunk(3)
        after.kernel.bias_ih_l0.copy_(torch.cat([r, z, n]))
        after.kernel.bias_hh_l0.zero_()
    x = torch.randn(4, 2, 3)
    zero, other = torch.zeros(2, 4), torch.randn(2, 4)
    # From a zero state the first step is the same in both; from another it is not.
    torch.testing.assert_close(before(x[:1], zero), after(x[:1], zero))
    assert (before(x[:1], other) - after(x[:1], other)).abs().max() > 1e-3


def test_bfloat16_is_near_float32():
    torch.manual_seed(0)
    layer = GRULayer(inputs=32, hidden=64)
    x, h = torch.randn(12, 8, 32), torch.zeros(8, 64)
    exact = layer(x, h)
    exact.sum().backward()
    gradient = layer.weight_hh.grad.clone()
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        rough = layer(x, h)
    rough.sum().backward()
    assert rough.dtype == torch.float32  # the state itself is not rounded
    assert (rough - exact).abs().max() < 0.05
    assert torch.nn.functional.cosine_similarity(layer.weight_hh.grad.flatten(), gradient.flatten(), dim=0) > 0.999


@pytest.mark.parametrize("cell", ["gru", "gru_reset_after"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_changes_nothing(cell, bidirectional):
    torch.manual_seed(0)
    stack = Recurrent(cell=cell, inputs=3, hidden=4, layers=2, bidirectional=bidirectional, dropout=0.0)
    short, long = torch.randn(1, 4, 3), torch.randn(1, 9, 3)
    batch = torch.full((2, 9, 3), 1e3)
    batch[0, :4], batch[1] = short[0], long[0]
    outputs, last = stack(batch, torch.tensor([4, 9]))
    alone, alone_last = stack(short)
    torch.testing.assert_close(outputs[:1, :4], alone)
    torch.testing.assert_close(last[:, :1], alone_last)
    assert outputs[0, 4:].abs().max() == 0
    assert last.shape == (4 if bidirectional else 2, 2, 4)


def test_bidirectional_stack_is_torchs():
    torch.manual_seed(0)
    stack = Recurrent(cell="gru_reset_after", inputs=3, hidden=4, layers=2, bidirectional=True, dropout=0.0)
    oracle = nn.GRU(3, 4, num_layers=2, bidirectional=True, batch_first=True)
    names = ("weight_ih_l", "weight_hh_l", "bias_ih_l", "bias_hh_l")
    with torch.no_grad():
        for depth in range(2):
            for direction, suffix in enumerate(("", "_reverse")):
                for name in names:
                    source = getattr(stack.stack[depth][direction].kernel, f"{name}0")
                    getattr(oracle, f"{name}{depth}{suffix}").copy_(source)
    x, lengths = torch.randn(3, 7, 3), torch.tensor([7, 4, 1])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
    states, last = oracle(packed)
    outputs, ours = stack(x, lengths)
    torch.testing.assert_close(outputs, nn.utils.rnn.pad_packed_sequence(states, batch_first=True)[0])
    torch.testing.assert_close(ours, last)


def test_carried_state_equals_one_pass():
    torch.manual_seed(0)
    stack = Recurrent(cell="gru", inputs=3, hidden=4, layers=2, bidirectional=False, dropout=0.0)
    x = torch.randn(2, 8, 3)
    whole, last = stack(x)
    first, state = stack(x[:, :5])
    second, end = stack(x[:, 5:], None, state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(end, last)
