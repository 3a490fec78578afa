"""Ctrl-C and SIGTERM: finish the step, save, stop, so that the run can go on later."""

import logging
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments import SLURMEnvironment

from seqtrain.callbacks.gathering import anywhere
from seqtrain.errors import InterruptionError
from seqtrain.layers.finite import refuse_spoilt

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption(pl.Callback):
    """Ends a training at the first Ctrl-C or SIGTERM after the step that it is in, with everything saved.

    The checkpoint is `checkpoints/last.ckpt`, and `InterruptionError` is raised from `Trainer.fit`. A signal that comes
    during validation, or in the last step before one, takes effect a step after it. A second signal stops at once,
    saving nothing more: Lightning turns it into `SystemExit`.

    Under SLURM with automatic requeueing, SIGTERM is left to Lightning.

    Args:
        directory: the run's directory; `None` is the trainer's `default_root_dir`.
    """

    def __init__(self, *, directory: str | None = None) -> None:
        super().__init__()
        self.directory = directory
        self.requested = False
        self._message: InterruptionError | None = None
        self._active = False
        self._process = os.getpid()
        self._previous: dict[int, Any] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Forgets an earlier training."""
        self.requested = False
        self._message = None
        self._previous = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the signals: after Lightning has put its handlers in place, which it takes away again itself."""
        self._active = True
        self._process = os.getpid()
        self._install(trainer)

    on_sanity_check_end = on_train_start  # earlier, so that a loader's worker processes inherit it

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves, if that was asked for and nothing is left in the middle."""
        if self._agreed(trainer) and not _in_the_middle(trainer):
            self._message = self._save(trainer)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stops before the next step: the last one has been logged by now."""
        if self._message is not None:
            raise self._message

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The training ended by itself before the signal could take effect: what comes after it is not begun."""
        if self._agreed(trainer):
            raise self._save(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Gives the signals back."""
        self._release()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Gives the signals back."""
        self._release()

    def _agreed(self, trainer: pl.Trainer) -> bool:
        """Whether to stop: all ranks at the same step, though the signal reaches them at different ones."""
        return anywhere(trainer, self.requested)

    def _save(self, trainer: pl.Trainer) -> InterruptionError:
        run = Path(self.directory or trainer.default_root_dir)
        where = f"after {trainer.global_step} steps, in epoch {trainer.current_epoch}"
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return InterruptionError(f"interrupted {where}; nothing is saved with fast_dev_run", code=1)
        refuse_spoilt(trainer.lightning_module, trainer.global_step, anywhere=partial(anywhere, trainer))
        trainer.save_checkpoint(run / "checkpoints" / "last.ckpt")
        return InterruptionError(
            f"interrupted {where}; the state is saved in {run / 'checkpoints' / 'last.ckpt'}",
            f"Go on with it by: python -m seqtrain resume={shlex.quote(str(run))}",
            code=1,
        )

    def _install(self, trainer: pl.Trainer) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # Python allows handlers in the main thread only
        for number in SIGNALS:
            current = signal.getsignal(number)
            if current == self._handle or (number == signal.SIGTERM and _requeues(trainer)):
                continue
            self._previous.setdefault(number, current)
            signal.signal(number, self._handle)

    def _release(self) -> None:
        self._active = False
        if threading.current_thread() is not threading.main_thread():
            return
        for number, handler in self._previous.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            # A loader's worker process: it lives on at Ctrl-C, since the step and the checkpoint need it.
            if number != signal.SIGINT:
                _pass_on(signal.SIG_DFL, number, frame)
        elif not self._active:
            _pass_on(self._previous.get(number, signal.SIG_DFL), number, frame)
        elif self.requested:
            raise KeyboardInterrupt
        else:
            self.requested = True
            print("\nStopping after this step; once more to stop at once.", file=sys.stderr, flush=True)


def _in_the_middle(trainer: pl.Trainer) -> bool:
    """Whether gradients wait for the optimizer's step, or a validation follows, which a resumed run would leave out."""
    loop = trainer.fit_loop
    steps = loop.epoch_loop
    if steps._should_accumulate() or steps._num_ready_batches_reached():
        return True
    return loop._data_fetcher is not None and steps._should_check_val_fx(loop._data_fetcher)


def _requeues(trainer: pl.Trainer) -> bool:
    cluster = getattr(trainer.strategy, "cluster_environment", None)
    return isinstance(cluster, SLURMEnvironment) and cluster.auto_requeue


def _pass_on(
    handler: Callable[[int, FrameType | None], Any] | int | None, number: int, frame: FrameType | None
) -> None:
    if callable(handler):
        handler(number, frame)
    elif handler == signal.SIG_DFL:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
