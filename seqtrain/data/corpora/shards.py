"""Files of sentence pairs as shards, which can be read on from any row: what a stream of pairs consists of."""

import glob
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from typing import IO, Any, Protocol

from seqtrain.data.corpora.base import Pair, digest_of
from seqtrain.data.corpora.pairs import FORMATS, file_format, jsonl_pair, parquet_rows, text_row, tsv_pair
from seqtrain.data.lines import decoded_line, empty_side, is_blank, no_file
from seqtrain.errors import UserError

Raw = Any
"""A row as it was read, not looked into yet."""
Offsets = tuple[int, ...]
"""The bytes of each of a shard's files that have been read; nothing where a format has no such places."""

HINT = (
    "Give shards of pairs, 'data.train=shards/*.jsonl' or data.train=[a.tsv,b.tsv] "
    f"({', '.join(FORMATS)}, .gz behind the first two), or line-aligned texts, 'data.train=[shards/*.de,shards/*.en]'."
)
WILD = re.compile(r"\*+|\?|\[[^]]*\]")


class Shard(Protocol):
    """A part of a corpus, in an order of its own."""

    name: str
    """What messages call it."""
    label: str
    """The same wherever it lies."""
    paths: list[Path]
    """Its files, where it consists of some."""
    size: int
    """In bytes."""

    def read(self, row: int, offsets: Offsets) -> Iterator[tuple[Raw, Offsets]]:
        """The rows from number `row` on (0 is the first), each with the place behind it.

        Args:
            row: the first row.
            offsets: what stood beside the row before it; nothing where the rows before it have to be counted.

        Raises:
            UserError: it is not there, or cannot be read any further.
        """
        ...

    def pair(self, raw: Raw, number: int) -> Pair:
        """The sentences of a row; `number` (1 is the first) is its own, for messages.

        Raises:
            UserError: it is malformed, or empty on a side.
        """
        ...


class LineShard:
    """A text of which every line is a pair, or two of which line n of one is the translation of line n of the other.

    Args:
        paths: of the text, or of source and target.
        parse: makes a pair of the lines, one of each text, and of their number.
    """

    def __init__(self, paths: Sequence[Path], parse: Callable[[Sequence[str], int], Pair]) -> None:
        self.paths = list(paths)
        self.name = " and ".join(map(str, paths))
        self.label = " ".join(path.name for path in paths)
        self.size = sum(path.stat().st_size for path in paths)
        self._parse = parse

    def read(self, row: int, offsets: Offsets) -> Iterator[tuple[Raw, Offsets]]:
        """Lines as bytes; what is compressed, or comes without offsets, is read from its beginning."""
        done = row
        try:
            with ExitStack() as stack:
                files = [stack.enter_context(_opened(path)) for path in self.paths]
                ends = list(offsets) or [0] * len(files)
                for k, (path, file) in enumerate(zip(self.paths, files, strict=True)):
                    if offsets and path.suffix != ".gz":
                        file.seek(ends[k])
                    else:
                        ends[k] = sum(map(len, islice(file, row)))
                for lines in zip_longest(*files):
                    if None in lines:
                        raise self._uneven(done, lines)
                    done += 1
                    ends = [end + len(line) for end, line in zip(ends, lines, strict=True)]
                    yield lines, tuple(ends)
        except FileNotFoundError as error:
            raise no_file(error.filename or self.name) from None
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            message = f"{self.name}, behind line {done}: it is not a whole gzip file: {error}"
            raise UserError(message, "Fetch the file again.") from error
        except OSError as error:
            raise UserError(f"{self.name}, behind line {done}: cannot be read: {error.strerror or error}") from error

    def pair(self, raw: Raw, number: int) -> Pair:
        """Decodes and splits the lines."""
        texts = [decoded_line(line, str(path), number) for line, path in zip(raw, self.paths, strict=True)]
        return self._parse(texts, number)

    def _uneven(self, done: int, lines: Sequence[bytes | None]) -> UserError:
        ended, longer = self.paths if lines[0] is None else self.paths[::-1]
        return UserError(
            f"line counts differ: {ended} ends behind line {done}, {longer} goes on",
            "Line n of one file must be the translation of line n of the other.",
        )


class ParquetShard:
    """Two columns of a Parquet file.

    Args:
        path: the file.
        columns: of the source and of the target sentences.
    """

    def __init__(self, path: Path, columns: tuple[str, str]) -> None:
        self.path, self.paths, self._columns = path, [path], columns
        self.name, self.label = str(path), path.name
        self.size = path.stat().st_size

    def read(self, row: int, offsets: Offsets) -> Iterator[tuple[Raw, Offsets]]:
        """Values of both columns; groups of rows before the first one are not read."""
        for pair in parquet_rows(self.path, self._columns, first=row):
            yield pair, ()

    def pair(self, raw: Raw, number: int) -> Pair:
        """Refuses what is no text."""
        return text_row(self.path, number, raw, self._columns)


