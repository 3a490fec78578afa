"""Recurrent translators with attention, and without any context: Bahdanau's, Luong's and Sutskever's."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from seqtrain.callbacks.initialisation import Initialisation
from seqtrain.config.check import check
from seqtrain.config.compose import compose_job
from seqtrain.config.together import check_together
from seqtrain.decoding.settings import Decoding
from seqtrain.errors import UserError
from seqtrain.layers import flow
from tests.layers.by_hand import scattered, sigmoid
from tests.models.examples import (
    JOINT,
    PAIR,
    TARGETS,
    assert_pairs_are_alone,
    assert_stepping_is_teaching,
    overfit,
    tiny,
    translations,
)

ATTENTION: list[dict[str, Any]] = [
    {},
    {"readout": "previous"},
    {"layers": 2, "cell": "lstm", "score": "dot", "bidirectional": False},
    {"cell": "mlstm", "score": "general"},
    {"cell": "hyperlstm"},
    {"query": "current", "score": "general", "cell": "lstm", "layers": 2},
    {"query": "current", "score": "additive", "cell": "hyperlstm"},
    {"query": "current", "score": "scaled_dot", "input_feeding": True, "layers": 2},
    {"query": "current", "score": "dot", "input_feeding": True, "bidirectional": False, "cell": "rnn"},
]
SEQ2SEQ: list[dict[str, Any]] = [{}, {"bidirectional": True, "reverse_source": False}, {"cell": "mrnn", "layers": 1}]
VARIANTS = [*(("attention", options) for options in ATTENTION), *(("seq2seq", options) for options in SEQ2SEQ)]
EVERY = pytest.mark.parametrize(
    ("name", "options"), VARIANTS, ids=[",".join([n, *(f"{k}={v}" for k, v in o.items())]) for n, o in VARIANTS]
)


def weights_of(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: parameter.detach().numpy() for name, parameter in module.named_parameters()}


@EVERY
@torch.no_grad()
def test_teacher_forcing_equals_stepping(name: str, options: dict[str, Any]) -> None:
    assert_stepping_is_teaching(tiny(name, PAIR, **options))


@EVERY
@torch.no_grad()
def test_a_sentence_does_not_depend_on_its_batch(name: str, options: dict[str, Any]) -> None:
    assert_pairs_are_alone(tiny(name, PAIR, **options).eval())


@pytest.mark.parametrize(
    ("name", "options"), [VARIANTS[0], VARIANTS[7], VARIANTS[-3]], ids=["bahdanau", "luong", "seq2seq"]
)
def test_learns_a_batch_by_heart_and_translates_it(name: str, options: dict[str, Any]) -> None:
    model, batch = tiny(name, JOINT, **options), translations()
    assert overfit(model, batch, steps=80) < 0.1
    for decoding in (Decoding(), Decoding(beam=3)):
        assert [best[0].tokens for best in model.translate(batch, decoding)] == TARGETS


@EVERY
def test_bfloat16_autocast_is_near(name: str, options: dict[str, Any]) -> None:
    model, batch = tiny(name, PAIR, **options), translations()
    exact = model.measure(batch).loss
    with torch.autocast("cpu", torch.bfloat16):
        rough = model.measure(batch).loss
    rough.backward()
    assert rough.item() == pytest.approx(exact.item(), rel=0.03, abs=0.01)
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in model.parameters())


@pytest.mark.parametrize("options", ATTENTION)
@torch.no_grad()
def test_attention_weights(options: dict[str, Any]) -> None:
    model, batch = tiny("attention", PAIR, **options), translations()
    (B, S), T = batch.source.shape, batch.target.shape[1] - 1
    weights = model.network.attention(batch.source, batch.source_lengths, batch.target[:, :-1])
    assert weights.shape == (B, 1, 1, T, S)
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, 1, 1, T))
    assert (weights.squeeze() == 0).all(1).equal(torch.arange(S) >= batch.source_lengths.unsqueeze(1))
    assert not hasattr(tiny("seq2seq", PAIR).network, "attention")


def step_of_bahdanau(
    model: Any, before: np.ndarray, h: np.ndarray, e: np.ndarray, *, readout: str
) -> tuple[np.ndarray, np.ndarray]:
    """s_i (H,) and the logits (V,) from s_{i-1}, the source's states (S, D) and e(y_{i-1})."""
    s = before
    p = weights_of(model.network.decoder)
    H = len(s)
    scores = [
        p["attention.v"] @ np.tanh(p["attention.query.weight"] @ s + p["attention.key.weight"] @ one) for one in h
    ]
    c = np.exp(scores) @ h / np.exp(scores).sum()
    x = p["recurrent.stack.0.0.weight_ih"] @ e + p["from_fed.weight"] @ c + p["recurrent.stack.0.0.bias"]
    U_r, U_z, U = p["recurrent.stack.0.0.weight_hh"].reshape(3, H, H)
    r, z = sigmoid(x[:H] + U_r @ s), sigmoid(x[H : 2 * H] + U_z @ s)
    s = z * s + (1 - z) * np.tanh(x[2 * H :] + U @ (r * s))
    read = s if readout == "current" else before
    t = p["to_readout.weight"] @ np.concatenate([read, e, c]) + p["to_readout.bias"]
    return s, p["output.weight"] @ t.reshape(-1, 2).max(1) + p["output.bias"]


