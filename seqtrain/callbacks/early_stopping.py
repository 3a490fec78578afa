"""Stop when validation no longer gets better, or cannot."""

import logging
import sys
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping as LightningEarlyStopping
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason

from seqtrain.config.types import NonNegativeFloat, Positive
from seqtrain.errors import UserError

log = logging.getLogger(__name__)

SHARES = ("accuracy", "exact")
"""Metrics that are shares of what is right."""
PRECISION = 2**-24
"""By how much the largest 32-bit number below 1 is smaller."""


class EarlyStopping(LightningEarlyStopping):
    """Lightning's `EarlyStopping`, which says why it stopped.

    It also stops where nothing is wrong any more: an accuracy of 1 cannot get better, and the first checkpoint that has
    it is the best one. A run that is gone on with after it stopped is not trained further, unless `patience` is raised.

    Args:
        monitor: the metric; the train command takes the task's where this is `None`.
        mode: whether more or less of it is better; with `monitor`.
        patience: validations without a better value before the training ends; `None` waits for ever.
        min_delta: what counts as better.
    """

    def __init__(
        self,
        *,
        monitor: str | None = None,
        mode: Literal["min", "max"] | None = None,
        patience: Positive | None = 10,
        min_delta: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__(
            monitor=monitor or "", mode=mode or "max", patience=patience or sys.maxsize, min_delta=min_delta
        )
        self._validated = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuses to begin without a metric."""
        if not self.monitor:
            raise UserError(
                "early stopping has no metric to go by",
                "Set callbacks.early_stopping.monitor and .mode, say to val/loss.",
            )
        if self.mode == "max" and self.monitor.rpartition("/")[2] in SHARES:
            self.stopping_threshold = 1 - PRECISION
        super().setup(trainer, pl_module, stage)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with what it has seen, and the patience that it has now."""
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops where the run that is gone on with had stopped: nothing is trained that it would not have trained."""
        reason = self.stopping_reason
        if reason == EarlyStoppingReason.PATIENCE_EXHAUSTED and self.wait_count < self.patience:
            reason = self.stopping_reason = EarlyStoppingReason.NOT_STOPPED
            self.stopping_reason_message = None
        if reason != EarlyStoppingReason.NOT_STOPPED:
            trainer.should_stop = True
            self._say_why(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks at the metric, when validation is not once an epoch."""
        self._validated |= not trainer.sanity_checking
        super().on_validation_end(trainer, pl_module)

    def _validate_condition_metric(self, logs: dict[str, torch.Tensor]) -> bool:
        if self.monitor in logs:
            return True
        if self._validated:
            there = ", ".join(sorted(logs))
            raise UserError(f"callbacks.early_stopping.monitor={self.monitor}: no such metric", f"There are: {there}.")
        return False  # the training ended in the middle of its first epoch

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Says why the training ended, if this ended it."""
        self._say_why(trainer)

    def _say_why(self, trainer: pl.Trainer) -> None:
        if not self.stopping_reason_message or not trainer.is_global_zero:
            return
        if self.stopping_reason == EarlyStoppingReason.STOPPING_THRESHOLD:
            log.info("%s is 1: it cannot get better", self.monitor)
        else:
            log.info("%s", self.stopping_reason_message.replace(" Signaling Trainer to stop.", ""))
