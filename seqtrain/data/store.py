"""Entries of the cache, made once and found again by what they were made from; rows of token ids in memory."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from seqtrain.errors import UserError

FORMAT = 2
"""Counted up whenever the content of the files changes, so that older ones are not taken for new ones."""
MAKING = f".making-{os.uname().nodename}-"
"""What the name of a folder begins with in which an entry is made: on some shared file systems each machine has locks
of its own, so that none can tell whether another one's is abandoned.
"""


def key_of(**parts: Any) -> str:
    """Name of a cache entry: sha256 (hex) of what it is made from, and of this format."""
    text = json.dumps({"format": FORMAT, **parts}, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turns errors of the file system into one message about `place`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "Make room, or choose another place with data.cache=PATH."
            raise UserError(f"the disk of {place} is full", hint, code=1) from error
        reason = error.strerror or str(error)
        hint = "Choose another place with data.cache=PATH."
        raise UserError(f"{place} cannot be written: {reason}", hint, code=1) from error


def entry(cache: Path, key: str, build: Callable[[Path], None]) -> Path:
    """The folder of a cache entry, which `build` fills when there is none yet.

    The entry is made beside its place and renamed, so there is never half of one. Of two processes that need the same
    one, the later waits for it; where files cannot be locked it makes its own, and throws that away.

    Raises:
        UserError: the disk is full or cannot be written.
    """
    place = cache / key[:32]
    if place.is_dir():
        return place
    with disk_errors(cache), _turn(cache, key[:32]):
        if place.is_dir():
            return place
        _remove_abandoned(cache)
        work = Path(tempfile.mkdtemp(prefix=MAKING, dir=cache))
        claim = _claim(work)
        try:
            build(work)
            work.chmod(0o755)
            try:
                os.rename(work, place)
            except OSError:
                if not place.is_dir():
                    raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
            os.close(claim)
    return place


@contextmanager
def _turn(cache: Path, name: str) -> Iterator[None]:
    """Lets one process at a time make an entry."""
    cache.mkdir(parents=True, exist_ok=True)
    lock = cache / f".{name}.lock"
    with lock.open("w") as file:
        with suppress(OSError):  # not every network file system has locks
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Those that wait have it open, and find the entry when they get their turn.
            lock.unlink(missing_ok=True)


def _claim(work: Path) -> int:
    """Locks a folder for as long as this process lives, where folders can be locked; returns what to close."""
    descriptor = os.open(work, os.O_RDONLY)
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _remove_abandoned(cache: Path) -> None:
    """Removes what processes of this machine that were killed have left of entries: folders that are not locked."""
    for left in cache.glob(f"{MAKING}*"):
        with suppress(OSError):
            if not any(left.iterdir()):
                continue  # it may be there since this moment, and be locked in the next
            descriptor = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Writes a whole file or none: beside its place, then renamed."""
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}-", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


class Ragged:
    """Rows of token ids of different lengths in one flat array.

    Args:
        values: (tokens,) int32.
        offsets: (rows + 1,) where each row begins, and the last one ends.
    """

    def __init__(self, values: np.ndarray, offsets: np.ndarray) -> None:
        self.values = values
        self.offsets = offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(rows,) tokens a row."""
        return np.diff(self.offsets)

    @classmethod
    def of(cls, rows: list[list[int]]) -> "Ragged":
        """Rows of Python integers."""
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        values = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(offsets[-1]))
        return cls(values, offsets)

    @classmethod
    def joined(cls, parts: "Sequence[Ragged]") -> "Ragged":
        """The rows of some, one behind the other."""
        if not parts:
            return cls.of([])
        offsets = np.concatenate([[0], np.cumsum(np.concatenate([part.lengths for part in parts]))])
        return cls(np.concatenate([part.values for part in parts]), offsets)

    def rows(self, index: np.ndarray) -> "Ragged":
        """Copies of some rows (B,), in this order."""
        starts, lengths = self.offsets[index], self.lengths_of(index)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Ragged(self.values[places], offsets)

    def spans(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where in `values` some rows (B,) begin and end."""
        return self.offsets[index], self.offsets[index + 1]

    def lengths_of(self, index: np.ndarray) -> np.ndarray:
        """(B,) tokens of some rows."""
        starts, ends = self.spans(index)
        return ends - starts

    def padded(self, index: np.ndarray, *, before: int | None = None, after: int | None = None) -> np.ndarray:
        """Some rows as a matrix, padded with 0 behind.

        Args:
            index: (B,) rows.
            before: an id to put in front of every row.
            after: an id to put behind every row.

        Returns:
            (B, longest) int64.
        """
        starts, ends = self.spans(index)
        lengths = ends - starts
        first = 0 if before is None else 1
        width = int(lengths.max(initial=0)) + first + (after is not None)
        matrix = np.zeros((len(index), width), dtype=np.int64)
        columns = np.arange(int(lengths.max(initial=0)))
        inside = columns < lengths[:, None]
        matrix[:, first : first + len(columns)][inside] = self.values[(starts[:, None] + columns)[inside]]
        if before is not None:
            matrix[:, 0] = before
        if after is not None:
            matrix[np.arange(len(index)), first + lengths] = after
        return matrix
