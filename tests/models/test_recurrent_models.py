"""Every recurrent architecture on every task: learns, decodes what it learnt, and depends on nothing but its input."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch

from seqtrain.callbacks.initialisation import Initialisation
from seqtrain.decoding.settings import Decoding
from seqtrain.layers.dropout import Dropout
from seqtrain.tasks.base import Task
from tests.models.examples import (
    ALL,
    EXAMPLES,
    JOINT,
    LABELS,
    PAIR,
    RECURRENT,
    STEPS,
    TARGETS,
    VARIANTS,
    architecture,
    assert_stepping_is_teaching,
    assert_translations_are_alone,
    called,
    overfit,
    tiny,
    translations,
)

EVERY_MODEL = pytest.mark.parametrize("name", RECURRENT)
EVERY_VARIANT = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=map(called, VARIANTS))
EVERY_TASK = pytest.mark.parametrize("kind", EXAMPLES)
GATES = {"rnn": "h", "gru": "rzn", "lstm": "ifgo"}


def test_all_are_here() -> None:
    assert {"rnn", "gru", "lstm"} <= set(RECURRENT)


@EVERY_MODEL
def test_overfits_a_batch_of_translations(name: str) -> None:
    model, batch = tiny(name, JOINT, tie_embeddings=True), translations()
    assert model.measure(batch).loss.item() > 1.5
    assert overfit(model, batch, steps=80) < 0.05
    for decoding in (Decoding(), Decoding(beam=3)):
        assert [best[0].tokens for best in model.translate(batch, decoding)] == TARGETS
    scores = [h.score for h in model.translate(batch, Decoding(beam=4, n_best=4))[0]]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 4


LEARNT: dict[str, tuple[str, float]] = {
    "labelling": ("accuracy", 1.0),
    "transduction": ("exact", 1.0),
    "regression": ("accuracy", 1.0),
    "bits": ("exact", 1.0),
    "answering": ("accuracy", 1.0),
}
"""Task to the metric that says that a batch is known by heart."""


@EVERY_MODEL
@pytest.mark.parametrize("kind", LEARNT)
def test_overfits_a_batch(name: str, kind: str) -> None:
    task, batches = EXAMPLES[kind]
    model, batch = tiny(name, task, layers=2 if kind in ("transduction", "bits") else 1), batches()
    before = model.measure(batch).loss.item()
    assert overfit(model, batch, steps=60) < before / 10
    metric, value = LEARNT[kind]
    assert task.metrics({key: float(number) for key, number in model.measure(batch).sums.items()})[metric] == value


@EVERY_VARIANT
@EVERY_TASK
def test_an_example_does_not_depend_on_its_batch(name: str, options: dict[str, Any], kind: str) -> None:
    task, batches = EXAMPLES[kind]
    model = tiny(name, task, layers=2, **options).eval()
    with torch.no_grad():
        together, alone = model.measure(batches()), [model.measure(batches([row])) for row in ALL]
    for key, value in together.sums.items():
        torch.testing.assert_close(value, torch.stack([single.sums[key] for single in alone]).sum(0))
    for key, values in together.each.items():
        torch.testing.assert_close(values, torch.cat([single.each[key] for single in alone]), rtol=1e-4, atol=1e-6)
    if together.state is not None:
        torch.testing.assert_close(together.state, torch.cat([single.state for single in alone], dim=1))


@EVERY_MODEL
def test_a_translation_does_not_depend_on_its_batch(name: str) -> None:
    assert_translations_are_alone(tiny(name, PAIR).eval())


@EVERY_VARIANT
@torch.no_grad()
def test_teacher_forcing_equals_stepping(name: str, options: dict[str, Any]) -> None:
    assert_stepping_is_teaching(tiny(name, PAIR, layers=2, **options))


@EVERY_VARIANT
@torch.no_grad()
def test_transducing_whole_sequences_equals_stepping(name: str, options: dict[str, Any]) -> None:
    model, tokens = tiny(name, STEPS, layers=2, **options), torch.tensor([[1, 4, 2, 2], [3, 1, 1, 2]])
    whole, end = model.network(tokens, torch.tensor([4, 4]))
    state = None
    for t in range(4):
        logits, state = model.network(tokens[:, t : t + 1], torch.tensor([1, 1]), state)
        torch.testing.assert_close(logits[:, 0], whole[:, t])
    torch.testing.assert_close(state, end)


@EVERY_MODEL
@pytest.mark.parametrize("kind", ["translation", "transduction"])
def test_what_is_written_does_not_see_what_comes(name: str, kind: str) -> None:
    task, _ = EXAMPLES[kind]
    network = tiny(name, task).network
    tokens, other = torch.tensor([[1, 4, 2, 2]]), torch.tensor([[1, 4, 3, 1]])
    source, four = torch.tensor([[4, 5, 2]]), torch.tensor([4])
    for given in (tokens, other):
        outputs = network.teach(source, four - 1, given) if kind == "translation" else network(given, four)[0]
        if given is tokens:
            before = outputs
    torch.testing.assert_close(before[:, :2], outputs[:, :2])
    assert not torch.allclose(before[:, 2:], outputs[:, 2:])


@EVERY_MODEL
@pytest.mark.parametrize("kind", ["labelling", "answering", "regression"])
def test_a_reader_that_reads_both_ways(name: str, kind: str) -> None:
    task, batches = EXAMPLES[kind]
    sizes = []
    for bidirectional in (True, False):
        model = tiny(name, task, bidirectional=bidirectional)
        model.measure(batches()).loss.backward()
        assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())
        sizes.append(len(list(model.recurrent_matrices())))
    assert sizes[0] == 2 * sizes[1]


@EVERY_MODEL
def test_recurrent_matrices_are_views_and_can_be_made_orthogonal(name: str) -> None:
    model = tiny(name, PAIR, layers=2)
    matrices = dict(model.recurrent_matrices())
    stacks = {matrix.rsplit(".", 1)[0] for matrix in matrices}
    ways = [f"encoder.layer{depth}.{way}" for depth in range(2) for way in ("forward", "backward")]
    assert stacks >= {*ways, "decoder.layer0.forward", "decoder.layer1.forward"}
    if name in GATES:
        assert set(matrices) == {f"{stack}.{gate}" for stack in stacks for gate in GATES[name]}
        assert {matrix.shape for matrix in matrices.values()} == {(12, 12)}
    before = {key: p.clone() for key, p in model.named_parameters()}
    with torch.no_grad():
        for matrix in matrices.values():
            matrix.fill_(7.0)
    changed = {key for key, p in model.named_parameters() if not torch.equal(p, before[key])}
    assert changed
    assert sum((p == 7.0).sum() for p in model.parameters()) == sum(matrix.numel() for matrix in matrices.values())
    Initialisation(gain=2.0).initialise(model)
    for matrix in dict(model.recurrent_matrices()).values():
        torch.testing.assert_close(matrix @ matrix.T, 4 * torch.eye(len(matrix)), atol=1e-5, rtol=0)
    biases = dict(model.forget_gate_biases())
    assert bool(biases) == ("lstm" in name)
    assert all(bool((bias == 1.0).all()) for bias in biases.values())


@EVERY_MODEL
@pytest.mark.parametrize("kind", ["labelling", "answering", "regression"])
def test_variational_dropout_leaves_out_units_of_the_last_state_not_examples(name: str, kind: str) -> None:
    task, batches = EXAMPLES[kind]
    model = tiny(name, task, variational=True, dropout=0.5)
    with torch.no_grad():
        for key, p in model.named_parameters():
            if key.endswith("output.bias"):
                p.fill_(5.0)
    many = batches([1] * 64)
    read = {"labelling": ("tokens", "lengths"), "answering": ("story", "question"), "regression": ("inputs", "lengths")}
    outputs = model.network(*(getattr(many, part) for part in read[kind])).detach().view(64, -1)
    assert not (outputs == 5.0).all(1).any()
    assert len(outputs.unique(dim=0)) > 32


@pytest.mark.parametrize("variational", [False, True])
@EVERY_TASK
def test_variational_dropout_is_the_same_at_every_step(kind: str, variational: bool) -> None:
    task, batches = EXAMPLES[kind]
    model = tiny("rnn", task, variational=variational, dropout=0.5, layers=2)
    seen: list[tuple[torch.Tensor, torch.Tensor, int]] = []
    for path, module in model.network.named_modules():
        if isinstance(module, Dropout):
            time = 0 if "recurrent" in path else 1  # stacks keep their steps in front
            module.register_forward_hook(lambda _, given, out, time=time: seen.append((given[0], out, time)))
    model.measure(batches())
    steps = [(given, out, time) for given, out, time in seen if out.ndim == 3]
    assert steps
    for given, out, time in steps:
        dropped = (out == 0).transpose(0, time)
        real = (given != 0).transpose(0, time)
        both = real[:-1] & real[1:]
        assert bool((dropped[:-1] == dropped[1:])[both].all()) == variational


@pytest.mark.parametrize("name", [name for name in RECURRENT if "recurrent_dropout" in architecture(name)[1]])
def test_recurrent_dropout_is_drawn_in_training_alone(name: str) -> None:
    plain, dropping = tiny(name, LABELS), tiny(name, LABELS, recurrent_dropout=0.5)
    batch = EXAMPLES["labelling"][1]()
    losses = {dropping.measure(batch).loss.item() for _ in range(4)}
    assert len(losses) == 4
    assert dropping.eval().measure(batch).loss.item() == pytest.approx(plain.measure(batch).loss.item(), rel=1e-5)


def test_bfloat16_autocast_learns_and_decodes() -> None:
    model, batch = tiny("gru", JOINT), translations()
    exact = model.measure(batch).loss.item()
    with torch.autocast("cpu", torch.bfloat16):
        assert model.measure(batch).loss.item() == pytest.approx(exact, rel=0.02)
        assert overfit(model, batch, steps=80) < 0.1
        assert [best[0].tokens for best in model.translate(batch, Decoding())] == TARGETS


@EVERY_MODEL
@EVERY_TASK
def test_bfloat16_autocast_is_near(name: str, kind: str) -> None:
    task, batches = EXAMPLES[kind]
    model, batch = tiny(name, task, layers=2), batches()
    exact = model.measure(batch).loss
    with torch.autocast("cpu", torch.bfloat16):
        rough = model.measure(batch).loss
    rough.backward()
    assert rough.item() == pytest.approx(exact.item(), rel=0.03, abs=0.01)
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in model.parameters())


@EVERY_TASK
def test_smoothing_changes_the_loss_and_not_the_likelihood(kind: str) -> None:
    task, batches = EXAMPLES[kind]
    model, batch = tiny("gru", task), batches()
    exact, smoothed = (model.measure(batch, smoothing=share) for share in (0.0, 0.3))
    if kind in ("regression", "bits"):
        assert smoothed.loss.item() == exact.loss.item()
        return
    torch.testing.assert_close(smoothed.sums["nll"], exact.sums["nll"])
    assert exact.loss.item() == pytest.approx(task.metrics({k: float(v) for k, v in exact.sums.items()})["nll"])
    assert not math.isclose(smoothed.loss.item(), exact.loss.item(), rel_tol=1e-6)


def test_tied_embeddings_are_one_matrix() -> None:
    plain, own, joint = (
        tiny("gru", JOINT, tie_embeddings=False),
        tiny("gru", PAIR, tie_embeddings=True),
        tiny("gru", JOINT, tie_embeddings=True),
    )
    for model, matrices in ((plain, 3), (own, 2), (joint, 1)):
        network = model.network
        used = network.encoder.embedding.weight, network.decoder.embedding.weight, network.decoder.output.weight
        assert len({id(weight) for weight in used}) == matrices
    assert own.network.decoder.output.weight is own.network.decoder.embedding.weight
    counts = [sum(p.numel() for p in model.parameters()) for model in (plain, joint)]
    assert counts[0] - counts[1] == 2 * 12 * 12


@dataclass(frozen=True)
class Captioning(Task):
    name: ClassVar[str] = "captioning"
    monitor: ClassVar[str] = "val/nll"
    goal: ClassVar[Any] = "min"

    def measure(self, network: Any, batch: Any, *, smoothing: float) -> Any: ...

    def metrics(self, sums: dict[str, float]) -> dict[str, float]:
        return {}


@EVERY_MODEL
def test_an_unknown_task_is_refused(name: str) -> None:
    does = "does translation, labelling, answering, transduction, regression, bits, not captioning"
    with pytest.raises(TypeError, match=does):
        tiny(name, Captioning())
