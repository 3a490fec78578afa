"""Whether the chosen architecture can do the task of the chosen data set, read from source alone."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from omegaconf import DictConfig

from seqtrain.config.allow import TARGET
from seqtrain.config.places import conf_directory
from seqtrain.config.source import class_attribute
from seqtrain.errors import UserError


def check_pair(cfg: DictConfig, choices: Mapping[str, str] | None = None) -> None:
    """Refuses a model and a data set that share no task.

    Args:
        cfg: a checked configuration.
        choices: the option chosen of each group, to name it in messages.

    Raises:
        UserError: what the model does, what the data set is, and which models would do.
    """
    model, data = cfg["model"][TARGET], cfg["data"][TARGET]
    tasks, task = class_attribute(model, "tasks"), class_attribute(data, "task_name")
    if not isinstance(tasks, tuple) or not isinstance(task, str) or task in tasks:
        return
    chosen = choices or {}
    names = {"model": chosen.get("model", model), "data": chosen.get("data", data)}
    able = sorted(models_for(task))
    raise UserError(
        f"model={names['model']} does {', '.join(map(str, tasks))}, but data={names['data']} is {task};"
        f" models that do {task}: {', '.join(able) or 'none yet'}"
    )


def models_for(task: str, directory: Path | None = None) -> Iterator[str]:
    """The names of the model configurations whose class can do a task."""
    for name, tasks in models_with("tasks", directory):
        if isinstance(tasks, tuple) and task in tasks:
            yield name


def models_with(attribute: str, directory: Path | None = None) -> Iterator[tuple[str, object]]:
    """The names of the model configurations, each with what its class says in an attribute, if that is anything."""
    for file in sorted(((directory or conf_directory()) / "model").glob("*.yaml")):
        target = re.search(rf"^{TARGET}:\s*(\S+)", file.read_text(encoding="utf-8"), re.MULTILINE)
        value = class_attribute(target[1], attribute) if target else None
        if value:
            yield file.stem, value
