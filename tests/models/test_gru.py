"""The GRU on both of its tasks: learns, decodes what it learnt, and depends on nothing but the sentence."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from seqtrain.callbacks.initialisation import OrthogonalInitialisation
from seqtrain.decoding.settings import Decoding
from seqtrain.errors import UserError
from seqtrain.models.gru import GRU
from seqtrain.optim import Plateau
from seqtrain.tasks.base import Task
from seqtrain.tasks.labelling import Labelling, LabellingBatch
from seqtrain.tasks.translation import BOS, EOS, PAD, Translation, TranslationBatch

PAIR = Translation(source_vocabulary=12, target_vocabulary=14, shared=False)
JOINT = Translation(source_vocabulary=12, target_vocabulary=12, shared=True)
LABELS = Labelling(vocabulary=6, labels=("no", "yes"))
RESETS = pytest.mark.parametrize("reset", ["before", "after"])


def gru(task: Task, **options: Any) -> GRU:
    torch.manual_seed(0)
    return GRU(task=task, **{"embedding": 12, "hidden": 16, "dropout": 0.0, **options})


def padded(rows: list[list[int]]) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def pairs(sources: list[list[int]], targets: list[list[int]]) -> TranslationBatch:
    return TranslationBatch(
        index=torch.arange(len(sources)),
        source=padded([[*row, EOS] for row in sources]),
        source_lengths=torch.tensor([len(row) + 1 for row in sources]),
        target=padded([[BOS, *row, EOS] for row in targets]),
        target_lengths=torch.tensor([len(row) + 1 for row in targets]),
    )


SOURCES = [[4, 5, 6, 7], [8], [4, 9, 10], [7, 6, 5, 4, 11, 8], [9, 9]]
TARGETS = [[5, 4], [6, 7, 8, 9, 10, 11], [4], [11, 10, 9, 4], [5, 5, 5]]


def strings() -> LabellingBatch:
    rows = [[1, 2], [2, 1, 3, 4, 5], [5], [3, 3, 3], [4, 1, 2, 1], [2, 2]]
    labels = torch.tensor([0, 1, 1, 0, 1, 0])
    lengths = torch.tensor([len(row) for row in rows])
    return LabellingBatch(index=torch.arange(len(rows)), tokens=padded(rows), lengths=lengths, labels=labels)


def overfit(model: GRU, batch: Any, steps: int) -> float:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(steps):
        loss = model.measure(batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.measure(batch).loss.item()


@RESETS
@pytest.mark.parametrize(
    "options", [{}, {"layers": 2, "bidirectional": False}, {"tie_embeddings": True}], ids=["plain", "deep", "tied"]
)
def test_overfits_a_batch_of_translations(reset: str, options: dict[str, Any]) -> None:
    model, batch = gru(JOINT, reset=reset, **options), pairs(SOURCES, TARGETS)
    assert model.measure(batch).loss.item() > 1.5
    assert overfit(model, batch, 150) < 0.02
    for decoding in (Decoding(), Decoding(beam=3)):
        assert [best[0].tokens for best in model.translate(batch, decoding)] == TARGETS
    scores = [h.score for h in model.translate(batch, Decoding(beam=4, n_best=4))[0]]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 4


@RESETS
def test_overfits_a_batch_of_labels(reset: str) -> None:
    model, batch = gru(LABELS, reset=reset), strings()
    assert overfit(model, batch, 60) < 0.05
    sums = {name: float(value) for name, value in model.measure(batch).sums.items()}
    assert LABELS.metrics(sums)["accuracy"] == 1.0


@RESETS
@pytest.mark.parametrize("layers", [1, 2])
def test_teacher_forcing_equals_stepping(reset: str, layers: int) -> None:
    model: Any = gru(PAIR, reset=reset, layers=layers)
    batch, network = pairs(SOURCES, TARGETS), model.network
    tokens = batch.target[:, :-1]
    taught = network.decoder.output(network.teach(batch.source, batch.source_lengths, tokens))
    state = network.decoder.init_state(network.encode(batch.source, batch.source_lengths))
    for t in range(tokens.shape[1]):
        logits, state = network.decoder.step(tokens[:, t], state)
        torch.testing.assert_close(logits, taught[:, t])


@RESETS
def test_a_sentence_does_not_depend_on_its_batch(reset: str) -> None:
    model = gru(PAIR, reset=reset, layers=2).eval()
    together = model.measure(pairs(SOURCES, TARGETS)).sums
    alone = [model.measure(pairs([s], [t])).sums for s, t in zip(SOURCES, TARGETS, strict=True)]
    for name in ("nll", "count"):
        torch.testing.assert_close(together[name], torch.stack([sums[name] for sums in alone]).sum(0))
    for decoding in (Decoding(max_length=8), Decoding(beam=3, n_best=3, max_length=8)):
        found = model.translate(pairs(SOURCES, TARGETS), decoding)
        for source, hypotheses in zip(SOURCES, found, strict=True):
            (single,) = model.translate(pairs([source], [[]]), decoding)
            assert [h.tokens for h in single] == [h.tokens for h in hypotheses]
            assert [h.score for h in single] == pytest.approx([h.score for h in hypotheses], abs=1e-5)


def test_a_string_s_label_does_not_depend_on_its_batch() -> None:
    model, batch = gru(LABELS).eval(), strings()
    together = model.network(batch.tokens, batch.lengths)
    for row, length in enumerate(batch.lengths.tolist()):
        single = model.network(batch.tokens[row : row + 1, :length], batch.lengths[row : row + 1])
        torch.testing.assert_close(single[0], together[row])


def test_tied_embeddings_are_one_matrix() -> None:
    plain, own, joint = gru(JOINT), gru(PAIR, tie_embeddings=True), gru(JOINT, tie_embeddings=True)
    for model, matrices in ((plain, 3), (own, 2), (joint, 1)):
        network: Any = model.network
        used = network.encoder.embedding.weight, network.decoder.embedding.weight, network.decoder.output.weight
        assert len({id(weight) for weight in used}) == matrices
    network = own.network
    assert network.decoder.output.weight is network.decoder.embedding.weight
    counts = [sum(p.numel() for p in model.parameters()) for model in (plain, joint)]
    assert counts[0] - counts[1] == 2 * 12 * 12


@RESETS
def test_recurrent_matrices_are_views_and_can_be_made_orthogonal(reset: str) -> None:
    model = gru(PAIR, reset=reset, layers=2)
    matrices = dict(model.recurrent_matrices())
    assert len(matrices) == 3 * (2 * 2 + 2)  # gates times (encoder, both ways, and decoder) of two layers
    assert "encoder.layer1.backward.r" in matrices
    assert {m.shape for m in matrices.values()} == {(16, 16)}
    before = {name: p.clone() for name, p in model.named_parameters()}
    for matrix in matrices.values():
        matrix.zero_()
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert {name.rsplit(".", 1)[1].removesuffix("_l0") for name in changed} == {"weight_hh"}
    assert len(changed) == 6
    OrthogonalInitialisation(gain=2.0).initialise(model)
    for matrix in dict(model.recurrent_matrices()).values():
        torch.testing.assert_close(matrix @ matrix.T, 4 * torch.eye(16), atol=1e-5, rtol=0)
    assert list(model.forget_gate_biases()) == []
    assert len(list(gru(LABELS, reset=reset).recurrent_matrices())) == 6


def test_bfloat16_autocast_learns_and_decodes() -> None:
    model, batch = gru(JOINT), pairs(SOURCES, TARGETS)
    exact = model.measure(batch).loss.item()
    with torch.autocast("cpu", torch.bfloat16):
        assert model.measure(batch).loss.item() == pytest.approx(exact, rel=0.02)
        assert overfit(model, batch, 150) < 0.05
        assert [best[0].tokens for best in model.translate(batch, Decoding())] == TARGETS


class Logged(pl.Callback):
    """Notes what was logged in training and in validation."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.metrics |= {name: float(value) for name, value in trainer.callback_metrics.items()}