@pytest.mark.parametrize("readout", ["current", "previous"])
@torch.no_grad()
def test_bahdanaus_decoder_is_that_of_the_equations(readout: str) -> None:
    model, batch = tiny("attention", PAIR, tie_embeddings=False, readout=readout).double().eval(), translations([0])
    scattered(model)
    network, decoder = model.network, model.network.decoder
    taught = decoder.output(network.teach(batch.source, batch.source_lengths, batch.target[:, :-1]))[0]
    states, last = network.encoder.recurrent(network.encoder.embedding(batch.source), batch.source_lengths)
    p = weights_of(decoder)
    backward = states[0, 0, 12:].numpy()  # the first word's, which is the last that is read
    np.testing.assert_allclose(last[1, 0], backward)
    s = np.tanh(p["to_state.weight"] @ backward + p["to_state.bias"])
    for t, token in enumerate(batch.target[0, :-1].tolist()):
        s, logits = step_of_bahdanau(model, s, states[0].numpy(), p["embedding.weight"][token], readout=readout)
        np.testing.assert_allclose(taught[t], logits, rtol=1e-8)


@torch.no_grad()
def test_luongs_decoder_with_input_feeding_is_that_of_the_equations() -> None:
    options = {"query": "current", "score": "general", "input_feeding": True, "cell": "rnn", "tie_embeddings": False}
    model, batch = tiny("attention", PAIR, **options).double().eval(), translations([3])
    scattered(model)
    network, decoder = model.network, model.network.decoder
    taught = decoder.output(network.teach(batch.source, batch.source_lengths, batch.target[:, :-1]))[0]
    memory, p = network.encode(batch.source, batch.source_lengths), weights_of(decoder)
    h = memory.states[0].numpy()
    s = np.tanh(p["to_state.weight"] @ memory.summary[0].numpy() + p["to_state.bias"])
    o, cell = np.zeros(12), "recurrent.stack.0.0."
    for t, token in enumerate(batch.target[0, :-1].tolist()):
        x = p[cell + "weight_ih"] @ p["embedding.weight"][token] + p["from_fed.weight"] @ o + p[cell + "bias"]
        s = np.tanh(x + p[cell + "weight_hh"] @ s)
        scores = np.exp(h @ p["attention.key.weight"].T @ s)
        o = np.tanh(p["to_readout.weight"] @ np.concatenate([scores @ h / scores.sum(), s]))
        np.testing.assert_allclose(taught[t], p["output.weight"] @ o + p["output.bias"], rtol=1e-8)


@pytest.mark.parametrize("reverse", [False, True])
@torch.no_grad()
def test_the_decoder_of_seq2seq_starts_from_whole_states_of_torchs_lstm(reverse: bool) -> None:
    model, batch = tiny("seq2seq", PAIR, reverse_source=reverse), translations()
    encoder = model.network.encoder
    oracle = nn.LSTM(12, 12, num_layers=2)
    for depth, (layer,) in enumerate(encoder.recurrent.cells()):
        for name in ("weight_ih", "weight_hh"):
            getattr(oracle, f"{name}_l{depth}").copy_(getattr(layer, name))
        getattr(oracle, f"bias_ih_l{depth}").copy_(layer.bias)
        getattr(oracle, f"bias_hh_l{depth}").zero_()
    states = model.network.encode(batch.source, batch.source_lengths)
    for row, length in enumerate(batch.source_lengths.tolist()):
        words = batch.source[row, : length - 1]
        read = torch.cat([words.flip(0) if reverse else words, batch.source[row, length - 1 : length]])
        _, (h, c) = oracle(encoder.embedding(read))
        torch.testing.assert_close(states[:, row], torch.cat([h, c], dim=1))


@pytest.mark.parametrize(("cell", "parts"), [("gru", [6]), ("lstm", [6, 6]), ("hyperlstm", [6, 6, 32, 32])])
@torch.no_grad()
def test_both_directions_states_are_put_side_by_side(cell: str, parts: list[int]) -> None:
    model, batch = tiny("seq2seq", PAIR, bidirectional=True, reverse_source=False, cell=cell), translations()
    encoder = model.network.encoder
    _, last = encoder.read(batch.source, batch.source_lengths)
    first = encoder(batch.source, batch.source_lengths)
    for layer in range(2):
        forward, backward = last[2 * layer], last[2 * layer + 1]
        at = 0
        for width in parts:
            torch.testing.assert_close(first[layer, :, 2 * at : 2 * at + width], forward[:, at : at + width])
            torch.testing.assert_close(first[layer, :, 2 * at + width : 2 * (at + width)], backward[:, at : at + width])
            at += width
    assert first.shape[2] == model.network.decoder.recurrent.state_size == 2 * at


