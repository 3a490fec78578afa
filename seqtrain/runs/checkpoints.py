"""Checkpoints that are whole or not there, hold plain data and are read as nothing else."""

import contextlib
import errno
import hashlib
import os
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO
from pytorch_lightning.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from seqtrain.errors import UserError
from seqtrain.runs.files import replacing, unwritable
from seqtrain.runs.record import LAST, PREVIOUS

_SEAL = b"seqtrain sha256 "
_SEALED = len(_SEAL) + 64
_NO_COMMENT = bytes(2)
"""What an archive ends with that has no comment: the length of one."""
_END = 22
"""Bytes of the record that such an archive ends with."""


class AtomicCheckpointIO(CheckpointIO):
    """How a `Trainer` writes and reads checkpoints: `Trainer(plugins=[AtomicCheckpointIO()])`.

    Written beside and renamed; the `last.ckpt` before is kept as `previous.ckpt`. The file, a zip archive, ends with a
    checksum of all that is before it, which is compared before anything is loaded; loaded with `weights_only=True`,
    whatever the caller asks.
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
            _seal(file)
            if target.name == LAST:
                _keep_previous(target)

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
    return _read(path, map_location=map_location)


def step_of(path: Path) -> int:
    """Reads a checkpoint through, without keeping it: the optimizer steps that had been taken when it was written.

    Raises:
        UserError: as `read_checkpoint`.
    """
    return int(_read(path, map_location="cpu", mmap=True).get("global_step", 0))


def newest_good(paths: Sequence[Path]) -> tuple[Path, dict[Path, str]]:
    """The first of several checkpoints that can be used, and what is wrong with those before it.

    Args:
        paths: checkpoints of a run that are there, the newest first.

    Raises:
        UserError: none of them can be used; says why, of each.
    """
    wrong: dict[Path, str] = {}
    for path in paths:
        try:
            step_of(path)
        except UserError as error:
            if error.code == 1:  # it may be whole
                raise
            wrong[path] = str(error).partition("\n")[0]
        else:
            return path, wrong
    raise UserError(
        f"there is no checkpoint to go on from: {'; '.join(wrong.values())}",
        "Train it again: in another directory, or remove this one first.",
    )


def agreed(trainer: pl.Trainer, model: pl.LightningModule, checkpoint: Path | None) -> Path | None:
    """The checkpoint that the first process has found, on all of them: files may look different to each."""
    launcher = trainer.strategy.launcher
    if trainer.world_size == 1:
        return checkpoint

    def ask() -> Path | None:
        trainer.strategy.connect(model)  # which is told how it will be spread
        trainer.strategy.setup_environment()
        return trainer.strategy.broadcast(checkpoint)

    if launcher is None:  # somebody else has started all processes
        return ask()
    if not isinstance(launcher, _SubprocessScriptLauncher):
        return checkpoint
    found: Path | None = launcher.launch(ask, trainer=trainer)
    return found


def set_aside(path: Path, why: str) -> None:
    """Has a checkpoint no longer be one that a run goes on from; the reason stands behind its name."""
    with contextlib.suppress(OSError):
        path.replace(path.with_name(f"{path.name}.{why}"))


def _read(path: Path, **options: Any) -> dict[str, Any]:
    hint = "Use another checkpoint of the run (checkpoints/best.ckpt, checkpoints/last.ckpt) or train it again."
    if not path.is_file():
        raise UserError(f"there is no checkpoint at {path}", hint)
    try:
        damage = _damage(path)
    except OSError as error:
        if error.errno == errno.EINVAL:  # from a place that is in no whole file
            raise UserError(f"{path} is cut short or damaged", hint) from error
        raise UserError(f"{path} cannot be read: {error.strerror or error}", "Try again.", code=1) from error
    except MemoryError:
        raise
    except Exception as error:  # the reader of archives expects them to be whole, and raises whatever comes
        raise UserError(f"{path} is not a checkpoint, or is cut short or damaged: {error}", hint) from error
    if damage is not None:
        raise UserError(f"{path} is damaged: {damage}", hint)
    try:
        content = torch.load(path, weights_only=True, **options)
    except pickle.UnpicklingError as error:
        reason = "it holds more than tensors and plain containers, and could run code when it is loaded"
        raise UserError(f"refused to load {path}: {reason}", hint) from error
    except (RuntimeError, KeyError, ValueError) as error:
        raise UserError(f"{path} is not a checkpoint: {error}", hint) from error
    if not isinstance(content, dict) or "state_dict" not in content:
        raise UserError(f"{path} holds no checkpoint of a training (no `state_dict`)", hint)
    return content


def _seal(file: BinaryIO) -> None:
    """Ends an archive with a comment: the SHA-256 of everything before it.

    The archive's own checksums are of its records. They leave out its directory, in which one changed bit can make a
    record another one.
    """
    file.seek(-len(_NO_COMMENT), os.SEEK_END)
    file.write(_SEALED.to_bytes(len(_NO_COMMENT), "little"))
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    file.seek(0, os.SEEK_END)
    file.write(_SEAL + digest.encode())


def _damage(path: Path) -> str | None:
    """What is wrong with an archive; raises anything at all where it is none."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _SEALED))
        seal = file.read()
        if not seal.startswith(_SEAL):
            return _damage_unsealed(path, seal)
        digest, left = hashlib.sha256(), size - _SEALED
        file.seek(0)
        while left:
            block = file.read(min(left, 1 << 20))
            digest.update(block)
            left -= len(block)
    return None if seal == _SEAL + digest.hexdigest().encode() else "its checksum does not match"


def _damage_unsealed(path: Path, end: bytes) -> str | None:
    """The same of an archive that has only its own checksums, and no comment: `torch.save` wrote it."""
    with zipfile.ZipFile(path) as archive:
        record = archive.testzip()
    if record is not None:
        return f"the checksum of {record} does not match"
    ends = end[-_END:].startswith(b"PK\5\6") and end.endswith(_NO_COMMENT)
    return None if ends else "its end is not that of an archive"


def _keep_previous(last: Path) -> None:
    """Has the checkpoint that is about to be replaced stay, as the one before; at every moment one of them is there."""
    if last.is_file():
        previous = last.with_name(PREVIOUS)
        previous.unlink(missing_ok=True)
        try:
            os.link(last, previous)
        except OSError:  # a file system without links
            os.replace(last, previous)


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
