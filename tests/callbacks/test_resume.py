"""A run that is stopped after any step, by any means, and resumed equals one that never stopped, bit for bit."""

import logging
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from seqtrain.callbacks.checkpoints import Checkpoints
from seqtrain.callbacks.early_stopping import EarlyStopping
from seqtrain.callbacks.interruption import Interruption, InterruptionError
from seqtrain.callbacks.randomness import Randomness, capture, restore
from seqtrain.commands.train import quieten_lightning
from seqtrain.errors import GO_ON_LATER, NO_FURTHER
from seqtrain.runs.checkpoints import AtomicCheckpointIO, read_checkpoint
from seqtrain.runs.metrics import MetricsFile
from seqtrain.runs.record import Run
from tests.tiny import Numbers, Regression, trainer

STEPS = 12  # three epochs of four


class SignalAfter(pl.Callback):
    """Sends a signal to this process after so many steps."""

    def __init__(self, step: int, number: int = signal.SIGINT) -> None:
        self.step, self.number = step, number
        self.sent = False

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step + 1 == self.step and not self.sent:
            self.sent = True
            os.kill(os.getpid(), self.number)


class SignalInValidation(pl.Callback):
    """Sends a signal to this process in a batch of the validation after so many steps."""

    def __init__(self, step: int, batch: int) -> None:
        self.step, self.batch = step, batch

    def on_validation_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, index: int) -> None:
        if (trainer.global_step, index) == (self.step, self.batch):
            os.kill(os.getpid(), signal.SIGUSR1)


