"""What is asked for of a training that is gone on with, against what its checkpoint has."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import StochasticWeightAveraging

from seqtrain.commands.going_on import GoingOn
from seqtrain.errors import UserError
from tests.tiny import Numbers, Regression, trainer

Optimizer = torch.optim.Optimizer
Schedule = Any


class Configured(Regression):
    """With an optimizer and a schedule of a test's own."""

    def __init__(self, optimizer: Any, schedule: Any = None) -> None:
        super().__init__()
        self.given, self.schedule = optimizer, schedule

    def configure_optimizers(self) -> Any:
        optimizer = self.given(self.parameters())
        if self.schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self.schedule(optimizer)}


class Rates(pl.Callback):
    """The learning rate of every step."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


def adam(**options: Any) -> Any:
    return lambda parameters: torch.optim.Adam(parameters, **{"lr": 0.1, **options})


def rmsprop(**options: Any) -> Any:
    return lambda parameters: torch.optim.RMSprop(parameters, **{"lr": 0.1, **options})


def decaying(factor: float, interval: str) -> Any:
    def make(optimizer: Optimizer) -> Schedule:
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: factor**done)
        return {"scheduler": schedule, "interval": interval, "frequency": 1}

    return make


def plateau(**options: Any) -> Any:
    def make(optimizer: Optimizer) -> Schedule:
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        return {"scheduler": schedule, "interval": "epoch", "frequency": 1, "monitor": "val/loss"}

    return make


def trained(folder: Path, model: Any, epochs: int, *callbacks: Any, resume: bool = False) -> tuple[list[float], Any]:
    """The rates of the steps, and the trainer; the state behind them is in `last.ckpt`."""
    rates = Rates()
    fitted = trainer(folder, rates, GoingOn(), *callbacks, max_epochs=epochs)
    fitted.fit(model, datamodule=Numbers(), ckpt_path=str(folder / "last.ckpt") if resume else None, weights_only=False)
    fitted.save_checkpoint(folder / "last.ckpt")
    return rates.seen, fitted


def kept(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "last.ckpt", weights_only=False)


@pytest.mark.parametrize(
    ("first", "second", "rates"),
    [
        (None, None, [0.2] * 4),
        (decaying(0.5, "step"), decaying(0.5, "step"), [0.2 * 0.5**step for step in range(4, 8)]),
        (decaying(0.5, "step"), decaying(0.9, "step"), [0.2 * 0.9**step for step in range(4, 8)]),
        (decaying(0.5, "step"), decaying(0.5, "epoch"), [0.1] * 4),
        (decaying(0.5, "epoch"), None, [0.2] * 4),
        (None, decaying(0.5, "step"), [0.2 * 0.5**step for step in range(4, 8)]),
        (plateau(), decaying(0.5, "step"), [0.2 * 0.5**step for step in range(4, 8)]),
        (decaying(0.5, "step"), plateau(), [0.2] * 4),
    ],
)
def test_rates_are_those_that_are_asked_for(tmp_path: Path, first: Any, second: Any, rates: list[float]) -> None:
    trained(tmp_path, Configured(adam(), first), 1)
    assert trained(tmp_path, Configured(adam(lr=0.2), second), 2, resume=True)[0] == pytest.approx(rates)


def test_what_a_metric_has_lowered_stays_lowered(tmp_path: Path) -> None:
    worse = plateau(patience=0, factor=0.5, mode="min", threshold=10.0)  # nothing is so much better
    trained(tmp_path, Configured(adam(), worse), 3)
    lowered = kept(tmp_path)["optimizer_states"][0]["param_groups"][0]["lr"]
    assert lowered < 0.1
    other = plateau(patience=7, factor=0.9, mode="min", threshold=10.0)
    rates, fitted = trained(tmp_path, Configured(adam(lr=0.2), other), 4, resume=True)
    assert rates == pytest.approx([lowered * 2] * 4)
    assert (fitted.lr_scheduler_configs[0].scheduler.patience, kept(tmp_path)["lr_schedulers"][0]["factor"]) == (7, 0.9)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (adam(), lambda p: torch.optim.SGD(p, lr=0.1), "no use to SGD"),
        (lambda p: torch.optim.RAdam(p), lambda p: torch.optim.NAdam(p), "no use to NAdam"),
        (adam(), adam(amsgrad=True), "optimizer.amsgrad=True: needs"),
        (rmsprop(), rmsprop(centered=True), "optimizer.centered=True: needs"),
        (rmsprop(), rmsprop(momentum=0.9), "optimizer.momentum=0.9: needs"),
    ],
)
def test_what_was_not_kept_cannot_be_gone_on_with(tmp_path: Path, first: Any, second: Any, message: str) -> None:
    trained(tmp_path, Configured(first), 1)
    with pytest.raises(UserError, match=message) as caught:
        trained(tmp_path, Configured(second), 2, resume=True)
    assert caught.value.code == 2


def test_adam_may_become_adamw(tmp_path: Path) -> None:
    trained(tmp_path, Configured(adam()), 1)
    _, fitted = trained(tmp_path, Configured(lambda p: torch.optim.AdamW(p, lr=0.1)), 2, resume=True)
    assert fitted.optimizers[0].param_groups[0]["weight_decay"] == 0.01


def test_an_average_that_has_begun_keeps_its_rates(tmp_path: Path) -> None:
    def average() -> StochasticWeightAveraging:
        return StochasticWeightAveraging(swa_lrs=0.5, swa_epoch_start=1, annealing_epochs=4)

    (tmp_path / "whole").mkdir()
    whole, _ = trained(tmp_path / "whole", Configured(adam()), 5, average())
    parts, _ = trained(tmp_path, Configured(adam()), 3, average())
    parts += trained(tmp_path, Configured(adam()), 5, average(), resume=True)[0]
    assert parts == pytest.approx(whole)
