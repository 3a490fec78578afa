"""The state of every random stream in the checkpoint, so that a resumed run draws what it would have drawn."""

import logging
import random
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

log = logging.getLogger(__name__)


class Randomness(pl.Callback):
    """Keeps the random states of Python, NumPy and torch (CPU and CUDA, of every rank) in the checkpoint.

    It also sees to it that loaders which can go on in the middle of an epoch do so where a learning rate schedule is
    computed from the length of the training.

    Ranks that begin with the same states, as a seed gives them, would drop the same units in dropout: each goes on with
    numbers of its own.

    Validation is kept out of the training's stream: what it draws changes nothing in the steps that follow. So a run
    that was stopped after any step and resumed makes the same numbers as one that never stopped.
    """

    def __init__(self) -> None:
        super().__init__()
        self._loaded: dict[str, Any] | None = None
        self._inside_epoch = False
        self._inside_validation = False
        self._resumed = False
        self._before_validation: dict[str, Any] | None = None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the states of all ranks; called on every rank."""
        states: list[Any] = [self._before_validation or capture()]
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, states[0])
            states = gathered
        inside = not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        validating = self._before_validation is not None
        checkpoint["randomness"] = {"states": states, "inside_epoch": inside, "inside_validation": validating}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keeps the state for the moment that it is needed at."""
        if trainer.state.fn != "fit":
            return
        self._resumed = True
        saved = checkpoint.get("randomness")
        if saved is None:
            return
        if len(saved["states"]) != trainer.world_size:
            if trainer.is_global_zero:
                log.warning(
                    "The checkpoint was made by %d processes and is resumed by %d: their random states do not carry"
                    " over, so the run goes on with other random numbers.",
                    len(saved["states"]),
                    trainer.world_size,
                )
            return
        self._loaded = saved["states"][trainer.global_rank]
        self._inside_epoch = saved["inside_epoch"]
        self._inside_validation = saved.get("inside_validation", False)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restores the state between two epochs: what the loaders draw when an epoch begins comes after it."""
        if self._resumed:
            # A schedule that asked for `trainer.estimated_stepping_batches` has had the loaders made already, before
            # the checkpoint's position in the data was known: Lightning would keep them, at their beginning.
            trainer.fit_loop._combined_loader = None
            self._resumed = False
        if self._loaded is None and trainer.global_rank > 0:
            torch.manual_seed(torch.initial_seed() + trainer.global_rank)
        if self._loaded is not None and not self._inside_epoch and not self._inside_validation:
            restore(self._loaded)
            self._loaded = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Restores the state inside an epoch: what the loaders drew to begin it again is forgotten."""
        if self._loaded is not None:
            restore(self._loaded)
            self._loaded = None

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Sets the training's stream aside; of a validation that is begun anew, what it was set aside as."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            if self._loaded is not None and self._inside_validation:
                restore(self._loaded)
                self._inside_validation = False
                if not self._inside_epoch:
                    self._loaded = None
            self._before_validation = capture()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Goes on with the training's stream."""
        if self._before_validation is not None:
            restore(self._before_validation)
            self._before_validation = None


def capture() -> dict[str, Any]:
    """The states of all random streams of this process, as tensors and plain values."""
    kind, words, position, has_gauss, cached = np.random.get_state()
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": [str(kind), torch.from_numpy(np.asarray(words).astype(np.int64)), position, has_gauss, cached],
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore(state: dict[str, Any]) -> None:
    """Sets all random streams of this process to what `capture` returned."""
    torch.set_rng_state(state["torch"].cpu())
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, numbers, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, numbers.cpu().numpy().astype(np.uint32), position, has_gauss, cached))
    if "cuda" in state and torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])
