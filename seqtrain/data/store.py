"""Tokenised sentence pairs as memory-mapped Arrow files, made once and found again by what they were made from."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from seqtrain.errors import UserError

FORMAT = 1
"""Counted up whenever the content of the files changes, so that older ones are not taken for new ones."""
ROWS = "rows.arrow"


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

    The entry is made beside its place and renamed, so there is never half of one, and of two processes that make the
    same one, the later throws its own away.

    Raises:
        UserError: the disk is full or cannot be written.
    """
    place = cache / key[:32]
    if place.is_dir():
        return place
    with disk_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".making-", dir=cache))
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
    return place


def write_text(path: Path, text: str) -> None:
    """Writes a whole file or none: beside its place, then renamed."""
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
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
        values = np.fromiter((i for row in rows for i in row), dtype=np.int32, count=int(offsets[-1]))
        return cls(values, offsets)

    def padded(self, index: np.ndarray, *, before: int | None = None, after: int | None = None) -> np.ndarray:
        """Some rows as a matrix, padded with 0 behind.

        Args:
            index: (B,) rows.
            before: an id to put in front of every row.
            after: an id to put behind every row.

        Returns:
            (B, longest) int64.
        """
        starts, ends = self.offsets[index], self.offsets[index + 1]
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


def write_rows(folder: Path, columns: dict[str, list[str] | Ragged | np.ndarray], facts: dict[str, Any]) -> None:
    """Writes columns as one Arrow file that `datasets` can open, and facts about them beside it."""
    import pyarrow as pa

    table = pa.table({name: _arrow(column) for name, column in columns.items()})
    # A single record batch keeps every column contiguous, so that it is used straight from the mapped file.
    with pa.OSFile(str(folder / ROWS), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    (folder / "facts.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _arrow(column: list[str] | Ragged | np.ndarray) -> Any:
    import pyarrow as pa

    if isinstance(column, Ragged):
        return pa.LargeListArray.from_arrays(pa.array(column.offsets, pa.int64()), pa.array(column.values, pa.int32()))
    return pa.array(column, pa.large_string() if isinstance(column, list) else None)


class Rows:
    """The rows of a cache entry, memory-mapped.

    Args:
        folder: what `write_rows` filled.

    Raises:
        UserError: the entry is broken.
    """

    def __init__(self, folder: Path) -> None:
        from datasets import Dataset

        try:
            self.facts: dict[str, Any] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
            self.dataset = Dataset.from_file(str(folder / ROWS))
        except Exception as error:  # Arrow, JSON and the file system each have their own
            raise UserError(f"the cache {folder} is broken: {error}", "Delete the folder; it is made again.") from error

    def __len__(self) -> int:
        return len(self.dataset)

    def ragged(self, name: str) -> Ragged:
        """A column of token ids, not copied."""
        column = self.dataset.data.column(name)
        if column.num_chunks == 0:
            return Ragged.of([])
        if column.num_chunks > 1:
            column = column.combine_chunks()
        array = column.chunk(0) if hasattr(column, "chunk") else column
        return Ragged(array.values.to_numpy(zero_copy_only=True), array.offsets.to_numpy(zero_copy_only=True))

    def numbers(self, name: str) -> np.ndarray:
        """(rows,) a column of numbers."""
        return self.dataset.data.column(name).to_numpy()

    def texts(self, name: str) -> list[str]:
        """A column of text."""
        return self.dataset.data.column(name).to_pylist()
