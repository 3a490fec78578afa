"""Arrow files that are used where they lie on the disk, however large they are: token ids, lengths and texts."""

import json
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from seqtrain.data.store import Ragged
from seqtrain.errors import UserError

ROWS, FACTS, LENGTHS = "rows.arrow", "facts.json", "lengths.int32"
SMALL = 32 << 20
"""Pages of a file of fewer bytes are not given back: they would be asked for again at once."""


def mapped(path: Path) -> np.ndarray:
    """The bytes of a file, which is read where and when they are looked at; of an empty one an empty array."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return np.empty(0, dtype=np.uint8)
        return np.frombuffer(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ), dtype=np.uint8)


def give_back(array: np.ndarray) -> None:
    """Lets go of the pages of an array of `mapped`: it stays what it is, and the process does not hold its file.

    They count as the process's resident memory otherwise, though the kernel can take them at any time.
    """
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview) and isinstance(base.obj, mmap.mmap) and len(base.obj) >= SMALL:
        base.obj.madvise(mmap.MADV_DONTNEED)


class Rows:
    """The rows of a cache entry: an Arrow stream of record batches of any size, and facts about it.

    Args:
        folder: an entry that has `ROWS` and `FACTS`, and `LENGTHS` if these are asked for.

    Raises:
        UserError: the entry is broken.
    """

    def __init__(self, folder: Path) -> None:
        import pyarrow as pa

        self.folder = folder
        try:
            self.facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            self.bytes = mapped(folder / ROWS)
            self.buffer = pa.py_buffer(self.bytes)
            self.batches = list(pa.ipc.open_stream(self.buffer))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._broken(error) from error
        self._opened = {name: os.stat(folder / name) for name in (ROWS, LENGTHS) if (folder / name).exists()}
        self.first = np.cumsum([0, *(batch.num_rows for batch in self.batches)])
        give_back(self.bytes)
        if len(self) != self.facts.get("rows"):
            raise self._broken(f"{ROWS} has {len(self)} of {self.facts.get('rows')} rows")

    def __reduce__(self) -> tuple[Any, ...]:
        return Rows, (self.folder,)

    def __len__(self) -> int:
        return int(self.first[-1])

    def check(self) -> None:
        """Refuses files that were cut short since they were opened: the system would kill whoever read what is mapped.

        One that was removed, or replaced, is still there for those that have it open.

        Raises:
            UserError: one was.
        """
        for name, opened in self._opened.items():
            try:
                now = os.stat(self.folder / name)
            except OSError:
                continue
            same = (now.st_dev, now.st_ino) == (opened.st_dev, opened.st_ino)
            if same and now.st_size < opened.st_size:
                short = f"{now.st_size:,} bytes of {opened.st_size:,}"
                raise UserError(
                    f"{self.folder / name} was cut short while it was read: {short}",
                    f"Delete {self.folder}, which is made again, and go on with the run: resume=RUN.",
                    code=1,
                )

    def lengths(self) -> np.ndarray:
        """(rows,) int32 tokens of the longer side, end of sentence included; mapped."""
        try:
            found = mapped(self.folder / LENGTHS).view(np.int32)
        except (OSError, ValueError) as error:
            raise self._broken(error) from error
        if len(found) != len(self):
            raise self._broken(f"{LENGTHS} has {len(found)} of {len(self)} rows")
        return found

    def ragged(self, name: str) -> "MappedRagged":
        """A column of token ids, not copied."""
        return MappedRagged(self, name)

    def texts(self, name: str) -> "Texts":
        """A column of text, not copied."""
        return Texts(self, name)

    def _broken(self, why: object) -> UserError:
        return UserError(f"the cache {self.folder} is broken: {why}", "Delete the folder; it is made again.")


class MappedRagged(Ragged):
    """A column of token ids in all record batches of a file, taken from the mapped file itself.

    `values` is the whole file, seen as 32-bit numbers; `spans` knows where in it a row lies.

    Args:
        rows: the file.
        name: of the column: large lists of int32.
    """

    def __init__(self, rows: Rows, name: str) -> None:
        whole = rows.bytes[: len(rows.bytes) // 8 * 8]
        super().__init__(values=whole.view(np.int32), offsets=whole.view(np.int64))
        buffers = [batch.column(name).buffers() for batch in rows.batches]
        begin = rows.buffer.address if rows.batches else 0
        self._rows, self._name = rows, name
        self._offsets_at = np.array([(found[1].address - begin) // 8 for found in buffers], dtype=np.int64)
        # Rows without any token have no place of their own.
        self._values_at = np.array(
            [(found[3].address - begin) // 4 if found[3] and found[3].size else 0 for found in buffers], dtype=np.int64
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return MappedRagged, (self._rows, self._name)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def lengths(self) -> np.ndarray:
        """(rows,) tokens a row; all of them, in memory."""
        starts, ends = self.spans(np.arange(len(self)))
        return ends - starts

    def spans(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where in `values` some rows (B,) begin and end."""
        batch = np.searchsorted(self._rows.first, index, side="right") - 1
        places = self._offsets_at[batch] + index - self._rows.first[batch]
        values_at = self._values_at[batch]
        return self.offsets[places] + values_at, self.offsets[places + 1] + values_at

    def padded(self, index: np.ndarray, *, before: int | None = None, after: int | None = None) -> np.ndarray:
        """As `Ragged.padded`; the pages that were read are given back: a kernel may map up to 2 MiB for one row."""
        matrix = super().padded(index, before=before, after=after)
        give_back(self._rows.bytes)
        return matrix


class Texts(Sequence[str]):
    """A column of text in all record batches of a file, taken from the mapped file.

    Args:
        rows: the file.
        name: of the column.
    """

    def __init__(self, rows: Rows, name: str) -> None:
        self._rows = rows
        self._columns = [batch.column(name) for batch in rows.batches]

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"text {index} of {len(self)}")
        index %= len(self)
        self._rows.check()
        batch = int(np.searchsorted(self._rows.first, index, side="right")) - 1
        return str(self._columns[batch][index - int(self._rows.first[batch])].as_py())

    def __iter__(self) -> Iterator[str]:
        return self.spread(len(self))

    def spread(self, most: int) -> Iterator[str]:
        """All texts in their order, or so many of them, evenly spread: those number k len(self) / most."""
        most = min(most, len(self))
        for column, begin in zip(self._columns, self._rows.first.tolist(), strict=False):
            self._rows.check()
            first, last = (-(-row * most // len(self)) for row in (begin, begin + len(column)))
            yield from column.take(np.arange(first, last) * len(self) // most - begin).to_pylist()
            give_back(self._rows.bytes)
