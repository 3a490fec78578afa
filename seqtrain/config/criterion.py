"""Which validation metric a training goes by, and what its best checkpoint is judged by; imports no torch."""

import ast
from typing import Any

from omegaconf import DictConfig

from seqtrain.config.allow import TARGET, is_node
from seqtrain.config.source import class_attribute, module_tree
from seqtrain.config.study import Goal
from seqtrain.errors import UserError


def criterion(config: DictConfig, monitor: str, goal: Goal) -> tuple[str, Goal]:
    """The metric that checkpoints, early stopping and schedules go by: the task's, or, where nothing computes BLEU,
    the negative log-likelihood.

    Args:
        config: a checked configuration.
        monitor: the task's metric.
        goal: whether more or less of that is better.
    """
    if monitor == "val/bleu" and not any(node[TARGET].endswith(".BLEU") for node in _callbacks(config)):
        return "val/nll", "min"
    return monitor, goal


def criterion_of_best(config: DictConfig) -> tuple[str, Goal]:
    """What the best checkpoint of a training is the best by.

    Raises:
        UserError: the training saves none.
    """
    if config.trainer.get("fast_dev_run"):
        raise UserError("trainer.fast_dev_run=true saves no checkpoint, so there is none that is the best")
    for node in _callbacks(config):
        if node[TARGET].rpartition(".")[2] in ("Checkpoints", "ModelCheckpoint"):
            if node.get("monitor"):
                return node.monitor, node.get("mode") or "min"
            return criterion(config, *_of_task(config.data[TARGET]))
    raise UserError("callbacks.checkpoint is left out, so there is no checkpoint that is the best")


def _callbacks(config: DictConfig) -> list[Any]:
    return [node for node in (config.callbacks or {}).values() if is_node(node)]


def _of_task(data: str) -> tuple[str, Goal]:
    """Metric and goal of a data set's task, as its class says in the source."""
    task = class_attribute(data, "task_name")
    module = f"seqtrain.tasks.{task}"
    tree = module_tree(module)
    for node in tree.body if tree else []:
        target = f"{module}.{node.name}" if isinstance(node, ast.ClassDef) else ""
        if target and class_attribute(target, "name") == task:
            monitor, goal = class_attribute(target, "monitor"), class_attribute(target, "goal")
            if isinstance(monitor, str) and (goal == "min" or goal == "max"):
                return monitor, goal
    raise UserError(f"data: {data}: its task, {task}, says no metric and goal")
