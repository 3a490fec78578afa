"""Truncated backpropagation through time: the state is carried from batch to batch, gradients are not."""

import math
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from seqtrain.callbacks.checkpoints import Checkpoints
from seqtrain.callbacks.interruption import Interruption, InterruptionError
from seqtrain.callbacks.randomness import Randomness
from seqtrain.data.chars import Chars
from seqtrain.errors import UserError
from seqtrain.models.base import SequenceModel
from seqtrain.models.gru import GRU
from seqtrain.models.lstm import LSTM
from seqtrain.models.rnn import RNN
from seqtrain.runs.checkpoints import AtomicCheckpointIO, read_checkpoint
from tests.callbacks.test_resume import SignalAfter
from tests.tiny import trainer

CELLS: dict[str, Any] = {
    "rnn": RNN,
    "gru": GRU,
    "gru-after": partial(GRU, reset="after"),
    "gru-norm": partial(GRU, layer_norm=True),
    "lstm": LSTM,
    "lstm-norm": partial(LSTM, layer_norm=True),
}
STEPS = 9
"""Batches of an epoch."""


def chars(**options: Any) -> Chars:
    data = Chars(**{"size": 1000, "batch_size": 4, "bptt": 25, "seed": 1, **options})
    data.setup()
    return data


def model(data: Chars, cell: str = "gru", **options: Any) -> SequenceModel:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"embedding": 6, "hidden": 8, "layers": 2, "dropout": 0.0, **options}
    built: SequenceModel = CELLS[cell](task=data.task, **settings)
    return built


