"""When gradient flow is measured, on what, what it leaves behind, and that the training does not notice."""

import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import wandb
from pytorch_lightning.loggers import WandbLogger
from torch.utils.data import DataLoader

from seqtrain.callbacks.gradient_flow import NORMS, GradientFlow, picture
from seqtrain.errors import UserError
from seqtrain.models.gru import GRU
from seqtrain.models.lstm import LSTM
from seqtrain.models.rnn import RNN
from seqtrain.tasks.answering import Answering, AnsweringBatch
from seqtrain.tasks.base import Batch, Task
from seqtrain.tasks.labelling import Labelling, LabellingBatch
from seqtrain.tasks.regression import Regression, RegressionBatch
from seqtrain.tasks.transduction import NOT_ASKED, Transduction, TransductionBatch
from seqtrain.tasks.translation import BOS, Translation, TranslationBatch
from tests.tiny import Numbers, trainer
from tests.tiny import Regression as NothingRecurrent

LABELS = Labelling(vocabulary=6, labels=("no", "yes"))
LENGTHS = torch.tensor([5, 2, 4])
INDEX = torch.arange(3)


def tokens(T: int = 5) -> torch.Tensor:
    ids_BT = torch.randint(4, 6, (3, T), generator=torch.Generator().manual_seed(0))
    return ids_BT.where(torch.arange(T) < LENGTHS.unsqueeze(1), 0)


def labelling() -> LabellingBatch:
    return LabellingBatch(index=INDEX, tokens=tokens(), lengths=LENGTHS, labels=torch.tensor([0, 1, 0]))


def transduction(**options: Any) -> TransductionBatch:
    targets = torch.full((3, 5), NOT_ASKED)
    targets[:, 1] = 2
    return TransductionBatch(index=INDEX, tokens=tokens(), lengths=LENGTHS, targets=targets, **options)


def answering() -> AnsweringBatch:
    story = torch.tensor([[[1, 2, 0], [3, 0, 0]], [[1, 0, 0], [0, 0, 0]], [[2, 2, 2], [1, 1, 1]]])
    question, supports = torch.tensor([[4, 0], [4, 5], [5, 0]]), torch.tensor([[0], [-1], [1]])
    return AnsweringBatch(index=INDEX, story=story, question=question, answers=INDEX % 2, supports=supports)


def translation() -> TranslationBatch:
    target = torch.cat([torch.full((3, 1), BOS), tokens()], dim=1)
    return TranslationBatch(INDEX, tokens(), LENGTHS, target, LENGTHS)


def regression() -> RegressionBatch:
    generator = torch.Generator().manual_seed(0)
    return RegressionBatch(INDEX, torch.randn(3, 5, 2, generator=generator), LENGTHS, torch.ones(3))


ROLES: dict[str, tuple[Task, Batch, dict[str, int]]] = {
    "labelling": (LABELS, labelling(), {"layer0.forward": 5, "layer0.backward": 5}),
    "transduction": (Transduction(vocabulary=6, classes=4), transduction(), {"layer0.forward": 2}),
    "answering": (
        Answering(vocabulary=6, answers=("a", "b"), answer_words=(2, 3), sentences=2),
        answering(),
        {"layer0.forward": 7, "layer0.backward": 7},
    ),
    "regression": (Regression(inputs=2), regression(), {"layer0.forward": 5, "layer0.backward": 5}),
    "translation": (
        Translation(source_vocabulary=6, target_vocabulary=6, shared=False),
        translation(),
        {"encoder.layer0.forward": 5, "encoder.layer0.backward": 5, "decoder.layer0.forward": 5},
    ),
}


def model(kind: type[Any] = GRU, task: Task = LABELS, **options: Any) -> Any:
    torch.manual_seed(0)
    return kind(task=task, **{"embedding": 4, "hidden": 3, "dropout": 0.0, **options})


def fit(folder: Path, network: Any, batches: list[Any], *callbacks: pl.Callback, **options: Any) -> pl.Trainer:
    fitted = trainer(folder, *callbacks, **{"max_epochs": 1, "num_sanity_val_steps": 0, **options})
    fitted.fit(network, DataLoader(batches, batch_size=None), ckpt_path=None)  # type: ignore[arg-type]
    return fitted


def curves_of(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "gradient_flow.json").read_text("utf-8"))


@pytest.fixture(autouse=True)
def no_run_is_left() -> Iterator[None]:
    """W&B keeps one run a process: what a test began, even disabled, would be the next test's run."""
    yield
    wandb.finish()


