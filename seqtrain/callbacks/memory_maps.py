"""Pictures of what a network that writes bits did: what went in and came out and, of a memory, where heads looked."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from seqtrain.callbacks.gathering import gathered
from seqtrain.callbacks.showing import log_pictures
from seqtrain.config.types import Positive
from seqtrain.runs.figures import save
from seqtrain.tasks.bits import BitsBatch

INCHES = 0.09
"""The side of a cell."""
TALLEST = 3.0
"""Inches of a panel, at most."""


@dataclass(frozen=True)
class Pass:
    """What happened to one sequence of T steps.

    Attributes:
        panels: name to rows over time, (rows, T); what is not asked for is NaN.
        about: what stands below the title.
    """

    panels: dict[str, np.ndarray]
    about: str


class MemoryMaps(pl.Callback):
    """Draws some sequences of the test set over time, as Graves 2014 does (figures 3 to 6): inputs, targets, outputs
    and, of a network whose `run` says what its heads did, the weighting of every read and write head over the slots.

    Outside of training it takes a few examples of the split, spread over it and so always the same. The files are
    `figures/memory-INDEX.png` (of validation `memory-val-INDEX.png`); W&B gets them as `test/memory`. On other tasks
    it does nothing.

    Args:
        examples: how many.
        directory: the run's directory; `None` is the trainer's `default_root_dir`.
    """

    def __init__(self, *, examples: Positive = 5, directory: str | None = None) -> None:
        super().__init__()
        self.examples = examples
        self.directory = directory
        self._chosen: set[int] = set()
        self._passes: dict[int, Pass] = {}

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Chooses the examples."""
        self._passes, self._chosen = {}, set()
        task = getattr(pl_module, "task", None)
        if trainer.state.fn != "fit" and getattr(task, "name", None) == "bits":
            size = trainer.datamodule.sizes[_split(trainer)]  # type: ignore[attr-defined]
            # Not all at the same distance: test sequences of several kinds follow each other in turn.
            apart = max(1, size // self.examples)
            self._chosen = {min(i * apart + i % apart, size - 1) for i in range(self.examples)}

    on_test_start = on_validation_start

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Runs those that are in the batch."""
        rows = [row for row, index in enumerate(batch.index.tolist()) if index in self._chosen] if self._chosen else []
        if dataloader_idx == 0 and rows:
            tensors = {f.name: getattr(batch, f.name)[rows] for f in fields(batch)}
            with torch.inference_mode(), trainer.precision_plugin.forward_context():
                self._passes |= passes(pl_module.network, replace(batch, **tensors))

    on_test_batch_end = on_validation_batch_end

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draws."""
        if not self._chosen:
            return
        found, self._passes = gathered(trainer, self._passes), {}
        if not trainer.is_global_zero:
            return
        split = _split(trainer)
        folder = Path(self.directory or trainer.default_root_dir) / "figures"
        paths = []
        for index, shown in sorted(found.items()):
            paths.append(folder / (f"memory-{index}.png" if split == "test" else f"memory-{split}-{index}.png"))
            draw(paths[-1], shown, title=f"{type(pl_module).__name__}, {split} {index}")
        if paths:
            log_pictures(trainer, f"{split}/memory", paths)

    on_test_epoch_end = on_validation_epoch_end


def passes(network: Any, batch: BitsBatch) -> dict[int, Pass]:
    """Runs a batch; what happened to each of its sequences, by `index`.

    Args:
        network: maps (B, T, I) vectors and (B,) lengths to (B, T, O) logits; one with a memory has `run(inputs)`, which
            also says what its heads did (`seqtrain.layers.ntm.Trace`).
        batch: sequences with bits.
    """
    trace = None
    if hasattr(network, "run"):
        logits_BTO, trace = network.run(batch.inputs)
    else:
        logits_BTO = network(batch.inputs, batch.lengths)
    found = {}
    for row, (index, T) in enumerate(zip(batch.index.tolist(), batch.lengths.tolist(), strict=True)):
        asked_T1 = batch.asked[row, :T].unsqueeze(1)
        chances_TO = logits_BTO[row, :T].float().sigmoid()
        targets_TO = batch.targets[row, :T]
        wrong = ((chances_TO > 0.5) != (targets_TO > 0.5)) & asked_T1
        panels = {
            "inputs": batch.inputs[row, :T],
            "targets": targets_TO.masked_fill(~asked_T1, torch.nan),
            "outputs": chances_TO.masked_fill(~asked_T1, torch.nan),
        }
        if trace is not None:
            for name, w_TPN in (("write", trace.writes[row, :T]), ("read", trace.reads[row, :T])):
                for head in range(w_TPN.shape[1]):
                    number = f" {head + 1}" if w_TPN.shape[1] > 1 else ""
                    panels[f"{name} weighting{number}"] = w_TPN[:, head]
        found[index] = Pass(
            panels={name: panel.float().T.cpu().numpy() for name, panel in panels.items()},
            about=f"{int(wrong.sum())} of {int(asked_T1.sum()) * targets_TO.shape[1]} bits wrong",
        )
    return found


def draw(path: Path, shown: Pass, *, title: str = "") -> None:
    """Writes a PNG: panels below each other, time to the right; weightings have the slots downwards, from 0.

    Raises:
        UserError: the file cannot be written.
    """
    # Here, as nothing else needs it.
    from matplotlib.figure import Figure

    steps = next(iter(shown.panels.values())).shape[1]
    heights = [min(TALLEST, max(0.35, INCHES * len(panel))) for panel in shown.panels.values()]
    size = (min(30.0, 1.5 + max(3.0, INCHES * steps)), sum(heights) + 0.45 * len(heights) + 0.6)
    figure = Figure(figsize=size, layout="constrained", dpi=100)
    panels = figure.subplots(len(heights), 1, squeeze=False, sharex=True, height_ratios=heights).flat
    for axes, (name, panel) in zip(panels, shown.panels.items(), strict=True):
        weighting = name.endswith("weighting") or "weighting " in name
        low, high = min(0.0, float(np.nan_to_num(panel).min())), max(1.0, float(np.nan_to_num(panel).max()))
        axes.set_facecolor("0.8")  # where nothing is asked for
        axes.imshow(
            panel, cmap="gray" if weighting else "viridis", vmin=low, vmax=high, aspect="auto", interpolation="none"
        )
        axes.set_ylabel(name, fontsize=8, rotation=0, horizontalalignment="right", verticalalignment="center")
        axes.tick_params(labelsize=7)
        if not weighting:
            axes.set_yticks([])
    panels[-1].set_xlabel("step", fontsize=8)
    figure.suptitle("\n".join(filter(None, [title, shown.about])), fontsize="medium")
    save(figure, path)


def _split(trainer: pl.Trainer) -> str:
    return "test" if trainer.testing else "val"
