"""A run of several processes: what the others do, and say, when one of them is gone."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.distributed import _set_num_threads_if_needed
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher

from seqtrain.errors import InterruptionError, LostRankError, UserError
from seqtrain.runs.markdown import printable
from seqtrain.runs.record import Run

GRACE = 10.0
"""Seconds that a process has to end by itself when another one has failed, before it is killed."""
ANSWER = 5.0
"""Seconds that the other ranks have to say why they stopped."""
POLL = 0.2
"""Seconds between two looks."""
LOST = ("gloo/", "NCCL", "Connection closed by peer", "Connection reset by peer", "Socket closed")
"""What libraries say when they cannot reach another process."""
SILENT = "is gone without a word: killed, or its machine or network failed"
NOTE = "seqtrain/stopped/{rank}"


@contextmanager
def together(trainer: pl.Trainer, record: Run) -> Iterator[None]:
    """What several processes do together: when one fails, all stop, and it is said which one it was, and why.

    Does nothing for a run of one process.

    Args:
        trainer: what trains; where its strategy starts processes, they are watched and none is left behind.
        record: the run, whose end is written even where the first process cannot go on to write it.

    Raises:
        LostRankError: another rank is gone.
    """
    if trainer.world_size == 1:
        yield
        return
    launcher = trainer.strategy.launcher
    if type(launcher) is _SubprocessScriptLauncher:
        trainer.strategy._launcher = launcher = Launcher(launcher, record)
    try:
        yield
    except BaseException as error:
        hold_on(trainer)
        if isinstance(launcher, Launcher):
            launcher.noticed = True
        lost = _told(error, trainer, launcher, record)
        if isinstance(launcher, Launcher) and not isinstance(error, InterruptionError):  # they end at the same step
            launcher.end_others()
        if lost is not None:
            raise lost from None
        raise
    finally:
        if isinstance(launcher, Launcher):
            launcher.noticed = True


def hold_on(trainer: pl.Trainer) -> None:
    """Ignores SIGTERM from here on: what starts several processes sends it when one fails, but the end is yet to write.

    Those that do not end within half a minute or so are killed, as a rule.
    """
    if trainer.world_size > 1 and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


class Launcher(_SubprocessScriptLauncher):
    """Lightning's launcher of the other processes on a machine; when one of them fails, the first one says so and ends.

    Lightning's own kills the first one within five seconds, whatever it is writing.

    Args:
        before: the strategy's own.
        record: the run, to write its end where the first process waits for one that is gone, as it does for ever in
            what is computed on some accelerators and before all have met.
    """

    def __init__(self, before: _SubprocessScriptLauncher, record: Run) -> None:
        super().__init__(before.cluster_environment, before.num_processes, before.num_nodes)
        self.record = record
        self.noticed = False

    def launch(self, function: Callable[..., Any], *args: Any, trainer: Any = None, **kwargs: Any) -> Any:
        """Starts the other processes, once, and watches them; then does what this one has to do."""
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if not self.cluster_environment.creates_processes_externally:
            self._call_children_scripts()
            threading.Thread(target=self._watch, daemon=True).start()
        _set_num_threads_if_needed(num_processes=self.num_processes)
        return function(*args, **kwargs)

    def failed(self) -> dict[int, str]:
        """The local ranks that have failed, and how."""
        codes = {rank: process.poll() for rank, process in enumerate(self.procs, 1)}
        return {rank: _ended(code) for rank, code in codes.items() if code}

    def end_others(self) -> None:
        """Waits for the other processes, which have no reason to go on, and kills those that do."""
        deadline = time.monotonic() + GRACE
        for process in self.procs:
            with suppress(Exception):
                process.wait(max(0.0, deadline - time.monotonic()))
        self.kill(signal.SIGKILL)

    def _watch(self) -> None:
        while not self.noticed and not self.failed():
            if all(process.poll() == 0 for process in self.procs):
                return
            time.sleep(POLL)
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline:
            if self.noticed:
                return
            time.sleep(POLL)
        rank, how = next(iter(self.failed().items()))
        error = _lost(f"rank {rank} of {self.num_processes * self.num_nodes} {how}", self.record)
        print(f"seqtrain: {error}", file=sys.stderr, flush=True)
        with suppress(Exception):
            self.record.finish("failed", error=error)
        self.kill(signal.SIGKILL)
        os._exit(1)


def _told(error: BaseException, trainer: pl.Trainer, launcher: Any, record: Run) -> LostRankError | None:
    """Tells the others why this rank stops; where it stops because another one is gone, finds out which, and why."""
    if not torch.distributed.is_initialized():
        return None
    store = torch.distributed.distributed_c10d._get_default_store()
    own, size = trainer.global_rank, trainer.world_size
    lost = isinstance(error, torch.distributed.DistError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in LOST)
    )
    try:
        store.set(NOTE.format(rank=own), "" if lost else _first_line(error))
        if own > 0 and isinstance(error, UserError) and not isinstance(error, InterruptionError):
            _settle(error, store)
        notes = _notes(store, [rank for rank in range(size) if rank != own]) if lost else {}
    except Exception:  # the store is gone with the first rank
        notes = {}
    if not lost:
        return None
    said = {rank: note for rank, note in notes.items() if note}
    silent = [rank for rank in range(size) if rank != own and rank not in notes]
    if said:
        rank, note = next(iter(said.items()))
        return _lost(f"rank {rank} of {size} stopped: {note}", record, here=own == 0)
    if not silent:
        return None
    rank, here = silent[0], own == 0
    how = launcher.failed().get(rank) if isinstance(launcher, Launcher) else None
    if rank == 0:
        here = _left_open(record)  # the store of the notes is gone with it; whether it could write its end is not
    return _lost(f"rank {rank} of {size} {how or SILENT}", record, here=here)


def _settle(error: UserError, store: Any) -> None:
    """Sees whether the first process stops for the same reason, which it tells as soon as it knows."""
    error.here = True
    store.wait([NOTE.format(rank=0)], timedelta(seconds=ANSWER))
    error.here = store.get(NOTE.format(rank=0)).decode() != _first_line(error)


def _left_open(record: Run) -> bool:
    """Whether the first process has not written how the run ended, for as long as that takes."""
    deadline = time.monotonic() + ANSWER
    while Run.exists(record.directory):
        if record.status != "running":
            return False
        if time.monotonic() > deadline:
            return True
        time.sleep(POLL)
    return False


def _first_line(error: BaseException) -> str:
    return printable(str(error).strip().partition("\n")[0]) or type(error).__name__


def _notes(store: Any, others: list[int]) -> dict[int, str]:
    """What other ranks have said of why they stop; "" is that they lost one too."""
    notes: dict[int, str] = {}
    deadline = time.monotonic() + ANSWER
    # Of two ranks the other one has said it before it could be missed. Of more, some notice later than others.
    while True:
        for rank in (rank for rank in others if rank not in notes):
            if store.check([NOTE.format(rank=rank)]):
                notes[rank] = store.get(NOTE.format(rank=rank)).decode()
        if len(others) == 1 or len(notes) == len(others) or any(notes.values()) or time.monotonic() > deadline:
            return notes
        time.sleep(POLL)


def _lost(message: str, record: Run, *, here: bool = True) -> LostRankError:
    hint = f"Its own output, or the system's log (dmesg) of one that was killed, says more. {record.ways_on()}"
    return LostRankError(message, hint, here=here)


def _ended(code: int) -> str:
    """How a process ended, by its exit code."""
    if code > 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
