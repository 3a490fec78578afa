"""Ctrl-C, SIGTERM and SIGUSR1: finish the step, save, stop, so that the run can go on later."""

import contextlib
import logging
import math
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn

from seqtrain.callbacks.gathering import anywhere
from seqtrain.config.team import later_rank
from seqtrain.errors import GO_ON_LATER, NO_FURTHER, InterruptionError, StreamError
from seqtrain.layers.finite import refuse_spoilt

log = logging.getLogger(__name__)

MACHINES = (signal.SIGTERM, signal.SIGUSR1)
"""What schedulers send: ahead of a time limit, or when the machine is wanted for something else."""

SIGNALS = (signal.SIGINT, *MACHINES)


class Interruption(pl.Callback):
    """Ends a training at the first Ctrl-C, SIGTERM or SIGUSR1 after the step that it is in, with everything saved.

    The checkpoint is `checkpoints/last.ckpt`, and `InterruptionError` is raised from `Trainer.fit`. A validation is
    broken off after the batch that it is in, and a resumed training begins it anew; so is a test, which raises the
    same from `Trainer.test`. A second Ctrl-C stops at once, saving nothing more: Lightning turns it into `SystemExit`.
    SIGTERM and SIGUSR1 may come as often as they like: whoever sends them means the same each time. A stream of
    training data that breaks off ends the training too, with the same checkpoint, but for one that breaks off while
    gradients of several batches are summed: then the last checkpoint stays the one to go on from.

    Lightning's own handlers are switched off: they talk to the other ranks in the midst of whatever is done, and under
    SLURM they save elsewhere and have the job sent again.

    Args:
        directory: the run's directory; `None` is the trainer's `default_root_dir`.
    """

    def __init__(self, *, directory: str | None = None) -> None:
        super().__init__()
        self.directory = directory
        self._received: int | None = None  # by this process
        self._agreed_on: int | None = None  # of what all of them received
        self._message: InterruptionError | None = None
        self._active = False
        self._process = os.getpid()
        self._previous: dict[int, Any] = {}
        self._begun_with: int | None = None  # steps
        self._common = math.inf  # batches that no rank has fewer of, in validation or test

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Forgets an earlier training, and sees what the signals do: until a step can be saved, that stays."""
        setattr(trainer._signal_connector, "register_signal_handlers", _nothing)  # noqa: B010 - a method
        if stage == "fit":
            self._received = None
            self._agreed_on = None
            self._message = None
            self._begun_with = None
        self._previous = {number: signal.getsignal(number) for number in SIGNALS}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Sees how far a training is that goes on: one that is over does not start, but its test can be stopped."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._begun_with = checkpoint["global_step"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the signals."""
        self._begun_with = trainer.global_step
        self._active = True
        self._process = os.getpid()
        self._install()

    on_sanity_check_end = on_train_start  # earlier, so that a loader's worker processes inherit it

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves, if that was asked for and nothing is left in the middle."""
        if self._agreed(trainer) and not in_the_middle(trainer):
            self._message = self._save(trainer)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stops before the next step: the last one has been logged by now."""
        if self._message is not None:
            raise self._message

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Finds out at which batches all ranks can agree."""
        self._common = _fewest(trainer, trainer.fit_loop.epoch_loop.val_loop.max_batches) if self._active else 0

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Saves what a resumed training begins this validation anew with."""
        if (
            self._breaks_off(trainer, batch_idx, dataloader_idx)
            and not trainer.fit_loop.epoch_loop._should_accumulate()
        ):
            _begin_anew(trainer)
            raise self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The training ended by itself before the signal could take effect: what comes after it is not begun."""
        if self._agreed(trainer):
            raise self._save(trainer)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the signals again; the training that was before has all saved."""
        self._active = True
        self._process = os.getpid()
        self._install()
        self._common = _fewest(trainer, trainer.test_loop.max_batches)

    def on_test_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Breaks the test off: one that is begun anew comes to the same."""
        if self._breaks_off(trainer, batch_idx, dataloader_idx):
            raise self._error(trainer, f"interrupted in the test, after {trainer.global_step} steps of training")

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Saves where the stream of training data broke off, which all processes are told; gives the signals back."""
        if isinstance(exception, StreamError) and self._unsaved(trainer):
            # Gradients are not saved: the batches that they came from would count as trained on.
            waits = trainer.fit_loop.epoch_loop._should_accumulate()
            said = _not_saved(trainer) if waits else self._save(trainer)
            if trainer.is_global_zero:
                # What has to be mended first stands in the exception.
                log.warning("%s", said)
        self._release()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Gives the signals back."""
        self._release()

    def _unsaved(self, trainer: pl.Trainer) -> bool:
        """Whether steps were taken since the training began, or went on, and since the last checkpoint."""
        saved = getattr(trainer.checkpoint_callback, "_last_global_step_saved", 0)
        return self._begun_with is not None and trainer.global_step > max(self._begun_with, saved)

    def _agreed(self, trainer: pl.Trainer) -> bool:
        """Whether to stop: all ranks at the same step, though the signal reaches them at different ones."""
        self._agreed_on = self._received
        if trainer.world_size > 1:
            number = torch.tensor(self._received or 0, device=trainer.strategy.root_device)
            torch.distributed.all_reduce(number, op=torch.distributed.ReduceOp.MAX)
            # Each rank ends as the others do, whichever of them got which signal.
            self._agreed_on = int(number) or None
        return self._agreed_on is not None

    def _breaks_off(self, trainer: pl.Trainer, batch_idx: int, dataloader_idx: int) -> bool:
        return self._active and dataloader_idx == 0 and batch_idx < self._common and self._agreed(trainer)

    def _save(self, trainer: pl.Trainer) -> InterruptionError:
        run = Path(self.directory or trainer.default_root_dir)
        where = f"interrupted after {trainer.global_step} steps, in epoch {trainer.current_epoch}"
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return InterruptionError(f"{where}; nothing is saved with fast_dev_run", code=1)
        refuse_spoilt(trainer.lightning_module, trainer.global_step, anywhere=partial(anywhere, trainer))
        trainer.save_checkpoint(run / "checkpoints" / "last.ckpt")
        return self._error(trainer, f"{where}; the state is saved in {run / 'checkpoints' / 'last.ckpt'}")

    def _error(self, trainer: pl.Trainer, message: str) -> InterruptionError:
        run = Path(self.directory or trainer.default_root_dir)
        further = trainer.global_step > (self._begun_with or 0)
        code = 1 if self._agreed_on == signal.SIGINT else GO_ON_LATER if further else NO_FURTHER
        return InterruptionError(
            message, f"Go on with it by: python -m seqtrain resume={shlex.quote(str(run))}", code=code
        )

    def _install(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # Python allows handlers in the main thread only
        for number in SIGNALS:
            if signal.getsignal(number) != self._handle:
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
            # A loader's worker process: it lives on, since the step and the checkpoint need it.
            if number == signal.SIGTERM:
                _end_by(number)
        elif number == signal.SIGINT == self._received:
            raise KeyboardInterrupt
        elif self._received is None or number == signal.SIGINT:
            self._received = number
            if not later_rank():
                print(f"\nStopping after this step{_once_more(number)}.", file=sys.stderr, flush=True)


@dataclass
class Ended:
    """What ended a block.

    Attributes:
        by: the signal, if one did.
        over: whether it has ended by now: from here on signals are ignored.
    """

    by: int | None = None
    over: bool = False


@contextlib.contextmanager
def ended_by_signals(ended: Ended) -> Iterator[None]:
    """Has SIGTERM and SIGUSR1 end the block as Ctrl-C does, with `KeyboardInterrupt`, where nobody else takes them.

    Without it they end the process, which then cannot write how it ended. Only the first of them counts: what is done
    about it is not interrupted again.

    Args:
        ended: gets what ended the block.
    """
    process = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:
            _end_by(number)
        elif ended.by is None and not ended.over:
            ended.by = number
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, handle) for number in MACHINES}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def in_the_middle(trainer: pl.Trainer) -> bool:
    """Whether gradients wait for the optimizer's step, or a validation follows, which a resumed run would leave out."""
    loop = trainer.fit_loop
    steps = loop.epoch_loop
    if steps._should_accumulate() or steps._num_ready_batches_reached():
        return True
    return loop._data_fetcher is not None and steps._should_check_val_fx(loop._data_fetcher)


