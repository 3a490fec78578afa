"""A trained model with its data, out of a run's directory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from seqtrain.config.allow import build
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
    """

    run: Run
    config: DictConfig
    data: Any
    model: Any
    checkpoint: Path
    step: int


def load(chosen: Chosen) -> Loaded:
    """Loads what was chosen.

    Raises:
        UserError: a tokenizer or the checkpoint is missing or damaged, or does not fit the model.
    """
    config = chosen.config
    data = build(config.data, "data", seed=config.seed)
    data.load(chosen.run.tokenizer)
    model = build(config.model, "model", task=data.task)
    content = read_checkpoint(chosen.checkpoint)
    model.load_state_dict(content["state_dict"])
    step = int(content.get("global_step", 0))
    return Loaded(chosen.run, config, data, model.eval(), chosen.checkpoint, step)
