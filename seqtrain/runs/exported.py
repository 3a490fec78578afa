"""Weights of a run as one safetensors file, which says what it is, and the model out of such a file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from seqtrain.config.allow import build
from seqtrain.errors import UserError
from seqtrain.models.base import SequenceModel
from seqtrain.runs.files import replacing
from seqtrain.tasks.answering import Answering
from seqtrain.tasks.base import Task
from seqtrain.tasks.bits import Bits
from seqtrain.tasks.labelling import Labelling
from seqtrain.tasks.regression import Regression
from seqtrain.tasks.retrieval import Retrieval
from seqtrain.tasks.transduction import Transduction
from seqtrain.tasks.translation import Translation

TASKS: Mapping[str, type[Task]] = {
    task.name: task for task in (Answering, Bits, Labelling, Regression, Retrieval, Transduction, Translation)
}


def write_weights(path: Path, model: SequenceModel, node: Mapping[str, Any], **facts: str | None) -> int:
    """Writes a model's weights, and what the model is, as one file.

    Args:
        path: the file; it is replaced at once.
        model: the model. Parameters that are one, as tied ones are, are written once.
        node: its part of the configuration.
        facts: what else the file is to say of itself; what is None is left out.

    Returns:
        How many tensors were written.

    Raises:
        UserError: the file cannot be written.
    """
    stored, tied = _without_copies(model.state_dict())
    task = {"name": model.task.name, **asdict(model.task)}
    said = {name: value for name, value in facts.items() if value is not None}
    told = {"model": json.dumps(node), "task": json.dumps(task), "tied": json.dumps(tied)}
    with replacing(path) as file:
        file.write(save(stored, {"format": "pt", **told, **said}))
    return len(stored)


def read_weights(path: Path | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The weights in a file that `write_weights` wrote, under all of their names, and what it says of itself.

    Raises:
        UserError: it is not there, not whole, or not such a file.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            said = dict(file.metadata() or {})
        tied = json.loads(said["tied"])
        return {**weights, **{name: weights[other] for name, other in tied.items()}}, said
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path} holds no exported weights: {error}", "Write it by: seqtrain export run=RUN") from error


def load_exported(path: Path | str) -> SequenceModel:
    """The model in a file that `write_weights` wrote, in evaluation mode, on the CPU.

    Raises:
        UserError: as `read_weights`; or the file names a model or a task that there is none of.
    """
    weights, said = read_weights(path)
    try:
        node, asked = json.loads(said["model"]), json.loads(said["task"])
        kind = TASKS[asked["name"]]
        sizes = {field.name: asked[field.name] for field in fields(kind)}
        task = kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in sizes.items()})
        model: SequenceModel = build(node, "model", task=task)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} does not say what its weights are of: {error}", "Export them again.") from error
    model.load_state_dict(weights)
    return model.eval()


def _without_copies(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Each tensor once, in memory of its own, and under which name that is for those that are one with another."""
    stored: dict[str, Tensor] = {}
    tied: dict[str, str] = {}
    names: dict[Any, str] = {}
    for name, value in weights.items():
        place = (value.data_ptr(), value.shape, value.stride(), value.dtype) if value.numel() else name
        first = names.setdefault(place, name)
        if first == name:
            stored[name] = value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        else:
            tied[name] = first
    return stored, tied
