"""How parameters start, group by group, each start against its definition."""

import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from seqtrain.callbacks.initialisation import Initialisation
from seqtrain.layers.gru import GRULayer
from seqtrain.layers.lstm import LSTMLayer
from seqtrain.layers.recurrent import Recurrent
from seqtrain.layers.rnn import RNNLayer
from seqtrain.models.conv import Conv
from seqtrain.models.gru import GRU
from seqtrain.models.lstm import LSTM
from seqtrain.models.rnn import RNN
from seqtrain.tasks.labelling import Labelling
from seqtrain.tasks.translation import Translation
from tests.tiny import Numbers, Regression, trainer

H = 5
WIDE = 40
TASK = Labelling(vocabulary=50, labels=("a", "b"))
PAIR = Translation(source_vocabulary=50, target_vocabulary=50, shared=True)
ALL = {"recurrent": "uniform", "inputs": "uniform", "embeddings": "uniform", "output": "uniform", "biases": "uniform"}
LAYERS = [(RNNLayer, 1), (GRULayer, 3), (LSTMLayer, 4), (nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)]


def assert_orthogonal(matrix: torch.Tensor, gain: float = 1.0) -> None:
    torch.testing.assert_close(matrix @ matrix.T, gain**2 * torch.eye(len(matrix)), atol=1e-5, rtol=0)


def assert_uniform(tensor: torch.Tensor, bound: float) -> None:
    """Within the bound, up to near it on both sides, and with its spread."""
    assert tensor.abs().max() <= bound
    assert tensor.min() < -0.9 * bound
    assert tensor.max() > 0.9 * bound
    assert tensor.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.15)


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def changed(model: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}