def test_two_directions_share_an_even_width() -> None:
    with pytest.raises(UserError, match=r"model\.hidden=13 cannot be shared"):
        tiny("seq2seq", PAIR, bidirectional=True, hidden=13)


def test_gradient_flow_through_a_decoder_that_attends() -> None:
    model, batch = tiny("attention", PAIR, layers=2), translations()
    names = ["decoder.layer0.forward", "decoder.layer1.forward"]
    flows = flow.measure(
        model.network,
        lambda network: model.task.measure(network, batch, smoothing=0.0).loss,
        layers=names,
        probes=2,
        generator=torch.Generator().manual_seed(0),
    )
    assert [one.layer for one in flows] == names
    assert all(len(one.loss) == 5 and one.loss[0] > 0 for one in flows)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="input_feeding=true goes with"):
        tiny("attention", PAIR, input_feeding=True)
    with pytest.raises(UserError, match="readout=previous goes with"):
        tiny("attention", PAIR, readout="previous", query="current")
    with pytest.raises(UserError, match="width 12 with others of width 24"):
        tiny("attention", PAIR, score="dot")


def test_start_of_bahdanau() -> None:
    model = tiny("attention", PAIR, embedding=40, hidden=40, tie_embeddings=False)
    Initialisation(
        inputs="normal", embeddings="normal", attention="bahdanau", output="normal", biases="zero", deviation=0.01
    ).initialise(model)
    recurrent = {matrix.data_ptr() for _, matrix in model.recurrent_matrices()}
    for name, p in model.network.named_parameters():
        if "attention" in name:
            assert not p.any() if p.ndim == 1 else p.std().item() == pytest.approx(0.001, rel=0.1)
        elif p.ndim == 1:
            assert not p.any()
        elif p.data_ptr() not in recurrent:
            assert p.std().item() == pytest.approx(0.01, rel=0.15)
    for _, matrix in model.recurrent_matrices():
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(40), atol=1e-5, rtol=0)


def composed(experiment: str) -> Any:
    job = compose_job([f"experiment={experiment}"])
    check(job.cfg, job.choices)
    check_together(job.cfg)
    assert job.choices["data"] == "multi30k"
    assert (job.cfg.model.dropout, job.cfg.model.label_smoothing, job.cfg.model.tie_embeddings) == (0.0, 0.0, False)
    assert (job.cfg.data.tokenizer, job.cfg.data.joint, job.cfg.data.vocabulary) == ("word", False, 30000)
    return job


def test_bahdanau2014_is_the_paper_s() -> None:
    job = composed("bahdanau2014")
    model, callbacks = job.cfg.model, job.cfg.callbacks
    assert (job.choices["model"], job.choices["scheduler"]) == ("attention", "constant")
    assert (model.cell, model.score, model.query, model.readout) == ("gru", "additive", "previous", "previous")
    assert (model.embedding, model.hidden, model.layers, model.bidirectional) == (620, 1000, 1, True)
    optimizer = {"_target_": "torch.optim.Adadelta", "lr": 1.0, "rho": 0.95, "eps": 1e-6, "weight_decay": 0.0}
    assert job.cfg.optimizer == optimizer
    assert callbacks.clipping.norm == pytest.approx(1 / 14, abs=0.005)  # of a sentence of 14 words
    assert callbacks.early_stopping is None
    assert job.cfg.trainer.max_epochs == 20
    start = {"recurrent": "orthogonal", "attention": "bahdanau", "biases": "zero", "deviation": 0.01}
    assert callbacks.initialisation.items() >= start.items()
    assert {callbacks.initialisation[group] for group in ("inputs", "embeddings", "output")} == {"normal"}


def test_sutskever2014_is_the_paper_s() -> None:
    job = composed("sutskever2014")
    model, start = job.cfg.model, job.cfg.callbacks.initialisation
    assert (job.choices["model"], job.choices["scheduler"]) == ("seq2seq", "halve")
    assert (model.cell, model.layers, model.bidirectional, model.reverse_source) == ("lstm", 4, False, True)
    assert (model.embedding, model.hidden) == (500, 500)
    assert job.cfg.optimizer["_target_"] == "torch.optim.SGD"
    assert job.cfg.optimizer.momentum == 0.0
    assert job.cfg.optimizer.lr == pytest.approx(0.7 * 14, abs=0.5)  # of a sentence of 14 words
    assert job.cfg.callbacks.clipping.norm == pytest.approx(5 / 14, abs=0.005)
    epoch = job.cfg.scheduler.after / 5
    assert (job.cfg.scheduler.unit, job.cfg.scheduler.factor) == ("step", 0.5)
    assert job.cfg.scheduler.every == pytest.approx(epoch / 2, abs=1)
    assert job.cfg.trainer.max_steps == pytest.approx(7.5 * epoch, abs=1)
    groups = ("recurrent", "inputs", "embeddings", "output", "biases")
    assert {start[group] for group in groups} == {"uniform"}
    assert (start.bound, start.forget_bias) == (0.08, None)