class Notes(WandbLogger):
    """What a W&B logger is given."""

    def __init__(self, folder: Path) -> None:
        super().__init__(save_dir=str(folder), mode="disabled")
        self.metrics: list[tuple[int | None, dict[str, float]]] = []
        self.images: list[tuple[str, list[Any]]] = []

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.metrics.append((step, dict(metrics)))

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        self.images.append((key, images))

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None: ...

    def log_graph(self, *args: Any, **kwargs: Any) -> None: ...

    def finalize(self, status: str) -> None: ...


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than all the rest."""
    blank = SimpleNamespace(savefig=lambda file, **options: None)
    monkeypatch.setattr("seqtrain.callbacks.gradient_flow.picture", lambda curves, title: blank)


def test_at_the_beginning_every_so_many_steps_and_at_the_end(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    callback = GradientFlow(every_n_steps=2)
    fit(tmp_path, model(), [labelling()] * 5, callback, logger=notes)
    curves = curves_of(tmp_path)
    assert [curve["step"] for curve in curves] == [0, 2, 4, 5]
    assert {curve["layer"] for curve in curves} == {"layer0.forward"}
    assert all(curve["distance"] == [0, 1, 2, 3, 4] for curve in curves)
    assert all(curve["examples"] == [3, 3, 2, 2, 1] for curve in curves)
    logged = {step: metrics for step, metrics in notes.metrics if "flow/seconds" in metrics}
    assert list(logged) == [0, 2, 4, 5]
    for curve in curves:
        metrics = logged[curve["step"]]
        assert set(metrics) - {"flow/seconds"} == {
            f"flow/{k}/{n}" for k in ("loss", "state") for n in ("first", "decay")
        }
        slope = np.polyfit(curve["distance"], np.log(curve["state"]), 1)[0]
        assert metrics["flow/state/decay"] == pytest.approx(slope, rel=1e-3)
        assert metrics["flow/loss/first"] == pytest.approx(curve["first"]["loss"], rel=1e-4)
        assert curve["state"][0] == pytest.approx(1.0)  # 4 vectors, 3 units: exact
    path = tmp_path / "gradient_flow.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert notes.images == [("flow/picture", [str(path)])]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("kind", "role"), [*((GRU, role) for role in ROLES), (RNN, "transduction"), (LSTM, "translation")]
)
def test_every_cell_in_every_role(kind: type[Any], role: str, tmp_path: Path) -> None:
    task, batch, lengths = ROLES[role]
    callback = GradientFlow(layers=["all"], directory=str(tmp_path / "there"))
    fit(tmp_path, model(kind, task), [batch], callback)
    assert not (tmp_path / "gradient_flow.json").exists()
    for step in (0, 1):
        found = {curve["layer"]: curve for curve in curves_of(tmp_path / "there") if curve["step"] == step}
        assert {layer: len(curve["loss"]) for layer, curve in found.items()} == lengths
        norms = [norm for curve in found.values() for norm in curve["loss"] + curve["state"]]
        assert all(math.isfinite(norm) and norm > 0 for norm in norms)


@pytest.mark.usefixtures("undrawn")
def test_norm_by_the_loss_is_that_of_the_training(tmp_path: Path) -> None:
    """One step: dL/ds_1 by what a loss changes when the state before the first step changes."""
    network, batch = model(RNN, bidirectional=False, label_smoothing=0.1), labelling()
    batch.tokens, batch.lengths = batch.tokens[:, :1], torch.ones_like(LENGTHS)
    callback = GradientFlow(examples=2)
    fit(tmp_path, network, [batch], callback, max_steps=0)
    assert callback.curves == []
    logits = network.network.output
    with torch.no_grad():
        h_BH = network.network.recurrent(network.network.embedding(batch.tokens[:2]))[0][:, 0]
    h_BH.requires_grad_()
    loss = torch.nn.functional.cross_entropy(logits(h_BH), batch.labels[:2], label_smoothing=0.1, reduction="sum")
    expected = torch.autograd.grad(loss, h_BH)[0].square().sum(1).mean().sqrt()
    fit(tmp_path, network, [batch], callback)
    assert callback.curves[0]["loss"] == pytest.approx([expected.item()], rel=1e-4)
    assert callback.curves[0]["examples"] == [2]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("accumulate", [1, 2])
def test_training_does_not_notice(accumulate: int, tmp_path: Path) -> None:
    ends = []
    for callbacks in ([], [GradientFlow(every_n_steps=1, layers=["all"], probes=1)]):
        network = model(LSTM, dropout=0.4, recurrent_dropout=0.3, layers=2)
        fit(tmp_path, network, [labelling()] * 4, *callbacks, accumulate_grad_batches=accumulate)
        assert network.training
        ends.append([*network.parameters(), torch.rand(3)])
    for without, with_it in zip(*ends, strict=True):
        assert torch.equal(without, with_it)
    assert len({curve["step"] for curve in curves_of(tmp_path)}) == 4 // accumulate + 1


@pytest.mark.usefixtures("undrawn")
def test_carried_batches_begin_anew(tmp_path: Path) -> None:
    task = Transduction(vocabulary=6, classes=4)
    batches = [transduction(carried=True, goes_on=True) for _ in range(3)]
    callback = GradientFlow(every_n_steps=1, probes=3)
    network = model(GRU, task, layers=3)  # as many layers as examples: a state has rows of another kind
    fit(tmp_path, network, batches, callback)
    assert [curve["step"] for curve in callback.curves] == [0, 1, 2, 3]
    assert batches[0].carried
    assert network._states["train"] is not None


@pytest.mark.usefixtures("undrawn")
def test_a_resumed_run_goes_on(tmp_path: Path) -> None:
    first, network = GradientFlow(every_n_steps=2), model()
    fitted = fit(tmp_path, network, [labelling()] * 3, first)
    fitted.save_checkpoint(tmp_path / "a.ckpt")
    second = GradientFlow(every_n_steps=2)
    resumed = trainer(tmp_path, second, max_epochs=2)
    loader: Any = DataLoader([labelling()] * 3, batch_size=None)  # type: ignore[arg-type]
    resumed.fit(model(), loader, ckpt_path=tmp_path / "a.ckpt", weights_only=True)
    assert [curve["step"] for curve in curves_of(tmp_path)] == [0, 2, 3, 4, 6]
    assert second.curves[:3] == first.curves


def test_what_is_no_number_is_written_and_drawn(tmp_path: Path) -> None:
    network = model(RNN, activation="relu", bidirectional=False)
    with torch.no_grad():
        network.network.recurrent.stack[0][0].weight_hh.fill_(1e30)
        network.network.recurrent.stack[0][0].bias.fill_(1.0)
    callback = GradientFlow(every_n_steps=9)
    fit(tmp_path, network, [labelling()], callback)
    text = (tmp_path / "gradient_flow.json").read_text("utf-8")
    curves = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert not math.isfinite(float(curves[0]["state"][-1]))
    panel = picture(callback.curves, title="").axes[1]
    drawn = np.concatenate([line.get_ydata() for line in panel.lines])
    assert np.isfinite(drawn).all()
    assert drawn.max() == NORMS[1]


def test_pictures_of_two_runs_have_the_same_axes_and_colours(tmp_path: Path) -> None:
    figures = []
    for kind, steps in ((RNN, 2), (LSTM, 5)):
        callback = GradientFlow(every_n_steps=1)
        fit(tmp_path, model(kind), [labelling()] * steps, callback)
        figures.append(picture(callback.curves, title="a"))
    views = [
        [(axes.get_xlim(), axes.get_ylim(), axes.get_yscale(), axes.get_ylabel()) for axes in figure.axes[:2]]
        for figure in figures
    ]
    assert views[0] == views[1]
    ends = [[figure.axes[0].lines[i].get_color() for i in (0, -1)] for figure in figures]
    assert ends[0] == ends[1]
    assert [len(figure.axes[0].lines) for figure in figures] == [3, 6]


def test_a_training_that_fails_is_drawn(tmp_path: Path) -> None:
    class Fails(pl.Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            raise RuntimeError("over")

    with pytest.raises(RuntimeError, match="over"):
        fit(tmp_path, model(), [labelling()], GradientFlow(), Fails())
    assert (tmp_path / "gradient_flow.png").exists()
    assert [curve["step"] for curve in curves_of(tmp_path)] == [0]


def test_unknown_layer_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no layer 'layer0\.foward'; did you mean layer0\.forward") as raised:
        fit(tmp_path, model(), [labelling()], GradientFlow(layers=["layer0.foward"]))
    assert "Layers: layer0.forward, layer0.backward; or all." in str(raised.value)


def test_nothing_recurrent_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        trainer(tmp_path, GradientFlow(), max_epochs=1).fit(NothingRecurrent(), datamodule=Numbers())
    assert "no recurrent layer" in caplog.text
    assert list(tmp_path.glob("gradient_flow*")) == []
