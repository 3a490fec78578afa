"""A trained model with its data and decoding, out of a run's directory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from seqtrain.config.allow import build
from seqtrain.config.check import check
from seqtrain.config.compose import compose
from seqtrain.config.pair import check_pair
from seqtrain.errors import UserError
from seqtrain.runs.checkpoints import read_checkpoint
from seqtrain.runs.record import Run

CHANGEABLE = ("data", "decoding", "trainer")
"""The groups that can be another than the run's: the model is what it was trained as."""


@dataclass
class Loaded:
    """A run's configuration, with what was changed in it, and the objects that it describes.

    Attributes:
        run: the run's record.
        config: the run's configuration; groups that were changed are as they were composed now.
        data: the data module, with the run's tokenizers.
        model: the model with the weights of `checkpoint`, in evaluation mode.
        checkpoint: the file that the weights came from.
        step: optimiser steps that were taken before it was written.
    """

    run: Run
    config: DictConfig
    data: Any
    model: Any
    checkpoint: Path
    step: int


def load(path: str | None, overrides: list[str], *, checkpoint: str = "best", task: str | None = None) -> Loaded:
    """Loads a run.

    Args:
        path: the run's directory.
        overrides: Hydra overrides of the groups `CHANGEABLE`.
        checkpoint: `best`, `last` or the path of a checkpoint.
        task: the task that the model must have been trained for; any without it.

    Raises:
        UserError: there is no such run or checkpoint, it is damaged, what is to be changed cannot be, or the
            configuration names something that it may not.
    """
    if path is None:
        raise UserError("run= is needed", "Give the directory of a run, as training printed it: run=runs/…")
    run = Run.open(path)
    config = changed(run, overrides)
    check(config)
    check_pair(config)
    weights = run.checkpoint(checkpoint) if checkpoint in ("best", "last") else Path(checkpoint)  # type: ignore[arg-type]
    data = build(config.data, "data", seed=config.seed)
    if task is not None and data.task_name != task:
        raise UserError(f"{path} was trained for {data.task_name}, not for {task}", "Give the run of a model for it.")
    data.load(run.tokenizer)
    model = build(config.model, "model", task=data.task)
    content = read_checkpoint(weights)
    model.load_state_dict(content["state_dict"])
    return Loaded(run, config, data, model.eval(), weights, int(content.get("global_step", 0)))


def changed(run: Run, overrides: list[str]) -> DictConfig:
    """The run's configuration with overrides on top.

    Groups that no override touches are those of the run, whatever the configuration files say by now.
    """
    config = run.config
    touched = {_group(override) for override in overrides}
    if wrong := sorted(touched - set(CHANGEABLE)):
        raise UserError(
            f"{wrong[0]}= cannot be changed for a run that is trained",
            f"What can be: {', '.join(f'{group}=' for group in CHANGEABLE)} and keys in them.",
        )
    if touched:
        # What was set in a group says nothing about another option of it: data.size of captions, about data=pairs.
        replaced = {"hydra", *(group for group in touched if any(o.startswith(f"{group}=") for o in overrides))}
        fresh = compose([*(o for o in run.overrides if _group(o) not in replaced), *overrides])
        for group in touched:
            config = OmegaConf.merge({**config, group: None}, {group: fresh[group]})  # type: ignore[assignment]
    return config


def _group(override: str) -> str:
    return override.lstrip("+~").split("=")[0].split("@")[0].split(".")[0]
