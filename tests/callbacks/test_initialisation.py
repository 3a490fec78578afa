"""Orthogonal initialisation of every gate's matrix."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from seqtrain.callbacks.initialisation import OrthogonalInitialisation
from tests.tiny import Numbers, Regression, trainer

H = 5


def assert_orthogonal(matrix: torch.Tensor, gain: float = 1.0) -> None:
    torch.testing.assert_close(matrix @ matrix.T, gain**2 * torch.eye(len(matrix)), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("kind", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
@pytest.mark.parametrize("cell", [False, True])
def test_every_gate_of_every_layer(kind: str, gates: int, cell: bool) -> None:
    module = getattr(nn, kind + ("Cell" if cell else ""))
    model = nn.Sequential(module(3, H) if cell else module(3, H, num_layers=2, bidirectional=True))
    inputs = {name: p.clone() for name, p in model.named_parameters() if "weight_ih" in name}
    callback = OrthogonalInitialisation(gain=1.3)
    callback.initialise(model)
    matrices = [p for name, p in model.named_parameters() if "weight_hh" in name]
    assert len(matrices) == (1 if cell else 4)
    for matrix in matrices:
        for block in matrix.detach().split(H):
            assert_orthogonal(block, 1.3)
    for name, before in inputs.items():
        assert torch.equal(model.get_parameter(name), before)
    assert sum(shape == (H, H) for _, shape in callback.touched) == gates * len(matrices)


def test_forget_gate_of_an_lstm_starts_open() -> None:
    model = nn.LSTM(3, H, num_layers=2)
    OrthogonalInitialisation(forget_bias=1.0).initialise(model)
    for layer in range(2):
        total = getattr(model, f"bias_ih_l{layer}") + getattr(model, f"bias_hh_l{layer}")
        assert torch.equal(total[H : 2 * H], torch.ones(H))


def test_forget_bias_none_leaves_biases() -> None:
    model = nn.LSTM(3, H)
    before = model.bias_ih_l0.clone()
    OrthogonalInitialisation(forget_bias=None).initialise(model)
    assert torch.equal(model.bias_ih_l0, before)


def test_model_that_tells_what_is_recurrent() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stacked = nn.Parameter(torch.zeros(2 * H, H))
            self.bias = nn.Parameter(torch.zeros(H))
            self.ignored = nn.GRU(3, H)

        def recurrent_matrices(self) -> Iterator[tuple[str, torch.Tensor]]:
            yield "stacked[z]", self.stacked[:H]
            yield "stacked[h]", self.stacked[H:]

        def forget_gate_biases(self) -> Iterator[tuple[str, torch.Tensor]]:
            yield "bias", self.bias[:]

    model = Own()
    before = model.ignored.weight_hh_l0.clone()
    callback = OrthogonalInitialisation()
    callback.initialise(model)
    assert_orthogonal(model.stacked[:H].detach())
    assert_orthogonal(model.stacked[H:].detach())
    assert torch.equal(model.bias, torch.ones(H))
    assert torch.equal(model.ignored.weight_hh_l0, before)
    assert callback.touched == [("stacked[z]", (H, H)), ("stacked[h]", (H, H)), ("bias", (H,))]


class Recurrent(Regression):
    def __init__(self) -> None:
        super().__init__(lr=0.0)
        self.rnn = nn.RNN(3, H)


def test_in_a_training_it_reports(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    callback, model = OrthogonalInitialisation(), Recurrent()
    with caplog.at_level(logging.INFO):
        trainer(tmp_path, callback, max_epochs=1).fit(model, datamodule=Numbers())
    assert_orthogonal(model.rnn.weight_hh_l0.detach())
    assert callback.touched == [("rnn.weight_hh_l0[h]", (H, H))]
    assert "rnn.weight_hh_l0[h] 5×5" in caplog.text


def test_resumed_run_is_left_alone(tmp_path: Path) -> None:
    first, model = trainer(tmp_path, max_epochs=1), Recurrent()
    first.fit(model, datamodule=Numbers())
    first.save_checkpoint(tmp_path / "a.ckpt")
    callback, resumed = OrthogonalInitialisation(), Recurrent()
    trainer(tmp_path, callback, max_epochs=2).fit(resumed, datamodule=Numbers(), ckpt_path=tmp_path / "a.ckpt")
    assert torch.equal(resumed.rnn.weight_hh_l0, model.rnn.weight_hh_l0)
    assert callback.touched == []


def test_warns_when_nothing_is_recurrent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trainer(tmp_path, OrthogonalInitialisation(), max_epochs=1).fit(Regression(), datamodule=Numbers())
    assert "no recurrent matrix" in caplog.text
