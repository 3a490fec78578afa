"""The mean of the weights of several validations: the last ones', or the best ones'."""

import contextlib
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor

from seqtrain.config.types import Positive
from seqtrain.errors import UserError
from seqtrain.runs.checkpoints import AtomicCheckpointIO, read_checkpoint

log = logging.getLogger(__name__)

Kept = dict[str, float]
"""`step`, the optimizer steps taken, and `score`, the value of the metric, of a validation whose weights are kept."""


class Averaging(pl.Callback):
    """Keeps the weights of `number` validations, and writes their mean when the training ends (checkpoint averaging:
    Vaswani 2017, section 6.1).

    Weights are kept in `weights-STEP.ckpt`, the mean is `averaged.ckpt`: (1/N) Σ θ_n, summed in 64 bits; what is not a
    floating-point number is that of the newest one. All of them are checkpoints that can be evaluated and that a model
    loads; none can be resumed from. Kept are the weights that were validated: with `EMA`, its averages.

    A resumed run goes on with the weights that its checkpoint knows of: what is dropped is removed two validations
    later, when neither `last.ckpt` nor the one before counts on it, and what was kept after the checkpoint, when the
    run goes on.
    Weights that can no longer be read are left out of the mean.

    Args:
        number: N.
        keep: which: the `last`, or the `best` by `monitor`.
        monitor: the metric that best is judged by.
        mode: whether more or less of it is better.
        dirpath: the folder; `None` is `checkpoints` in the trainer's `default_root_dir`.

    Raises:
        UserError: `keep=best` without a `monitor`, or, in validation, with one that is not there.
    """

    def __init__(
        self,
        *,
        number: Positive = 5,
        keep: Literal["last", "best"] = "last",
        monitor: str | None = None,
        mode: Literal["min", "max"] | None = None,
        dirpath: str | None = None,
    ) -> None:
        super().__init__()
        if keep == "best" and monitor is None:
            raise UserError("callbacks.averaging.keep=best: best by what?", "Set callbacks.averaging.monitor.")
        self.number = number
        self.keep = keep
        self.monitor = monitor
        self.mode = mode or "max"
        self.dirpath = dirpath
        self._kept: list[Kept] = []
        self._dropped: list[int] = []
        self._dropped_before: list[int] = []
        self._validated: dict[str, Tensor] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Which weights are kept, and which files are to be removed after the next two validations."""
        return {"kept": self._kept, "dropped": self._dropped, "dropped_before": self._dropped_before}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with them."""
        self._kept, self._dropped = list(state_dict["kept"]), list(state_dict["dropped"])
        self._dropped_before = list(state_dict.get("dropped_before", []))

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks whether everything that a resumed run counts on is there."""
        there = [kept for kept in self._kept if self._file(trainer, int(kept["step"])).is_file()]
        if len(there) < len(self._kept) and trainer.is_global_zero:
            log.warning("%d of the weights to average are gone", len(self._kept) - len(there))
        self._kept = there

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """On a resumed run, removes the weights of steps that are taken again."""
        if trainer.ckpt_path is not None and trainer.is_global_zero:
            for file in self.path(trainer).parent.glob("weights-*.ckpt"):
                step = file.stem.removeprefix("weights-")
                if step.isdecimal() and int(step) > trainer.global_step:
                    file.unlink()

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the weights while they are those that were validated; the score is known a little later."""
        if self._applies(trainer) and trainer.is_global_zero:
            self._validated = _copied(pl_module.state_dict())

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keeps them, if they are among the chosen."""
        if not self._applies(trainer):
            return
        new = {"step": trainer.global_step, "score": self._score(trainer)}
        before = {int(kept["step"]) for kept in self._kept}
        self._kept = self._chosen([*(kept for kept in self._kept if kept["step"] != new["step"]), new])
        now = {int(kept["step"]) for kept in self._kept}
        if trainer.is_global_zero:
            if new["step"] in now:
                self._save(trainer, self._file(trainer, int(new["step"])), self._validated or {}, int(new["step"]))
            self._remove(trainer, [step for step in self._dropped_before if step not in now])
        self._dropped_before, self._dropped = self._dropped, sorted(before - now)
        self._validated = None

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the mean: here, which is come to also by a resumed run that has no step to take any more."""
        if trainer.fast_dev_run or not trainer.is_global_zero:  # type: ignore[attr-defined]
            return
        self._remove(trainer, [*self._dropped_before, *self._dropped])
        mean = average(self._readable(trainer))
        if not self._kept:
            log.warning("there are no weights to average")
            return
        steps = [int(kept["step"]) for kept in self._kept]
        self._save(trainer, self.path(trainer), mean, steps[-1], averaged=steps)
        log.info("averaged.ckpt: the mean of the weights after %s steps", ", ".join(map(str, steps)))

    def path(self, trainer: pl.Trainer) -> Path:
        """Where the mean is, once the training has ended."""
        return Path(self.dirpath or os.path.join(trainer.default_root_dir, "checkpoints")) / "averaged.ckpt"

    def _file(self, trainer: pl.Trainer, step: int) -> Path:
        return self.path(trainer).with_name(f"weights-{step}.ckpt")

    def _readable(self, trainer: pl.Trainer) -> Iterator[dict[str, Tensor]]:
        """The weights that are kept, one after another; what cannot be read is not kept any longer."""
        for kept in list(self._kept):
            try:
                content = read_checkpoint(self._file(trainer, int(kept["step"])))
            except UserError as error:
                log.warning("left out of the mean: %s", str(error).partition("\n")[0])
                self._kept.remove(kept)
            else:
                yield content["state_dict"]

    @staticmethod
    def _applies(trainer: pl.Trainer) -> bool:
        return trainer.state.fn == "fit" and not trainer.sanity_checking and not trainer.fast_dev_run  # type: ignore[attr-defined]

    def _score(self, trainer: pl.Trainer) -> float:
        """The metric, whichever are kept: a resumed run may keep the best. NaN where it is not there and not needed."""
        found = trainer.callback_metrics.get(self.monitor or "")
        if found is None and self.keep == "best":
            there = ", ".join(sorted(trainer.callback_metrics))
            raise UserError(f"callbacks.averaging.monitor={self.monitor}: no such metric", f"There are: {there}.")
        return math.nan if found is None else float(found)

    def _chosen(self, kept: list[Kept]) -> list[Kept]:
        """Those to keep, the oldest first; of equally good ones the older."""
        if self.keep == "best":
            sign = -1 if self.mode == "max" else 1
            kept = sorted(kept, key=lambda k: math.inf if math.isnan(k["score"]) else sign * k["score"])[: self.number]
        return sorted(kept, key=lambda k: k["step"])[-self.number :]

    def _save(self, trainer: pl.Trainer, path: Path, weights: dict[str, Tensor], step: int, **more: Any) -> None:
        content = {"state_dict": weights, "global_step": step, "epoch": trainer.current_epoch, **more}
        AtomicCheckpointIO().save_checkpoint({**content, "pytorch-lightning_version": pl.__version__}, path)

    def _remove(self, trainer: pl.Trainer, steps: list[int]) -> None:
        for step in steps:
            with contextlib.suppress(FileNotFoundError):
                self._file(trainer, step).unlink()


def average(several: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of weights, taken one after another; what is not floating-point is the last one's."""
    sums: dict[str, Tensor] = {}
    weights: Mapping[str, Tensor] = {}
    number = 0
    for weights in several:
        number += 1
        for name, value in weights.items():
            if value.is_floating_point():
                sums[name] = sums.get(name, torch.zeros((), dtype=torch.float64)) + value.double()
    return {**weights, **{name: (total / number).to(weights[name].dtype) for name, total in sums.items()}}


def _copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies in main memory; parameters that are one, as tied ones are, are copied once."""
    copies: dict[Any, Tensor] = {}
    places = {name: (value.data_ptr(), value.shape, value.stride()) for name, value in weights.items()}
    for name, place in places.items():
        if place not in copies:
            copies[place] = weights[name].detach().to("cpu", copy=True)
    return {name: copies[place] for name, place in places.items()}