def _not_saved(trainer: pl.Trainer) -> str:
    return (
        f"broken off behind step {trainer.global_step}, while gradients waited for the optimizer's next one: nothing "
        "is saved; go on from the last checkpoint that was"
    )


def _begin_anew(trainer: pl.Trainer) -> None:
    """Sets the counts of a validation's batches to what Lightning, when it resumes, takes for one that was begun and
    broken off (`_EvaluationLoop.update_restart_stage`), and from no batch on.
    """
    progress: Any = trainer.fit_loop.epoch_loop.val_loop.batch_progress
    progress.total.started = progress.total.ready
    progress.total.processed = progress.total.completed = progress.total.ready - 1
    progress.current.reset()
    progress.is_last_batch = False


def _fewest(trainer: pl.Trainer, batches: Any) -> float:
    """The batches of the first loader that no rank has fewer of."""
    own = float(batches[0]) if batches else 0.0
    if trainer.world_size == 1:
        return own
    device = trainer.strategy.root_device
    number = torch.tensor(own if math.isfinite(own) else 0.0, device=device)
    torch.distributed.all_reduce(number, op=torch.distributed.ReduceOp.MIN)
    return float(number)


def _nothing() -> None:
    pass


def _once_more(number: int) -> str:
    return "; once more to stop at once" if number == signal.SIGINT else ""


def _end_by(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
