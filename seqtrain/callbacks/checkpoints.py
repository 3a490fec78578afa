"""The best and the last checkpoint of a run."""

import contextlib
import os
import time
import warnings
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities import rank_zero_warn

from seqtrain.callbacks.gathering import anywhere
from seqtrain.callbacks.interruption import in_the_middle
from seqtrain.config.types import Positive, PositiveFloat
from seqtrain.errors import UserError
from seqtrain.layers.finite import refuse_spoilt
from seqtrain.runs.checkpoints import set_aside, step_of
from seqtrain.runs.record import BEST, LAST, PREVIOUS


def rewind(loggers: Iterable[Any], step: int) -> None:
    """Has loggers that can do it drop what they logged after so many steps."""
    for logger in loggers:
        if hasattr(logger, "rewind"):
            logger.rewind(step)


class Checkpoints(ModelCheckpoint):
    """Lightning's `ModelCheckpoint` set up as `best.ckpt` and `last.ckpt`, with some differences.

    `last.ckpt` is written after every validation, and at the end: Lightning writes it only when the best one changes,
    so a run that crashed long after its best epoch would begin there again. A training that ends before its first
    validation has its last state as its best. The best score survives that the run's directory is moved. And nothing
    is saved of weights that are not finite, nor is a validation the best whose metric is not.

    Between validations it is written where that is asked for, as soon as a step is complete behind which no validation
    comes, and once the step's metrics are in the logs: what goes on from it lacks nothing. The metrics of the last
    validation are in it too.

    A resumed run goes on with the best score, if `best.ckpt` is whole and not of a later step than its checkpoint.

    Args:
        dirpath: the folder; `None` is Lightning's choice.
        monitor: the metric that best is judged by; `None`: the best is the last.
        mode: whether more or less of it is better; with `monitor`.
        every_n_train_steps: optimizer steps from one `last.ckpt` to the next, between validations.
        train_time_interval: minutes from one to the next, between validations.

    Attributes:
        validation: the metrics of the last validation, of the checkpoint that was gone on from too.
    """

    def __init__(
        self,
        *,
        dirpath: str | None = None,
        monitor: str | None = None,
        mode: Literal["min", "max"] | None = None,
        every_n_train_steps: Positive | None = None,
        train_time_interval: PositiveFloat | None = None,
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
        self.steps = every_n_train_steps
        self.minutes = train_time_interval
        self.validation: dict[str, float] = {}
        self._validated = False
        self._without_score = False
        self._saved_step, self._saved_at = 0, 0.0
        self._due: dict[str, Any] | None = None
        self._epoch_ends = False
        self._plateau_due = False
        self._trained = False
        self._resumed_step: int | None = None
        self._anew: str | None = None  # why the best one is not that of the checkpoint that was loaded

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Finds the folder; that a resumed run's is not empty is as it should be."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
            super().setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Has schedules that go by a metric look at that of the checkpoint, if they had not yet."""
        super().on_train_start(trainer, pl_module)
        self._saved_at = time.monotonic()
        self._drop_what_came_later(trainer)
        self._trained = True
        due, self._plateau_due = self._plateau_due, False
        if due:
            self._look_at_metrics(trainer, epochs=trainer.current_epoch)

    def _drop_what_came_later(self, trainer: pl.Trainer) -> None:
        """On a resumed run: has loggers drop what was logged after the checkpoint, and sets later checkpoints aside."""
        step, self._resumed_step = self._resumed_step, None
        if step is None or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        last = Path(str(self.dirpath), LAST)
        if trainer.is_global_zero and str(trainer.ckpt_path) != str(last):  # behind which there is nothing
            for path in filter(Path.is_file, (last, last.with_name(PREVIOUS), last.with_name(BEST))):
                with contextlib.suppress(UserError):  # what cannot be read is not gone on from either
                    if step_of(path) > step:
                        set_aside(path, "superseded")
        rewind(trainer.loggers, step)

    def _look_at_metrics(self, trainer: pl.Trainer, *, epochs: int) -> None:
        """What Lightning's loop does after an epoch: so many have ended."""
        for config in trainer.lr_scheduler_configs:
            value = self.validation.get(config.monitor or "")
            due = config.reduce_on_plateau and config.interval == "epoch" and epochs % config.frequency == 0
            if due and value is not None:
                trainer.lightning_module.lr_scheduler_step(config.scheduler, value)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Takes the state, if it is time and nothing is left in the middle."""
        if self._is_time(trainer) and not in_the_middle(trainer):
            refuse_spoilt(pl_module, trainer.global_step, anywhere=partial(anywhere, trainer))
            self._due = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Writes it before the next step: the metrics of the one before have been logged by now."""
        if self._due is not None:
            trainer.strategy.save_checkpoint(self._due, os.path.join(str(self.dirpath), LAST))
            trainer.strategy.barrier("Checkpoints")
            self._due = None
            self._note_saved(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves the best one if it is the best, and the last one."""
        due = self._may_save(trainer) and self._should_save_on_train_epoch_end(trainer)
        self._epoch_ends = True
        super().on_train_epoch_end(trainer, pl_module)
        self._save_missing_last(trainer, due)
        self._epoch_ends = False
        if trainer.fit_loop.restarting and trainer.fit_loop.epoch_loop._num_ready_batches_reached():
            # The rest of an epoch that was gone on with in the middle: Lightning leaves it out here, too.
            self._look_at_metrics(trainer, epochs=trainer.current_epoch + 1)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The same, when validation is not once an epoch."""
        due = self._may_save(trainer) and not self._should_save_on_train_epoch_end(trainer)
        self._validated |= not trainer.sanity_checking
        super().on_validation_end(trainer, pl_module)
        self._save_missing_last(trainer, due)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves the last state, if it is not; and as the best one, if there never was a metric to judge it by."""
        self._due = None
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if not self.best_model_path and not self._without_score:
            self._save_none_monitor_checkpoint(trainer, self._monitor_candidates(trainer))
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
        self._save_missing_last(trainer, self._last_global_step_saved != trainer.global_step)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Has a resumed run that had no step to take log its test under the step and epoch at which it ended."""
        self._drop_what_came_later(trainer)
        if not self._trained and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
            epochs: Any = trainer.fit_loop.epoch_progress.current
            epochs.completed = epochs.processed = epochs.started
        self._trained = False

    def _is_time(self, trainer: pl.Trainer) -> bool:
        """Whether `last.ckpt` is to be written between validations: on all ranks, or on none."""
        if trainer.fast_dev_run or trainer.global_step <= self._saved_step:  # type: ignore[attr-defined]
            return False
        if self.steps is not None and trainer.global_step // self.steps > self._saved_step // self.steps:
            return True
        if self.minutes is None:
            return False
        return bool(trainer.strategy.broadcast(time.monotonic() - self._saved_at >= 60 * self.minutes))

    def _note_saved(self, trainer: pl.Trainer) -> None:
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()

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

    def _save_last_checkpoint(self, trainer: pl.Trainer, monitor_candidates: dict[str, torch.Tensor]) -> None:
        # Gradients that wait for the optimizer's step are not in it: a run that went on from it would lack them.
        if trainer.validating and trainer.fit_loop._should_accumulate():
            return
        super()._save_last_checkpoint(trainer, monitor_candidates)
        self._note_saved(trainer)

    def _may_save(self, trainer: pl.Trainer) -> bool:
        return not self._should_skip_saving_checkpoint(trainer)

    def _save_missing_last(self, trainer: pl.Trainer, due: bool) -> None:
        if due and self._last_global_step_saved != trainer.global_step:
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the metrics of the last validation, which a run that ends before the next one is known by."""
        found = {name: float(v) for name, v in trainer.callback_metrics.items() if name.startswith("val/")}
        self.validation |= found
        checkpoint["validation"] = dict(self.validation)
        # Lightning has schedules look at metrics after its checkpoints, and not when it goes on from one.
        checkpoint["plateau_due"] = self._epoch_ends

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Looks whether the best checkpoint is one that the run can go on with."""
        if trainer.state.fn != "fit":
            self._anew = ""  # a test of a checkpoint: what the training found best stays that
            return
        step = self._resumed_step = self._saved_step = int(checkpoint["global_step"])
        self.validation = dict(checkpoint.get("validation", {}))
        self._plateau_due = checkpoint.get("plateau_due", False)
        self._anew = trainer.strategy.broadcast(self._reason(step) if trainer.is_global_zero else None)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with the best score; paths are those of this run's directory."""
        if self.dirpath is None:
            super().load_state_dict(state_dict)
            return
        if self._anew is not None or not state_dict["best_model_path"]:
            if self._anew and state_dict["best_model_path"]:
                rank_zero_warn(f"{self._anew}: the best checkpoint is chosen from here on.")
            return
        best = os.path.join(self.dirpath, BEST)
        score = state_dict["best_model_score"]
        moved = {
            "dirpath": self.dirpath,
            "best_model_path": best,
            "kth_best_model_path": best if score is not None else "",
            "best_k_models": {best: score} if score is not None else {},
            "last_model_path": os.path.join(self.dirpath, LAST),
        }
        super().load_state_dict({**state_dict, **moved})

    def _reason(self, step: int) -> str | None:
        """Why `best.ckpt` is not the best up to a step, if it is not."""
        best = Path(str(self.dirpath), BEST)
        if not best.is_file():
            return f"There is no {best}"
        try:
            found = step_of(best)
        except UserError as error:
            return str(error).partition("\n")[0]
        return f"{best} was saved after {found} steps, the run goes on after {step}" if found > step else None