def open_shards(names: str | Sequence[str], *, source: str, target: str) -> list[Shard]:
    """The shards that `data.train` names, in the order of the list and of the alphabet within a pattern.

    Args:
        names: a file or a pattern (`*`, `?`, `[...]`, `**` for folders within folders), or several of them; two that
            are of none of `FORMATS` are line-aligned texts.
        source: key or column of the sentences that are translated from.
        target: key or column of the sentences that are translated to.

    Raises:
        UserError: nothing is there, files are empty or of a format that is not known, or two texts do not match.
    """
    given = [names] if isinstance(names, str) else list(names)
    if not given:
        raise UserError("data.train names no file", HINT)
    formats = {file_format(Path(name)) for name in given}
    if formats <= set(FORMATS):
        return [_pair_shard(path, (source, target)) for name in given for path in _found(name)]
    if len(given) != 2 or formats & set(FORMATS):
        unknown = next(name for name in given if file_format(Path(name)) not in FORMATS)
        raise UserError(f"data.train: {unknown} is of a format that is not known", HINT)
    return [LineShard(paths, partial(_aligned, paths)) for paths in _matched(given[0], given[1])]


def preflight(*, train: str | Sequence[str] | None, source: str, target: str) -> None:
    """Raises the `UserError` that reading the stream would begin with: of its names and of its first pair."""
    shard = open_shards(train or [], source=source, target=target)[0]
    for raw, _ in islice(shard.read(0, ()), 1):
        shard.pair(raw, 1)


def shards_digest(shards: Sequence[Shard], how: Sequence[str], *, sizes: bool = True) -> str:
    """sha256 of the names of shards, of files without their folders, of their sizes, and of how they are read."""
    listed = [[shard.label, shard.size * sizes] for shard in shards]
    return digest_of([json.dumps([list(how), listed]).encode()])


def shards_state(shards: Sequence[Shard], how: Sequence[str]) -> str:
    """sha256 of where the files of shards lie, of their sizes and times, and of how they are read.

    It changes when the content of files may have, but from one machine to another too. Of what has no files it is that
    of names.
    """
    states = [
        [
            shard.label,
            [[str(path.resolve()), (found := path.stat()).st_size, found.st_mtime_ns] for path in shard.paths],
        ]
        for shard in shards
    ]
    return digest_of([json.dumps([list(how), states]).encode()])


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _found(name: str) -> list[Path]:
    path = Path(name).expanduser()
    if not WILD.search(name) or path.is_file():
        paths = [path]
    else:
        paths = [Path(found) for found in sorted(glob.glob(str(path), recursive=True)) if Path(found).is_file()]
        if not paths:
            message = f"data.train={name}: there is no file that this pattern matches"
            raise UserError(message, "Relative paths start where the command runs.")
    for path in paths:
        if path.is_dir():
            raise UserError(f"data.train: {path} is a folder", HINT)
        if not path.is_file():
            raise no_file(path)
        if not path.stat().st_size:
            raise UserError(f"{path} is empty", "It must hold one sentence or pair a line.")
    return paths


def _matched(source: str, target: str) -> list[tuple[Path, Path]]:
    """Texts of two patterns, side by side: what the wildcards stand for is the same in both."""
    sources, targets = _found(source), _found(target)
    left, right = ([_wild(path, name) for path in found] for found, name in ((sources, source), (targets, target)))
    if left != right:
        both = [*zip(sources, left, strict=True), *zip(targets, right, strict=True)]
        lone = next(path for path, wild in both if (wild in left) != (wild in right))
        raise UserError(
            f"data.train: {len(sources)} texts match {source}, {len(targets)} match {target}; {lone} has no partner",
            "What the wildcards stand for must be the same on both sides.",
        )
    return list(zip(sources, targets, strict=True))


def _wild(path: Path, pattern: str) -> tuple[str, ...]:
    parts = WILD.split(str(Path(pattern).expanduser()))
    found = re.fullmatch("(.*?)".join(map(re.escape, parts)), str(path))
    return found.groups() if found else ()


def _pair_shard(path: Path, names: tuple[str, str]) -> Shard:
    if file_format(path) == ".parquet":
        return ParquetShard(path, names)
    if file_format(path) == ".tsv":
        return LineShard([path], partial(_tsv, str(path)))
    return LineShard([path], partial(_jsonl, str(path), names))


# At the top of the module, as worker processes may have to pickle them.
def _tsv(path: str, lines: Sequence[str], number: int) -> Pair:
    return tsv_pair(lines[0], path, number)


def _jsonl(path: str, names: tuple[str, str], lines: Sequence[str], number: int) -> Pair:
    return jsonl_pair(lines[0], path, number, names)


def _aligned(paths: tuple[Path, Path], lines: Sequence[str], number: int) -> Pair:
    for line, path in zip(lines, paths, strict=True):
        if is_blank(line):
            raise empty_side(str(path), number)
    return lines[0], lines[1]
