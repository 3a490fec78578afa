"""Weights and metrics that are not finite: what is trained on, and what is saved."""

from pathlib import Path
from typing import Any

import pytest
import torch

from seqtrain.callbacks.checkpoints import Checkpoints
from seqtrain.callbacks.clipping import IN_A_ROW, GradientClipping
from seqtrain.errors import UserError
from seqtrain.runs.checkpoints import AtomicCheckpointIO, read_checkpoint
from tests.tiny import Numbers, Regression, trainer


class Spoilt(Regression):
    """Its loss is not finite from a step on; or only what validation says of it."""

    def __init__(self, *, loss_from: int = 1000, metric_from: int = 1000) -> None:
        super().__init__()
        self.loss_from, self.metric_from = loss_from, metric_from

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = super().training_step(batch, batch_idx)
        return loss * float("nan") if self.trainer.global_step >= self.loss_from else loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        bad = self.trainer.global_step >= self.metric_from
        self.log("val/loss", torch.tensor(float("nan")) if bad else self.loss(batch), on_epoch=True, batch_size=8)


def fit(folder: Path, model: Spoilt, *callbacks: Any, **options: Any) -> None:
    saving = Checkpoints(dirpath=str(folder), monitor="val/loss", mode="min")
    fitted = trainer(folder, *callbacks, saving, enable_checkpointing=True, plugins=[AtomicCheckpointIO()], **options)
    fitted.fit(model, datamodule=Numbers())


def test_nothing_is_saved_of_weights_that_are_not_finite(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"after 8 steps weights are not finite: layer\.weight and 1 more"):
        fit(tmp_path, Spoilt(loss_from=6), max_epochs=5)
    for name in ("best", "last"):
        checkpoint = read_checkpoint(tmp_path / f"{name}.ckpt")
        assert checkpoint["global_step"] == 4
        assert all(torch.isfinite(value).all() for value in checkpoint["state_dict"].values())


def test_a_metric_that_is_not_finite_is_never_the_best(tmp_path: Path) -> None:
    fit(tmp_path / "later", Spoilt(metric_from=8), max_epochs=3)
    assert read_checkpoint(tmp_path / "later" / "best.ckpt")["global_step"] == 4
    with pytest.warns(UserWarning, match="val/loss is nan: such a checkpoint is never the best one"):
        fit(tmp_path / "always", Spoilt(metric_from=0), max_epochs=2)
    assert not (tmp_path / "always" / "best.ckpt").exists()
    assert (tmp_path / "always" / "last.ckpt").exists()


def test_steps_that_are_skipped_for_ever_end_the_training(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"^{IN_A_ROW} steps in a row .* at step 101; not finite: the loss \(nan\)"):
        fit(tmp_path, Spoilt(loss_from=2), GradientClipping(), max_epochs=50)
    assert all(torch.isfinite(value).all() for value in read_checkpoint(tmp_path / "last.ckpt")["state_dict"].values())