class CrashAfter(pl.Callback):
    """Fails in the step after so many."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise RuntimeError("power cut")


def fit(
    folder: Path,
    *callbacks: pl.Callback,
    seed: int = 0,
    ckpt: Path | None = None,
    every: int | None = None,
    model: type[Regression] = Regression,
    patience: int = 50,
    **options: Any,
) -> Regression:
    torch.manual_seed(seed)
    network = model(dropout=0.5)
    fixed = [
        Randomness(),
        Checkpoints(dirpath=str(folder / "checkpoints"), monitor="val/loss", mode="min", every_n_train_steps=every),
        EarlyStopping(monitor="val/loss", mode="min", patience=patience),
    ]
    settings: dict[str, Any] = {"max_epochs": 3, "enable_checkpointing": True, "plugins": [AtomicCheckpointIO()]}
    fitted = trainer(folder, *fixed, *callbacks, logger=MetricsFile(directory=str(folder)), **{**settings, **options})
    try:
        fitted.fit(network, datamodule=Numbers(), ckpt_path=ckpt)
    except (InterruptionError, RuntimeError) as error:
        network.ended_by = error  # type: ignore[assignment]
    return network


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Regression:
    return fit(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("step", range(1, STEPS + 1))
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_then_resume_is_bit_for_bit(tmp_path: Path, whole: Regression, step: int, number: int) -> None:
    before = signal.getsignal(number)
    stopped = fit(tmp_path, SignalAfter(step, number), Interruption(directory=str(tmp_path)))
    assert signal.getsignal(number) == before
    assert stopped.steps == list(range(step))
    error = stopped.ended_by
    assert isinstance(error, InterruptionError)
    assert error.code == (1 if number == signal.SIGINT else GO_ON_LATER)
    assert f"resume={tmp_path}" in str(error)
    last = tmp_path / "checkpoints" / "last.ckpt"
    resumed = fit(tmp_path, seed=99, ckpt=last)
    assert stopped.losses + resumed.losses == whole.losses
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), whole.parameters(), strict=True))
    assert sorted({*stopped.validations, *resumed.validations}) == whole.validations


@pytest.mark.parametrize(("step", "every"), [(4, 4), (12, 4), (6, 2)])
def test_a_validation_that_is_broken_off_is_begun_anew(tmp_path: Path, step: int, every: int) -> None:
    straight = fit(tmp_path / "whole", val_check_interval=every)
    run = tmp_path / "run"
    stop = [SignalInValidation(step, 0), Interruption(directory=str(run))]
    last = run / "checkpoints" / "last.ckpt"
    stopped = fit(run, *stop, val_check_interval=every)
    assert isinstance(stopped.ended_by, InterruptionError)
    assert stopped.ended_by.code == GO_ON_LATER
    assert all(validated < step for validated, _ in stopped.validations)
    again = fit(run, *stop, ckpt=last, val_check_interval=every, seed=8)
    assert isinstance(again.ended_by, InterruptionError)
    assert again.ended_by.code == NO_FURTHER
    assert (again.losses, again.validations) == ([], [])
    resumed = fit(run, ckpt=last, val_check_interval=every, seed=9)
    assert stopped.losses + resumed.losses == straight.losses
    assert stopped.validations + resumed.validations == straight.validations
    assert Run(run).metrics() == Run(tmp_path / "whole").metrics()
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), straight.parameters(), strict=True))


def test_a_test_that_is_broken_off(tmp_path: Path) -> None:
    class InTest(pl.Callback):
        def on_test_batch_end(self, *_: Any) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    class Tested(Regression):
        test_step = Regression.validation_step

    before = signal.getsignal(signal.SIGTERM)
    fitted = trainer(tmp_path, InTest(), Interruption(directory=str(tmp_path)), max_epochs=1)
    fitted.fit(Tested(), datamodule=Numbers())
    with pytest.raises(InterruptionError, match="in the test, after 4 steps") as stopped:
        fitted.test(Tested(), dataloaders=Numbers().val_dataloader())
    assert stopped.value.code == GO_ON_LATER
    fitted.save_checkpoint(tmp_path / "over.ckpt")
    again = trainer(tmp_path, InTest(), Interruption(directory=str(tmp_path)), max_epochs=1)
    again.fit(Tested(), datamodule=Numbers(), ckpt_path=tmp_path / "over.ckpt")
    with pytest.raises(InterruptionError, match="in the test, after 4 steps") as stopped:
        again.test(Tested(), dataloaders=Numbers().val_dataloader())
    assert stopped.value.code == NO_FURTHER
    assert signal.getsignal(signal.SIGTERM) == before


def test_run_that_was_stopped_at_its_end_can_be_made_longer(tmp_path: Path) -> None:
    longer = fit(tmp_path / "whole", max_epochs=4)
    stopped = fit(tmp_path / "run", SignalAfter(STEPS), Interruption(directory=str(tmp_path / "run")))
    resumed = fit(tmp_path / "run", ckpt=tmp_path / "run" / "checkpoints" / "last.ckpt", max_epochs=4, seed=9)
    assert stopped.losses + resumed.losses == longer.losses


def test_stops_between_two_steps_of_the_optimizer(tmp_path: Path) -> None:
    straight = fit(tmp_path / "whole", accumulate_grad_batches=2)
    interruption = Interruption(directory=str(tmp_path / "run"))
    stopped = fit(tmp_path / "run", SignalAfter(3), interruption, accumulate_grad_batches=2)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    resumed = fit(tmp_path / "run", ckpt=last, accumulate_grad_batches=2, seed=9)
    assert stopped.losses + resumed.losses == straight.losses


def test_metrics_of_a_resumed_run_are_those_of_one_that_never_stopped(tmp_path: Path) -> None:
    fit(tmp_path / "whole")
    fit(tmp_path / "run", SignalAfter(6), Interruption(directory=str(tmp_path / "run")))
    fit(tmp_path / "run", ckpt=tmp_path / "run" / "checkpoints" / "last.ckpt")
    expected, found = (Run(tmp_path / name).metrics() for name in ("whole", "run"))
    assert found == expected


def test_validation_more_often_than_an_epoch(tmp_path: Path) -> None:
    straight = fit(tmp_path / "whole", val_check_interval=2)
    stopped = fit(tmp_path / "run", SignalAfter(7), Interruption(directory=str(tmp_path / "run")), val_check_interval=2)
    resumed = fit(tmp_path / "run", ckpt=tmp_path / "run" / "checkpoints" / "last.ckpt", val_check_interval=2, seed=9)
    assert stopped.losses + resumed.losses == straight.losses


def test_last_is_saved_after_an_epoch_that_is_not_the_best(tmp_path: Path) -> None:
    callback = Checkpoints(dirpath=str(tmp_path), monitor="val/loss", mode="min")
    trainer(tmp_path, callback, enable_checkpointing=True, max_epochs=3).fit(Worse(), datamodule=Numbers())
    assert read_checkpoint(tmp_path / "best.ckpt")["global_step"] == 4
    assert read_checkpoint(tmp_path / "last.ckpt")["global_step"] == 12
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_best_score_survives_a_move(tmp_path: Path) -> None:
    fit(tmp_path / "old", max_epochs=1)
    (tmp_path / "old").rename(tmp_path / "new")
    loaded = read_checkpoint(tmp_path / "new" / "checkpoints" / "last.ckpt")
    (state,) = (value for key, value in loaded["callbacks"].items() if key.startswith("Checkpoints"))
    callback = Checkpoints(dirpath=str(tmp_path / "new" / "checkpoints"), monitor="val/loss", mode="min")
    callback.load_state_dict(state)
    assert callback.best_model_path == str(tmp_path / "new" / "checkpoints" / "best.ckpt")
    assert callback.best_model_score == state["best_model_score"]


def test_second_signal_stops_at_once(tmp_path: Path) -> None:
    class Twice(SignalAfter):
        def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.global_step + 1 == self.step:
                os.kill(os.getpid(), self.number)
                os.kill(os.getpid(), self.number)

    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit):
            fit(tmp_path, Twice(3), Interruption(directory=str(tmp_path)))
    finally:
        signal.signal(signal.SIGINT, before)  # Lightning leaves it ignored
    assert not (tmp_path / "checkpoints" / "last.ckpt").exists()


def test_validation_does_not_touch_the_trainings_randomness(tmp_path: Path) -> None:
    class Drawing(Regression):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            super().validation_step(batch, batch_idx)
            torch.rand(3)

    def losses(kind: type[Regression]) -> list[float]:
        torch.manual_seed(0)
        model = kind(dropout=0.5)
        trainer(tmp_path, Randomness()).fit(model, datamodule=Numbers())
        return model.losses

    assert losses(Drawing) == losses(Regression)


def test_all_streams_are_restored() -> None:
    import random

    import numpy as np

    state = capture()
    first = (random.random(), np.random.rand(), torch.rand(()).item())
    restore(state)
    assert (random.random(), np.random.rand(), torch.rand(()).item()) == first


def test_other_numbers_are_told_of_without_a_place_in_the_source(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    quieten_lightning()
    fit(tmp_path, max_epochs=1, log_every_n_steps=50)
    last = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(last, weights_only=True)
    checkpoint["randomness"]["states"] *= 2
    torch.save(checkpoint, last)
    with caplog.at_level(logging.WARNING, logger="seqtrain"):
        assert len(fit(tmp_path, ckpt=last, max_epochs=2, log_every_n_steps=50).losses) == 4
    assert "made by 2 processes and is resumed by 1" in caplog.text
    assert not [str(warning.message) for warning in recwarn if "processes" in str(warning.message)]
    assert not [str(warning.message) for warning in recwarn if "logging interval" in str(warning.message)]


class Right(Regression):
    """Right in `share` of the cases after two epochs, and never before."""

    share = 1.0

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        super().validation_step(batch, batch_idx)
        self.log("val/accuracy", self.share if self.current_epoch > 1 else 0.999)


@pytest.mark.parametrize(
    ("options", "share", "epochs", "reason"),
    [
        ({"monitor": "val/loss", "mode": "max", "patience": 1}, 1.0, None, "did not improve"),
        ({"monitor": "val/accuracy", "mode": "max", "patience": None}, 1.0, 3, "val/accuracy is 1: it cannot get"),
        ({"monitor": "val/accuracy", "mode": "max", "patience": None}, 0.99995, 20, ""),
        ({"monitor": "val/accuracy", "mode": "min", "patience": None}, 1.0, 20, ""),
    ],
)
def test_early_stopping_says_why(
    options: dict[str, Any],
    share: float,
    epochs: int | None,
    reason: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    callback = EarlyStopping(**options)
    fitted = trainer(tmp_path, callback, max_epochs=20)
    quieten_lightning()
    with caplog.at_level(logging.INFO, logger="seqtrain"):
        model = Right()
        model.share = share
        fitted.fit(model, datamodule=Numbers())
    assert fitted.current_epoch == epochs if epochs else fitted.current_epoch < 20
    assert reason in caplog.text


class Plateaued(Regression):
    """Its learning rate falls whenever a validation is not better than the best by much: after almost every one."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5, factor=0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": "val/loss"}}


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, (3, 4, 7, 8, 9)),
        ({"model": Plateaued}, (4, 5, 7, 8, 9)),
        ({"model": Plateaued, "val_check_interval": 2}, (4, 5, 7, 9)),
        ({"val_check_interval": 2}, (3, 5, 7)),
        ({"accumulate_grad_batches": 2}, (1, 3, 5)),
        ({"accumulate_grad_batches": 2, "val_check_interval": 3}, (2, 3, 5)),
        ({"accumulate_grad_batches": 3}, (1, 3, 5)),
    ],
    ids=str,
)
@pytest.mark.parametrize("every", [None, 1, 2])
def test_a_crash_changes_nothing_wherever_it_comes(
    tmp_path: Path, options: dict[str, Any], steps: tuple[int, ...], every: int | None
) -> None:
    straight = fit(tmp_path / "whole", every=every, **options)
    for step in steps:
        run = tmp_path / str(step)
        fit(run, CrashAfter(step), every=every, **options)
        last = run / "checkpoints" / "last.ckpt"
        if not last.exists():
            continue
        resumed = fit(run, every=every, seed=99, ckpt=last, **options)
        if every and "accumulate_grad_batches" not in options and "val_check_interval" not in options:
            assert resumed.steps[0] >= step - every - 1
        assert resumed.losses == straight.losses[-len(resumed.losses) :], step
        assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), straight.parameters(), strict=True))
        assert Run(run).metrics() == Run(tmp_path / "whole").metrics()