def fitted(model: GRU, batch: Any, **options: Any) -> tuple[pl.Trainer, dict[str, float]]:
    logged = Logged()
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        callbacks=[logged],
        **{"max_epochs": 1, **options},
    )
    loader: Any = DataLoader([batch], batch_size=None)
    trainer.fit(model, loader, loader)
    return trainer, {**logged.metrics, **{name: float(value) for name, value in trainer.callback_metrics.items()}}


@pytest.mark.parametrize(
    ("task", "batch"), [(PAIR, pairs(SOURCES, TARGETS)), (LABELS, strings())], ids=["pairs", "labels"]
)
def test_nll_is_logged_without_smoothing(task: Task, batch: Any) -> None:
    model = gru(task, label_smoothing=0.3)
    exact = model.measure(batch).loss.item()
    smoothed = model.measure(batch, smoothing=0.3).loss.item()
    model.optimize_with(lambda parameters: torch.optim.SGD(parameters, lr=0.0))
    _, metrics = fitted(model, batch)
    assert metrics["train/loss"] == pytest.approx(smoothed, abs=1e-5)
    assert metrics["train/nll"] == metrics["val/nll"] == pytest.approx(exact, abs=1e-5)
    assert abs(smoothed - exact) > 1e-3
    if task is PAIR:
        assert metrics["val/perplexity"] == pytest.approx(float(torch.tensor(exact).exp()), rel=1e-4)


def test_a_schedule_goes_by_the_metric_that_it_is_given() -> None:
    model = gru(PAIR)
    schedule = Plateau(patience=0, factor=0.1)
    model.optimize_with(lambda p: torch.optim.SGD(p, lr=0.0), schedule, criterion=("val/nll", "min"))
    trainer, _ = fitted(model, pairs(SOURCES, TARGETS), max_epochs=3)
    assert trainer.lr_scheduler_configs[0].monitor == "val/nll"
    assert trainer.lr_scheduler_configs[0].scheduler.num_bad_epochs == 0
    assert trainer.lr_scheduler_configs[0].scheduler.best < 10


@dataclass(frozen=True)
class Transduction(Task):
    name: ClassVar[str] = "transduction"
    monitor: ClassVar[str] = "val/nll"
    goal: ClassVar[Any] = "min"

    def measure(self, network: Any, batch: Any, *, smoothing: float) -> Any: ...

    def metrics(self, sums: dict[str, float]) -> dict[str, float]:
        return {}


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(TypeError, match="GRU does translation, labelling, not transduction"):
        gru(Transduction())


def test_weights_of_another_model_are_refused_with_the_difference() -> None:
    model = gru(PAIR)
    other = gru(Translation(source_vocabulary=12, target_vocabulary=15, shared=False)).state_dict()
    with pytest.raises(UserError, match=r"decoder\.embedding\.weight is 15×12 in it and 14×12 here \(3 differences\)"):
        model.load_state_dict(other)
    with pytest.raises(UserError, match="is missing in it"):
        model.load_state_dict(dict(_without(gru(PAIR).state_dict(), "encoder.to_summary.bias")))
    model.load_state_dict(gru(PAIR).state_dict())


def _without(state: dict[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in state.items() if not key.endswith(name))
