"""A progress bar of the whole training, and one line a validation where there is no terminal."""

import sys
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.callbacks.progress.tqdm_progress import Tqdm

from seqtrain.callbacks.throughput import Throughput
from seqtrain.config.types import Positive

SHOWN = ("train/loss", "val/loss", "val/perplexity", "val/bleu", "val/accuracy")


class Progress(TQDMProgressBar):
    """Loss, validation metrics, speed and the time left for the whole training, not for the epoch only.

    On a terminal this is one bar over all steps. Elsewhere (a log file, a pipe, a scheduler) bars are off and a line
    is printed after every validation, or after every epoch where nothing is validated.

    Args:
        refresh: steps between two drawings of the bar.
    """

    def __init__(self, *, refresh: Positive = 10) -> None:
        super().__init__(refresh_rate=refresh)
        self._terminal = sys.stdout.isatty()
        self._begun_at = 0.0
        self._begun_with = 0
        if not self._terminal:
            self.disable()

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Starts the clock, and the bar where the training stands."""
        self._begun_at = time.monotonic()
        self._begun_with = trainer.global_step
        super().on_train_start(trainer, *_)
        total = _total_steps(trainer)
        bar = self.train_progress_bar
        bar.total, bar.initial, bar.n = total, trainer.global_step, trainer.global_step

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Names the epoch; the bar runs on."""
        self.train_progress_bar.set_description(_epoch(trainer))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Moves the bar."""
        step = trainer.global_step
        bar = self.train_progress_bar
        if self.is_enabled and not bar.disable and (step % self.refresh_rate == 0 or step == bar.total):
            bar.n = step
            bar.set_postfix(self.get_metrics(trainer, pl_module))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Closes the validation's bar, or prints the line."""
        super().on_validation_end(trainer, pl_module)
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._say(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints the line if there is no validation."""
        super().on_train_epoch_end(trainer, pl_module)
        if not trainer.enable_validation:
            self._say(trainer, pl_module)

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """What stands behind the bar: the last loss, the last validation, the speed."""
        metrics = trainer.callback_metrics
        shown: dict[str, Any] = {
            name.removeprefix("train/"): f"{float(metrics[name]):.3g}" for name in SHOWN if name in metrics
        }
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Throughput) and callback.rate is not None:
                shown[f"{callback.unit}/s"] = f"{callback.rate:,.0f}"
        return shown

    def seconds_left(self, trainer: pl.Trainer) -> float | None:
        """How long the rest of the training takes at the mean speed so far, validations included."""
        total = _total_steps(trainer)
        done = trainer.global_step - self._begun_with
        if total is None or done <= 0:
            return None
        return (time.monotonic() - self._begun_at) / done * max(total - trainer.global_step, 0)

    def _say(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._terminal or not trainer.is_global_zero:
            return
        parts = [_epoch(trainer), f"step {trainer.global_step}"]
        parts += [f"{name} {value}" for name, value in self.get_metrics(trainer, pl_module).items()]
        left = self.seconds_left(trainer)
        if left is not None:
            parts.append(f"{Tqdm.format_interval(left)} left")
        print("  ".join(parts), flush=True)


def _total_steps(trainer: pl.Trainer) -> int | None:
    total = trainer.estimated_stepping_batches
    return int(total) if total not in (float("inf"), -1) else None


def _epoch(trainer: pl.Trainer) -> str:
    last = trainer.max_epochs
    return f"epoch {trainer.current_epoch + 1}" + (f"/{last}" if last and last > 0 else "")