def test_minutes_between_checkpoints(tmp_path: Path) -> None:
    callback = Checkpoints(dirpath=str(tmp_path), train_time_interval=1e-9)
    fitted = trainer(tmp_path, callback, CrashAfter(3), enable_checkpointing=True)
    with pytest.raises(RuntimeError, match="power cut"):
        fitted.fit(Regression(), datamodule=Numbers())
    assert read_checkpoint(tmp_path / "last.ckpt")["global_step"] == 2


class Worse(Regression):
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", float(self.trainer.global_step), on_epoch=True, batch_size=1)


def test_a_run_that_was_stopped_early_is_not_trained_further(tmp_path: Path) -> None:
    options: dict[str, Any] = {"model": Worse, "patience": 1, "max_epochs": 9}
    assert fit(tmp_path, **options).steps == list(range(8))
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert fit(tmp_path, **options, ckpt=last).steps == []
    assert fit(tmp_path, **{**options, "patience": 2}, ckpt=last).steps == list(range(8, 12))


def test_a_best_checkpoint_of_a_later_step_is_not_that_of_the_score(tmp_path: Path) -> None:
    class Better(Regression):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val/loss", -float(self.trainer.global_step), on_epoch=True, batch_size=1)

    fit(tmp_path, model=Better, max_epochs=2)
    previous = tmp_path / "checkpoints" / "previous.ckpt"
    with pytest.warns(UserWarning, match=r"best\.ckpt was saved after 8 steps, the run goes on after 4"):
        resumed = fit(tmp_path, model=Worse, ckpt=previous, max_epochs=2)
    best = resumed.trainer.checkpoint_callback
    assert best is not None
    assert float(best.best_model_score) == 8  # type: ignore[attr-defined]
    assert best.validation == {"val/loss": 8}  # type: ignore[attr-defined]
