"""Which run a command works on, with which configuration and checkpoint: settled without importing torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from seqtrain.config.allow import TARGET, TOP_LEVEL, to_plain
from seqtrain.config.arguments import take
from seqtrain.config.check import SETTINGS, check
from seqtrain.config.compose import compose
from seqtrain.config.names import did_you_mean
from seqtrain.config.pair import check_pair
from seqtrain.config.places import groups
from seqtrain.config.source import class_attribute
from seqtrain.data.preflight import preflight
from seqtrain.errors import UserError
from seqtrain.runs.record import Run

CHANGEABLE = ("data", "decoding", "trainer")
"""The groups that can be another than the run's: the model is what it was trained as."""

UNLIMITED: Mapping[str, Any] = {
    "limit_val_batches": 1.0,
    "limit_test_batches": 1.0,
    "fast_dev_run": False,
    "overfit_batches": 0.0,
    "max_epochs": -1,
    "max_steps": -1,
    "max_time": None,
}
"""What shortens a training, and the values with which everything is measured."""


@dataclass(frozen=True)
class Chosen:
    """A run as a command is to use it.

    Attributes:
        run: the run's record.
        config: its configuration; groups that were changed are as they were composed now.
        checkpoint: the file to take the weights from. It is there; whether it is whole shows when it is read.
    """

    run: Run
    config: DictConfig
    checkpoint: Path


def choose(
    arguments: Sequence[str],
    *,
    options: Sequence[str] = (),
    needed: Sequence[str] = (),
    task: str | None = None,
) -> Chosen:
    """Settles what the arguments of a command ask for, and checks everything that can be checked without torch.

    Args:
        arguments: `run=`, `checkpoint=` and Hydra overrides of the groups `CHANGEABLE`.
        options: keys that the command has taken out of the arguments already, to suggest in messages.
        needed: splits of the data that have to be there; without any, the data is not looked at.
        task: the task that the model must have been trained for; any without it.

    Raises:
        UserError: there is no such run, key, checkpoint or data, what is to be changed cannot be, or the configuration
            names something that it may not.
    """
    path, overrides = take(arguments, "run")
    checkpoint, overrides = take(overrides, "checkpoint")
    _check_keys(overrides, ("run", "checkpoint", *options, *CHANGEABLE))
    if path is None:
        raise UserError("run= is needed", "Give the directory of a run, as training printed it: run=runs/…")
    run = Run.open(path)
    config = changed(run, overrides)
    check(config)
    check_pair(config)
    _check_task(path, run.config, config, task)
    weights = _weights(run, checkpoint or "best")
    if needed:
        preflight(to_plain(config.data), needed=needed)
    return Chosen(run, config, weights)


def changed(run: Run, overrides: Sequence[str]) -> DictConfig:
    """The run's configuration with overrides on top, and without what made its training shorter.

    Groups that no override touches are those of the run, whatever the configuration files say by now.
    """
    config = run.config
    touched = {_group(override) for override in overrides}
    if touched:
        # What was set in a group says nothing about another option of it: data.size of captions, about data=pairs.
        replaced = {"hydra", *(group for group in touched if any(o.startswith(f"{group}=") for o in overrides))}
        fresh = compose([*(o for o in run.overrides if _group(o) not in replaced), *overrides])
        for group in touched:
            config = OmegaConf.merge({**config, group: None}, {group: fresh[group]})  # type: ignore[assignment]
    asked = {_key(override) for override in overrides}
    trainer = config.get("trainer")
    for name, value in UNLIMITED.items():
        if isinstance(trainer, DictConfig) and name in trainer and f"trainer.{name}" not in asked:
            trainer[name] = value
    return config


def _check_keys(overrides: Sequence[str], known: Sequence[str]) -> None:
    for override in overrides:
        group = _group(override)
        if group in CHANGEABLE:
            continue
        if group in {*TOP_LEVEL, *SETTINGS, *groups(), "hydra"}:
            raise UserError(
                f"{group}= cannot be changed for a run that is trained",
                f"What can be: {', '.join(f'{name}=' for name in CHANGEABLE)} and keys in them.",
            )
        raise UserError(f"{override}: no such key{did_you_mean(group, known)} Keys: {', '.join(known)}")


def _check_task(path: str, trained: DictConfig, config: DictConfig, task: str | None) -> None:
    targets = (str(OmegaConf.select(c, f"data.{TARGET}")) for c in (trained, config))
    before, now = (class_attribute(target, "task_name") for target in targets)
    if task is not None and before != task:
        raise UserError(f"{path} was trained for {before}, not for {task}", "Give the run of a model for it.")
    if now != before:
        raise UserError(f"{path} was trained for {before}, but the data is {now}", "Give data of the same task.")


def _weights(run: Run, checkpoint: str) -> Path:
    if checkpoint in ("best", "last"):
        return run.checkpoint(checkpoint)  # type: ignore[arg-type]
    path = Path(checkpoint)
    if not path.is_file():
        raise UserError(
            f"there is no checkpoint at {path}", "Give checkpoint=best, checkpoint=last or the path of one."
        )
    return path


def _key(override: str) -> str:
    return override.lstrip("+~").split("=")[0].split("@")[0]


def _group(override: str) -> str:
    return _key(override).split(".")[0]