class Notes(pl.Callback):
    """Keeps the loss of every step, and the states that batches began in and left behind."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.begun: list[torch.Tensor | None] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append(float(outputs["loss"]))
        self.begun.append(batch.state)


def fit(folder: Path, *callbacks: pl.Callback, ckpt: Path | None = None, **options: Any) -> tuple[Any, Notes]:
    data = chars(**options.pop("data", {}))
    network, notes = model(data, options.pop("cell", "gru"), dropout=0.3), Notes()
    fixed = [Randomness(), Checkpoints(dirpath=str(folder / "checkpoints"), monitor="val/nll", mode="min"), notes]
    settings: dict[str, Any] = {"max_epochs": 2, "enable_checkpointing": True, "use_distributed_sampler": False}
    fitted = trainer(folder, *fixed, *callbacks, plugins=[AtomicCheckpointIO()], **{**settings, **options})
    try:
        fitted.fit(network, datamodule=data, ckpt_path=ckpt, weights_only=True)
    except (InterruptionError, RuntimeError) as error:
        network.ended_by = error
    return network, notes


@pytest.mark.parametrize("cell", CELLS)
def test_segments_with_a_carried_state_give_what_one_pass_gives(tmp_path: Path, cell: str) -> None:
    data = chars()
    network = model(data, cell).eval()
    batches = list(data.train_dataloader())
    assert len(batches) == STEPS
    carried = []
    state = None
    with torch.no_grad():
        for batch in batches:
            logits, state = network.network(batch.tokens, batch.lengths, state)
            carried.append(logits)
        tokens = torch.cat([batch.tokens for batch in batches], dim=1)
        lengths = torch.stack([batch.lengths for batch in batches]).sum(0)
        whole, _ = network.network(tokens, lengths)
    torch.testing.assert_close(torch.cat(carried, dim=1), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru-norm"])
def test_evaluation_gives_the_bits_of_one_pass_over_each_stream(tmp_path: Path, cell: str) -> None:
    data = chars(size=20_000, val_share=0.25, bptt=100)
    network = model(data, cell).eval()
    (found,) = trainer(tmp_path).validate(network, datamodule=data, verbose=False)
    batches = list(data.val_dataloader())
    assert len(batches[0]) == 2
    tokens, targets = (torch.cat([getattr(b, name) for b in batches], dim=1) for name in ("tokens", "targets"))
    with torch.no_grad():
        logits, _ = network.network(tokens, torch.full((2,), 2500))
    assert targets.numel() == data.sizes["val"] == 5000
    nll = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    assert found["val/nll"] == pytest.approx(float(nll), rel=1e-5)
    assert found["val/bits"] == pytest.approx(float(nll) / math.log(2), rel=1e-5)


def test_gradients_end_where_a_segment_begins() -> None:
    data = chars()
    network = model(data)
    first, second, *_ = data.train_dataloader()
    measures = network.measure(first)
    assert measures.state is not None
    assert not measures.state.requires_grad
    second.state = measures.state.clone().requires_grad_()
    embedded: Any = network.network.embedding.weight
    later = network.measure(second)
    later.loss.backward()
    read = set(second.tokens.flatten().tolist())
    touched = set(embedded.grad.abs().sum(1).nonzero().flatten().tolist())
    assert touched == read - {0}
    assert set(first.tokens.flatten().tolist()) - read  # there was more to reach
    assert second.state.grad is not None
    assert second.state.grad.abs().sum() > 0  # the state is used


def test_training_carries_the_state_through_an_epoch_and_begins_the_next_from_zero(tmp_path: Path) -> None:
    class Steps(pl.Callback):
        def __init__(self) -> None:
            self.ends: list[torch.Tensor] = []

        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, i: int) -> None:
            expected = self.ends[-1] if batch.carried else None
            assert (batch.state is None) == (i == 0)
            if expected is not None:
                assert torch.equal(batch.state, expected)
            with torch.no_grad():  # the learning rate is 0, so the weights are those of the step
                self.ends.append(pl_module.network(batch.tokens, batch.lengths, batch.state)[1])

    data = chars()
    network = model(data)
    network.optimize_with(partial(torch.optim.SGD, lr=0.0))
    steps = Steps()
    trainer(tmp_path, steps, val_check_interval=2, limit_val_batches=1).fit(network, datamodule=data)
    assert len(steps.ends) == 2 * STEPS


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Notes]:
    return fit(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("step", [1, 5, STEPS - 1, STEPS, STEPS + 1, STEPS + 4])
def test_stopped_and_resumed_is_bit_for_bit(tmp_path: Path, whole: tuple[Any, Notes], step: int) -> None:
    stopped, before = fit(tmp_path, SignalAfter(step, signal.SIGINT), Interruption(directory=str(tmp_path)))
    assert isinstance(stopped.ended_by, InterruptionError)
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert ("carried" in read_checkpoint(last)) == (len(before.losses) % STEPS > 0)
    network, after = fit(tmp_path, ckpt=last)
    assert before.losses + after.losses == whole[1].losses
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), whole[0].parameters(), strict=True))


def test_a_step_that_was_interrupted_is_taken_again_from_the_state_it_began_in(
    tmp_path: Path, whole: tuple[Any, Notes]
) -> None:
    class Interrupt(pl.Callback):
        def on_before_optimizer_step(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.global_step == STEPS + 3:
                trainer.save_checkpoint(tmp_path / "within.ckpt")
                raise RuntimeError("interrupted")

    # Dropout's draws of the step are gone, so the states are compared, and not the losses.
    fit(tmp_path, Interrupt())
    _, after = fit(tmp_path, ckpt=tmp_path / "within.ckpt")
    expected = whole[1].begun[STEPS + 3]
    assert after.begun[0] is not None
    assert expected is not None
    assert torch.equal(after.begun[0], expected)
    assert len(after.losses) == STEPS - 3


def test_validation_within_an_epoch_leaves_the_trainings_state_alone(tmp_path: Path, whole: tuple[Any, Notes]) -> None:
    _, often = fit(tmp_path / "often", val_check_interval=2)
    assert often.losses == whole[1].losses
    stop = [SignalAfter(5, signal.SIGINT), Interruption(directory=str(tmp_path))]
    _, before = fit(tmp_path, *stop, val_check_interval=2)
    _, after = fit(tmp_path, ckpt=tmp_path / "checkpoints" / "last.ckpt", val_check_interval=2)
    assert before.losses + after.losses == whole[1].losses


def test_other_streams_are_refused_within_an_epoch(tmp_path: Path) -> None:
    fit(tmp_path, SignalAfter(5, signal.SIGINT), Interruption(directory=str(tmp_path)))
    last = tmp_path / "checkpoints" / "last.ckpt"
    with pytest.raises(UserError, match=r"streams 4.*streams 2"):
        fit(tmp_path, ckpt=last, data={"batch_size": 2, "bptt": 50})


@pytest.mark.parametrize("cell", CELLS)
def test_learns_under_bfloat16(tmp_path: Path, cell: str) -> None:
    network, notes = fit(tmp_path, cell=cell, precision="bf16-mixed", max_epochs=1)
    assert not hasattr(network, "ended_by")
    assert len(notes.losses) == STEPS
    assert all(math.isfinite(loss) for loss in notes.losses)
    exact, _ = fit(tmp_path / "exact", cell=cell, max_epochs=1)
    for a, b in zip(network.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0.1, atol=0.02)
