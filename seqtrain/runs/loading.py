"""A trained model with its data, out of a run's directory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from seqtrain.config.allow import build
from seqtrain.decoding.ensemble import Ensemble
from seqtrain.runs.checkpoints import read_checkpoint
from seqtrain.runs.chosen import Chosen
from seqtrain.runs.record import Run


@dataclass
class Loaded:
    """A run's configuration, with what was changed in it, and the objects that it describes.

    Attributes:
        run: the run's record.
        config: the run's configuration; groups that were changed are as they were composed now.
        data: the data module, with the run's tokenizers.
        model: the model with the weights of `checkpoint`, in evaluation mode, on the CPU.
        checkpoint: the file that the weights came from.
        step: optimiser steps that were taken before it was written.
        others: the other checkpoints that the model is an ensemble of, each with its step.
    """

    run: Run
    config: DictConfig
    data: Any
    model: Any
    checkpoint: Path
    step: int
    others: tuple[tuple[Path, int], ...] = ()


def load(chosen: Chosen) -> Loaded:
    """Loads what was chosen; several checkpoints become one model, an `Ensemble`.

    Raises:
        UserError: a tokenizer or the checkpoint is missing or damaged, or does not fit the model.
    """
    config = chosen.config
    data = build(config.data, "data", seed=config.seed)
    data.load(chosen.run.tokenizer)
    model, step = _trained(chosen, data)
    others = [_trained(other, data) for other in chosen.others]
    if others:
        model.network = Ensemble([model.network, *(other.network for other, _ in others)])
    files = (other.checkpoint for other in chosen.others)
    steps = tuple((file, taken) for file, (_, taken) in zip(files, others, strict=True))
    return Loaded(chosen.run, config, data, model.eval(), chosen.checkpoint, step, steps)


def device_of(loaded: Loaded) -> str:
    """Where to compute without a trainer: on a GPU if there is one and the run's trainer may use it."""
    may = loaded.config.trainer.get("accelerator", "auto") in ("auto", "gpu", "cuda")
    return "cuda" if may and torch.cuda.is_available() else "cpu"


def _trained(chosen: Chosen, data: Any) -> tuple[Any, int]:
    """The model of one checkpoint, and the steps that were taken before it was written."""
    model = build(chosen.config.model, "model", task=data.task)
    content = read_checkpoint(chosen.checkpoint)
    model.load_state_dict(content["state_dict"])
    return model, int(content.get("global_step", 0))
