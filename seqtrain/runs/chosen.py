"""Which run a command works on, with which configuration and checkpoint: settled without importing torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from seqtrain.config.allow import TARGET, TOP_LEVEL, to_plain
from seqtrain.config.arguments import several, take
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

ALONE: Mapping[str, Any] = {"devices": 1, "num_nodes": 1, "strategy": "auto"}
"""What spreads a training, and the values with which one process measures: sentences need no other, and count once."""


@dataclass(frozen=True)
class Chosen:
    """A run as a command is to use it.

    Attributes:
        run: the run's record.
        config: its configuration; groups that were changed are as they were composed now.
        checkpoint: the file to take the weights from. It is there; whether it is whole shows when it is read.
        others: what translates together with it, as an ensemble.
    """

    run: Run
    config: DictConfig
    checkpoint: Path
    others: tuple["Chosen", ...] = ()


def choose(
    arguments: Sequence[str],
    *,
    options: Sequence[str] = (),
    needed: Sequence[str] = (),
    task: str | None = None,
) -> Chosen:
    """Settles what the arguments of a command ask for, and checks everything that can be checked without torch.

    Args:
        arguments: `run=`, `checkpoint=` and Hydra overrides of the groups `CHANGEABLE`. Several runs, or checkpoints of
            one, are an ensemble: data, decoding and trainer are those of the first run.
        options: keys that the command has taken out of the arguments already, to suggest in messages.
        needed: splits of the data that have to be there; without any, the data is not looked at.
        task: the task that the model must have been trained for; any without it.

    Raises:
        UserError: there is no such run, key, checkpoint or data, what is to be changed cannot be, or the configuration
            names something that it may not, or the runs cannot translate together.
    """
    path, overrides = take(arguments, "run")
    checkpoint, overrides = take(overrides, "checkpoint")
    _check_keys(overrides, ("run", "checkpoint", *options, *CHANGEABLE))
    if path is None:
        raise UserError("run= is needed", "Give the directory of a run, as training printed it: run=runs/…")
    paths, names = several(path), several(checkpoint or "best")
    first = Run.open(paths[0])
    config = changed(first, overrides)
    check(config)
    check_pair(config)
    _check_task(paths[0], first.config, config, task)
    members = [(run, weights) for run in _runs(paths) for weights in _weights(run, names, alone=len(paths) == 1)]
    if len(members) > 1:
        _check_ensemble(members)
    if needed:
        preflight(to_plain(config.data), needed=needed)
    (run, weights), *rest = members
    return Chosen(run, config, weights, tuple(Chosen(other, _checked(other), file) for other, file in rest))


def changed(run: Run, overrides: Sequence[str]) -> DictConfig:
    """The run's configuration with overrides on top, without what made its training shorter, and on one device.

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
    if isinstance(trainer, DictConfig):
        known = {name: value for name, value in UNLIMITED.items() if name in trainer}
        trainer.update({name: value for name, value in {**known, **ALONE}.items() if f"trainer.{name}" not in asked})
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


def _runs(paths: Sequence[str]) -> list[Run]:
    for path in paths:
        if [Path(other).resolve() for other in paths].count(Path(path).resolve()) > 1:
            raise UserError(f"run= names {path} twice", "Name each run once.")
    return [Run.open(path) for path in paths]


def _weights(run: Run, checkpoints: Sequence[str], *, alone: bool) -> list[Path]:
    """The files of the checkpoints of a run: of the only one, or of one of several."""
    found = []
    for checkpoint in checkpoints:
        if checkpoint in ("best", "last", "averaged"):
            found.append(run.checkpoint(checkpoint))  # type: ignore[arg-type]
        elif not alone:
            raise UserError(f"checkpoint={checkpoint}: of several runs, it must be best, last or averaged")
        elif not Path(checkpoint).is_file():
            raise UserError(
                f"there is no checkpoint at {checkpoint}", "Give checkpoint=best, last, averaged or the path of one."
            )
        else:
            found.append(Path(checkpoint))
    if len({file.resolve() for file in found}) < len(found):
        raise UserError(f"checkpoint={','.join(checkpoints)} names one twice", "Name each checkpoint once.")
    return found


def _check_ensemble(members: Sequence[tuple[Run, Path]]) -> None:
    """Refuses runs whose probabilities are not of the same tokens, and tasks that are not decoded."""
    first = members[0][0]
    _check_task(str(first.directory), first.config, first.config, "translation")
    for run, _ in members[1:]:
        _check_task(str(run.directory), run.config, run.config, "translation")
        if _languages(run) != _languages(first):
            mine, other = ("→".join(map(str, _languages(one))) for one in (first, run))
            raise UserError(
                f"{first.directory} translates {mine} and {run.directory} {other}", "An ensemble translates one way."
            )
        if _tokenizers(run) != _tokenizers(first):
            raise UserError(
                f"{first.directory} and {run.directory} have different tokenizers",
                "An ensemble averages probabilities of the same tokens: train its runs on the same data with the same "
                "data.tokenizer, data.vocabulary, data.joint, data.lowercase and data.min_frequency.",
            )


def _languages(run: Run) -> tuple[Any, Any]:
    return OmegaConf.select(run.config, "data.source"), OmegaConf.select(run.config, "data.target")


def _tokenizers(run: Run) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in run.tokenizer.glob("*.json")}


def _checked(run: Run) -> DictConfig:
    config = changed(run, ())
    check(config)
    return config


def _key(override: str) -> str:
    return override.lstrip("+~").split("=")[0].split("@")[0]


def _group(override: str) -> str:
    return _key(override).split(".")[0]