@pytest.mark.parametrize(("kind", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
@pytest.mark.parametrize("cell", [False, True])
def test_every_gate_of_every_layer(kind: str, gates: int, cell: bool) -> None:
    module = getattr(nn, kind + ("Cell" if cell else ""))
    model = nn.Sequential(module(3, H) if cell else module(3, H, num_layers=2, bidirectional=True))
    before = values(model)
    callback = Initialisation(gain=1.3, forget_bias=None)
    callback.initialise(model)
    matrices = [p for name, p in model.named_parameters() if "weight_hh" in name]
    assert len(matrices) == (1 if cell else 4)
    for matrix in matrices:
        for block in matrix.detach().split(H):
            assert_orthogonal(block, 1.3)
    assert all("weight_hh" in name for name in changed(model, before))
    assert [shape for _, shape in callback.touched] == [(H, H)] * gates * len(matrices)


class Told(nn.Module):
    """A stack of one of our layers that tells what is recurrent in it, as a model does."""

    def __init__(self, make: Callable[..., Any]) -> None:
        super().__init__()
        self.stack = Recurrent(cell=make, inputs=3, hidden=H, layers=2, bidirectional=True, dropout=0.0)

    def recurrent_matrices(self) -> Iterator[tuple[str, torch.Tensor]]:
        yield from self.stack.recurrent_blocks()

    def forget_gate_biases(self) -> Iterator[tuple[str, torch.Tensor]]:
        yield from self.stack.forget_biases()


def recurrent_model(make: Callable[..., nn.Module]) -> nn.Module:
    if make.__module__.startswith("seqtrain"):
        return Told(make)
    return nn.Sequential(make(3, H, num_layers=2, bidirectional=True))


def blocks(model: nn.Module, kind: str) -> list[torch.Tensor]:
    return [b for name, p in model.named_parameters() if kind in name for b in p.detach().split(H)]


@pytest.mark.parametrize(("make", "gates"), LAYERS)
def test_identity_is_exactly_that_and_biases_are_zero(make: Callable[..., nn.Module], gates: int) -> None:
    model = recurrent_model(make)
    before = values(model)
    Initialisation(recurrent="identity", gain=0.5, forget_bias=None).initialise(model)
    recurrent = blocks(model, "weight_hh")
    assert len(recurrent) == 4 * gates
    assert all(torch.equal(block, 0.5 * torch.eye(H)) for block in recurrent)
    assert all(torch.equal(bias, torch.zeros(H)) for bias in blocks(model, "bias"))
    assert not any("weight_ih" in name for name in changed(model, before))


@pytest.mark.parametrize(("make", "gates"), LAYERS)
def test_xavier_goes_by_the_block_of_a_gate(make: Callable[..., nn.Module], gates: int) -> None:
    torch.manual_seed(0)
    model = recurrent_model(make)
    biases = blocks(model, "bias")
    callback = Initialisation(recurrent="xavier", inputs="xavier", forget_bias=None)
    callback.initialise(model)
    assert len(callback.touched) == 2 * 4 * gates
    recurrent, inputs = blocks(model, "weight_hh"), blocks(model, "weight_ih")
    assert_largest(recurrent, math.sqrt(6 / (H + H)))
    for width in (3, 2 * H):  # of the first layer's inputs, and of the second's
        assert_largest([block for block in inputs if block.shape[1] == width], math.sqrt(6 / (H + width)))
    for now, then in zip(blocks(model, "bias"), biases, strict=True):
        assert torch.equal(now, then)


def assert_largest(matrices: list[torch.Tensor], bound: float) -> None:
    largest = torch.cat([matrix.flatten() for matrix in matrices]).abs().max()
    assert 0.9 * bound < largest <= bound


def test_irnn_is_the_papers() -> None:
    model = RNN(task=TASK, embedding=4, hidden=H, layers=2, activation="relu")
    before = values(model)
    Initialisation(recurrent="identity").initialise(model)
    for _, matrix in model.recurrent_matrices():
        assert torch.equal(matrix, torch.eye(H))
    names = changed(model, before)
    assert len(names) == 8  # two layers, two directions
    assert {name.rsplit(".", 1)[1] for name in names} == {"weight_hh", "bias"}
    assert all(torch.equal(p, torch.zeros(H)) for name, p in model.named_parameters() if name.endswith("0.bias"))


@pytest.mark.parametrize("make", [RNN, GRU, LSTM])
def test_every_parameter_uniform(make: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    model = make(task=TASK, embedding=WIDE, hidden=WIDE)
    before = values(model)
    callback = Initialisation(**ALL, bound=0.08, forget_bias=None)  # type: ignore[arg-type]
    callback.initialise(model)
    assert changed(model, before) == before.keys()
    everything = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert_uniform(everything[everything != 0], 0.08)
    sizes = [math.prod(shape) for _, shape in callback.touched]
    assert sum(sizes) == everything.numel()  # each once


@pytest.mark.parametrize(
    ("group", "part"),
    [("inputs", "weight_ih"), ("embeddings", "embedding.weight"), ("output", "output.weight"), ("biases", "bias")],
)
def test_a_group_and_nothing_else(group: str, part: str) -> None:
    torch.manual_seed(0)
    model = GRU(task=TASK, embedding=WIDE, hidden=WIDE)
    before = values(model)
    Initialisation(recurrent=None, bound=0.3, forget_bias=None, **{group: "uniform"}).initialise(model)  # type: ignore[arg-type]
    assert changed(model, before) == {name for name in before if part in name}
    drawn = torch.cat([p.flatten() for name, p in values(model).items() if part in name])
    assert_uniform(drawn[drawn != 0], 0.3)


def test_zero_biases_and_xavier_matrices() -> None:
    """Glorot & Bengio 2010 as a whole."""
    torch.manual_seed(0)
    model = LSTM(task=TASK, embedding=WIDE, hidden=WIDE, bidirectional=False)
    Initialisation(
        recurrent="xavier", inputs="xavier", embeddings="xavier", output="xavier", biases="zero", forget_bias=1.0
    ).initialise(model)
    network: Any = model.network
    assert_uniform(network.embedding.weight.detach()[1:], math.sqrt(6 / (50 + WIDE)))
    assert_uniform(network.output.weight.detach(), math.sqrt(6 / (WIDE + 2)))
    bias = network.recurrent.stack[0][0].bias.detach()
    assert torch.equal(bias, torch.cat([torch.zeros(WIDE), torch.ones(WIDE), torch.zeros(2 * WIDE)]))
    assert torch.equal(network.output.bias.detach(), torch.zeros(2))


def test_shared_matrix_is_the_embeddings() -> None:
    def tied() -> GRU:
        return GRU(task=PAIR, embedding=WIDE, hidden=WIDE, tie_embeddings=True)

    torch.manual_seed(0)
    model = tied()
    callback = Initialisation(recurrent=None, embeddings="uniform", output="xavier", bound=0.01)
    callback.initialise(model)
    network: Any = model.network
    shared = network.decoder.output.weight
    assert shared is network.encoder.embedding.weight
    assert_uniform(shared.detach()[1:], 0.01)
    assert torch.equal(shared.detach()[0], torch.zeros(WIDE))  # padding
    assert [name for name, _ in callback.touched].count("network.encoder.embedding.weight") == 1
    assert not any("output" in name or "decoder.embedding" in name for name, _ in callback.touched)
    model = tied()
    before = values(model)
    Initialisation(recurrent=None, output="uniform").initialise(model)
    assert {name.rsplit(".", 2)[1] for name in changed(model, before)} == {"to_summary", "to_state", "to_readout"}


def test_row_of_padding_stays_as_it_is() -> None:
    table = nn.Embedding(6, 4, padding_idx=2)
    with torch.no_grad():
        table.weight[2] = 7.0
    before = table.weight.detach().clone()
    Initialisation(recurrent=None, embeddings="uniform").initialise(table)
    same = (table.weight == before).all(1)
    assert same.tolist() == [False, False, True, False, False, False]


def test_what_is_no_matrix_and_no_bias_is_left() -> None:
    """Normalisation, and what is not trained."""
    fixed = nn.Linear(3, 3).requires_grad_(False)
    model = nn.Sequential(nn.LayerNorm(3), fixed, RNNLayer(inputs=3, hidden=H, layer_norm=True))
    before = values(model)
    Initialisation(**ALL, forget_bias=None).initialise(model)  # type: ignore[arg-type]
    assert changed(model, before) == {"2.weight_ih"}  # a model has to tell what is recurrent in such a layer


def test_nothing_chosen_changes_nothing() -> None:
    model = LSTM(task=TASK, embedding=4, hidden=H)
    before = values(model)
    callback = Initialisation(recurrent=None, forget_bias=None)
    callback.initialise(model)
    assert changed(model, before) == set()
    assert callback.touched == []


def test_half_precision() -> None:
    model = nn.RNN(3, H).to(torch.bfloat16)
    Initialisation(recurrent="orthogonal", inputs="xavier", biases="uniform").initialise(model)
    matrix = model.weight_hh_l0.detach().float()
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(H), atol=0.02, rtol=0)


def test_forget_gate_of_an_lstm_starts_open() -> None:
    model = nn.LSTM(3, H, num_layers=2)
    Initialisation(forget_bias=1.0, biases="uniform").initialise(model)
    for number in range(2):
        total = getattr(model, f"bias_ih_l{number}") + getattr(model, f"bias_hh_l{number}")
        assert torch.equal(total[H : 2 * H], torch.ones(H))
        assert total[:H].abs().max() <= 0.16


def test_forget_bias_none_leaves_biases() -> None:
    model = nn.LSTM(3, H)
    before = model.bias_ih_l0.clone()
    Initialisation(forget_bias=None).initialise(model)
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
    callback = Initialisation()
    callback.initialise(model)
    assert_orthogonal(model.stacked[:H].detach())
    assert_orthogonal(model.stacked[H:].detach())
    assert torch.equal(model.bias, torch.ones(H))
    assert torch.equal(model.ignored.weight_hh_l0, before)
    assert callback.touched == [("stacked[z]", (H, H)), ("stacked[h]", (H, H)), ("bias", (H,))]


class WithRNN(Regression):
    def __init__(self) -> None:
        super().__init__(lr=0.0)
        self.rnn = nn.RNN(3, H)


def test_in_a_training_it_reports(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    callback, model = Initialisation(inputs="xavier", output="uniform", bound=0.25), WithRNN()
    with caplog.at_level(logging.INFO):
        trainer(tmp_path, callback, max_epochs=1).fit(model, datamodule=Numbers())
    assert_orthogonal(model.rnn.weight_hh_l0.detach())
    assert callback.touched == [
        ("rnn.weight_hh_l0[h]", (H, H)),
        ("rnn.weight_ih_l0[h]", (H, 3)),
        ("layer.weight", (2, 3)),
    ]
    for line in (
        "recurrent orthogonal (gain 1): rnn.weight_hh_l0[h] 5×5",
        "inputs xavier: rnn.weight_ih_l0[h] 5×3",
        "output uniform (±0.25): layer.weight 2×3",
    ):
        assert line in caplog.text


def test_resumed_run_is_left_alone(tmp_path: Path) -> None:
    first, model = trainer(tmp_path, max_epochs=1), WithRNN()
    first.fit(model, datamodule=Numbers())
    first.save_checkpoint(tmp_path / "a.ckpt")
    callback, resumed = Initialisation(**ALL), WithRNN()  # type: ignore[arg-type]
    trainer(tmp_path, callback, max_epochs=2).fit(resumed, datamodule=Numbers(), ckpt_path=tmp_path / "a.ckpt")
    assert changed(resumed.rnn, values(model.rnn)) == set()
    assert callback.touched == []


def test_says_nothing_where_there_is_nothing_to_set(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        trainer(tmp_path, Initialisation(), max_epochs=1).fit(Regression(), datamodule=Numbers())
    assert "initialisation" not in caplog.text


def test_weight_normalised_matrices_are_left() -> None:
    torch.manual_seed(0)
    model = Conv(task=PAIR, embedding=WIDE, hidden=WIDE, layers=1, tie_embeddings=False, dropout=0.0)
    before = values(model)
    Initialisation(**ALL, forget_bias=None, bound=0.02).initialise(model)  # type: ignore[arg-type]
    normalised = {name for name in before if "parametrizations" in name}
    assert changed(model, before) == before.keys() - normalised
    positions = [p for name, p in model.named_parameters() if "positions" in name]
    assert len(positions) == 2
    for table in positions:
        assert_uniform(table.detach(), 0.02)
    for name in normalised:
        if name.endswith("original0"):
            v = before[name.replace("original0", "original1")]
            torch.testing.assert_close(before[name], torch.linalg.vector_norm(v, dim=1, keepdim=True))
