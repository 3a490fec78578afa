"""Checkpoints that are whole or not there, hold plain data and are read as nothing else."""

import contextlib
import os
import pickle
import zipfile
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO

from seqtrain.errors import UserError
from seqtrain.runs.files import replacing, unwritable


class AtomicCheckpointIO(CheckpointIO):
    """How a `Trainer` writes and reads checkpoints: `Trainer(plugins=[AtomicCheckpointIO()])`.

    Written beside and renamed; the container (a zip archive) holds a checksum of every record, which is compared
    before anything is loaded; loaded with `weights_only=True`, whatever the caller asks.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Writes `checkpoint`, made plain, to `path`.

        Raises:
            UserError: the disk is full; the checkpoint that was at `path` before still is.
            TypeError: something in it is not plain data; the message names where it is.
        """
        target = Path(path)
        content = plain(checkpoint)
        with replacing(target) as file:
            try:
                torch.save(content, file)
            except RuntimeError as error:
                # The writer of torch puts an error of its own before the system's.
                if isinstance(error.__context__, OSError):
                    raise unwritable(target, error.__context__) from error
                raise

    def load_checkpoint(
        self, path: Any, map_location: Any | None = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Reads the checkpoint at `path`.

        Raises:
            UserError: there is none, it is cut short or damaged, no checkpoint, or holds more than plain data.
        """
        return read_checkpoint(Path(path), map_location=map_location)

    def remove_checkpoint(self, path: Any) -> None:
        """Removes the checkpoint at `path` if there is one."""
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)


def read_checkpoint(path: Path, *, map_location: Any | None = "cpu") -> dict[str, Any]:
    """The content of a checkpoint; see `AtomicCheckpointIO.load_checkpoint`."""
    hint = "Use another checkpoint of the run (checkpoints/best.ckpt, checkpoints/last.ckpt) or train it again."
    if not path.is_file():
        raise UserError(f"there is no checkpoint at {path}", hint)
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
        raise UserError(f"{path} is not a checkpoint, or is cut short: {error}", hint) from error
    if damaged is not None:
        raise UserError(f"{path} is damaged: the checksum of {damaged} does not match", hint)
    try:
        content = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        reason = "it holds more than tensors and plain containers, and could run code when it is loaded"
        raise UserError(f"refused to load {path}: {reason}", hint) from error
    except (RuntimeError, KeyError, ValueError) as error:
        raise UserError(f"{path} is not a checkpoint: {error}", hint) from error
    if not isinstance(content, dict) or "state_dict" not in content:
        raise UserError(f"{path} holds no checkpoint of a training (no `state_dict`)", hint)
    return content


def plain(value: Any, where: str = "checkpoint") -> Any:
    """`value` in terms of what `torch.load(weights_only=True)` reads: tensors, numbers, text and containers of them.

    Paths, enumerations and NumPy's numbers and arrays become text, values and tensors.

    Raises:
        TypeError: there is something else in it; the message says where and what to do.
    """
    if isinstance(value, Enum):
        return plain(value.value, where)
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value if type(value) in _EXACT else _EXACT_OF[_base(value)](value)
    if isinstance(value, torch.Tensor | torch.Size | torch.dtype | torch.device):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, Mapping):
        return {plain(k, where): plain(v, f"{where}.{k}") for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        kind = list if isinstance(value, list) else tuple if isinstance(value, tuple) else set
        return kind(plain(item, f"{where}[{i}]") for i, item in enumerate(value))
    raise TypeError(
        f"{where} holds a {type(value).__module__}.{type(value).__qualname__}, which no checkpoint may hold: give it "
        "as numbers, text, tensors and containers of them (`state_dict()`, `save_hyperparameters(ignore=[...])`)"
    )


_EXACT = {type(None), bool, int, float, str, bytes}
_EXACT_OF: dict[type, Any] = {int: int, float: float, str: str, bytes: bytes}


def _base(value: Any) -> type:
    return next(kind for kind in _EXACT_OF if isinstance(value, kind))
