"""The best and the last checkpoint of a run."""

import os
import warnings
from functools import partial
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities import rank_zero_warn

from seqtrain.callbacks.gathering import anywhere
from seqtrain.errors import UserError
from seqtrain.layers.finite import refuse_spoilt


class Checkpoints(ModelCheckpoint):
    """Lightning's `ModelCheckpoint` set up as `best.ckpt` and `last.ckpt`, with three differences.

    `last.ckpt` is written after every validation, and at the end: Lightning writes it only when the best one changes,
    so a run that crashed long after its best epoch would begin there again. A training that ends before its first
    validation has its last state as its best. The best score survives that the run's directory is moved. And nothing
    is saved of weights that are not finite, nor is a validation the best whose metric is not.

    Args:
        dirpath: the folder; `None` is Lightning's choice.
        monitor: the metric that best is judged by; `None`: the best is the last.
        mode: whether more or less of it is better; with `monitor`.
    """

    def __init__(
        self, *, dirpath: str | None = None, monitor: str | None = None, mode: Literal["min", "max"] | None = None
    ) -> None:
        super().__init__(
            dirpath=dirpath,
            filename="best",
            monitor=monitor,
            mode=mode or "max",
            save_top_k=1,
            save_last=True,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )
        self._validated = False
        self._without_score = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Finds the folder; that a resumed run's is not empty is as it should be."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
            super().setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """On a resumed run, has the loggers drop what was logged after the checkpoint, if they can."""
        super().on_train_start(trainer, pl_module)
        if trainer.ckpt_path is not None:
            for logger in trainer.loggers:
                if hasattr(logger, "rewind"):
                    logger.rewind(trainer.global_step)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves the best one if it is the best, and the last one."""
        due = self._due(trainer) and self._should_save_on_train_epoch_end(trainer)
        super().on_train_epoch_end(trainer, pl_module)
        self._save_missing_last(trainer, due)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The same, when validation is not once an epoch."""
        due = self._due(trainer) and not self._should_save_on_train_epoch_end(trainer)
        self._validated |= not trainer.sanity_checking
        super().on_validation_end(trainer, pl_module)
        self._save_missing_last(trainer, due)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves the last state, if it is not; and as the best one, if there never was a metric to judge it by."""
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if not self.best_model_path and not self._without_score:
            self._save_none_monitor_checkpoint(trainer, self._monitor_candidates(trainer))
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
        self._save_missing_last(trainer, self._last_global_step_saved != trainer.global_step)

    def _save_topk_checkpoint(self, trainer: pl.Trainer, monitor_candidates: dict[str, torch.Tensor]) -> None:
        if self.monitor is None or self.monitor in monitor_candidates:
            if self.monitor is None or self._has_score(monitor_candidates[self.monitor]):
                super()._save_topk_checkpoint(trainer, monitor_candidates)
        elif self._validated:
            there = ", ".join(sorted(set(monitor_candidates) - {"epoch", "step"}))
            raise UserError(f"callbacks.checkpoint.monitor={self.monitor}: no such metric", f"There are: {there}.")

    def _has_score(self, value: torch.Tensor) -> bool:
        """Whether a validation can be the best one. Lightning's callback takes any for it while there is none."""
        if torch.isfinite(value):
            return True
        if not self._without_score:
            rank_zero_warn(f"{self.monitor} is {float(value)}: such a checkpoint is never the best one.")
        self._without_score = True
        return False

    def _save_checkpoint(self, trainer: pl.Trainer, filepath: str) -> None:
        refuse_spoilt(trainer.lightning_module, trainer.global_step, anywhere=partial(anywhere, trainer))
        super()._save_checkpoint(trainer, filepath)

    def _due(self, trainer: pl.Trainer) -> bool:
        return not self._should_skip_saving_checkpoint(trainer)

    def _save_missing_last(self, trainer: pl.Trainer, due: bool) -> None:
        if due and self._last_global_step_saved != trainer.global_step:
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with the best score; paths are those of this run's directory."""
        if self.dirpath is None:
            super().load_state_dict(state_dict)
            return
        best = os.path.join(self.dirpath, "best.ckpt")
        if not os.path.exists(best):
            rank_zero_warn(f"There is no {best}: the best checkpoint is chosen from here on.")
            return
        score = state_dict["best_model_score"]
        moved = {
            "dirpath": self.dirpath,
            "best_model_path": best,
            "kth_best_model_path": best if score is not None else "",
            "best_k_models": {best: score} if score is not None else {},
            "last_model_path": os.path.join(self.dirpath, "last.ckpt"),
        }
        super().load_state_dict({**state_dict, **moved})
