"""A user's own sentence pairs: two line-aligned texts, or one TSV, JSONL or Parquet file, a split."""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqtrain.data.corpora.base import SPLITS, Corpus, Pair, Split, digest_of
from seqtrain.data.corpora.digests import file_digest
from seqtrain.data.lines import aligned, empty_side, is_blank, lines_of, no_file, shown
from seqtrain.errors import UserError

Files = str | Sequence[str] | None
"""One file, or two texts."""
FORMATS = (".tsv", ".jsonl", ".parquet")
FORMATS_HINT = (
    "Give two line-aligned texts, data.{split}=[text.de,text.en], or one file, data.{split}=pairs.tsv: "
    f"{', '.join(FORMATS)} (.gz behind the first two)."
)
BYTES_CHECKED_FIRST = 64 << 20
"""Files of up to this many bytes together are read in whole before anything else is done."""
ROWS_AT_ONCE = 10_000
BUFFER = 1 << 20
"""Bytes of a Parquet file's column that are read at a time."""


class PairFiles:
    """Sentence pairs in files.

    Args:
        files: split to one file, or to two texts (source, target); a split without any is not there.
        source: key (JSONL) or column (Parquet) of the sentences that are translated from.
        target: key or column of the sentences that are translated to.
        cache: folder in which digests of large files are kept.

    Raises:
        UserError: a file is missing or empty, or it is not known how to read it; in `read` also: line counts differ,
            a line is malformed, not UTF-8 or empty on a side.
    """

    def __init__(self, *, files: Mapping[Split, Files], source: str, target: str, cache: Path | None = None) -> None:
        named = {split: [names] if isinstance(names, str) else names for split, names in files.items() if names}
        self._files = {split: [Path(name).expanduser() for name in names] for split, names in named.items()}
        self.source, self.target, self._cache = source, target, cache
        for split, paths in self._files.items():
            self._check_files(split, paths)

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that files are named for."""
        return tuple(split for split in SPLITS if split in self._files)

    @property
    def bytes(self) -> int:
        """Size of all the files."""
        return sum(path.stat().st_size for paths in self._files.values() for path in paths)

    def digest(self, split: Split) -> str:
        """sha256 of the files, their formats and the names that they are read by."""
        paths = self._paths(split)
        how = json.dumps([[file_format(path) for path in paths], self.source, self.target]).encode()
        return digest_of([how, *(file_digest(path, self._cache).encode() for path in paths)])

    def read(self, split: Split) -> Iterator[Pair]:
        """Source sentences with their targets in file order."""
        paths = self._paths(split)
        names = [str(path) for path in paths]
        if len(paths) == 2:
            sources, targets = (lines_of(path, name) for path, name in zip(paths, names, strict=True))
            return aligned(sources, targets, (names[0], names[1]))
        if file_format(paths[0]) == ".parquet":
            return _parquet(paths[0], (self.source, self.target))
        lines = lines_of(paths[0], names[0])
        if file_format(paths[0]) == ".tsv":
            return tsv_pairs(lines, names[0])
        keys = (self.source, self.target)
        return (jsonl_pair(line, names[0], number, keys) for number, line in enumerate(lines, start=1))

    def _paths(self, split: Split) -> list[Path]:
        if split not in self._files:
            raise UserError(f"data.{split} names no file", FORMATS_HINT.format(split=split))
        return self._files[split]

    def _check_files(self, split: Split, paths: Sequence[Path]) -> None:
        hint = FORMATS_HINT.format(split=split)
        shards = [path for path in paths if file_format(path) in FORMATS]
        if len(paths) > 1 and shards:
            several = " Several files of pairs are streamed: set data.streaming=true." if split == "train" else ""
            raise UserError(
                f"data.{split} names {len(paths)} files, but {shards[0]} has pairs of its own",
                f"Give that file alone, or two line-aligned texts.{several}",
            )
        if len(paths) > 2:
            raise UserError(f"data.{split} names {len(paths)} files", hint)
        if len(paths) == 1 and file_format(paths[0]) not in FORMATS:
            raise UserError(f"data.{split} names one file, {paths[0]}, of a format that is not known", hint)
        for path in paths:
            if not path.is_file():
                what = "is a folder" if path.is_dir() else "is not there"
                raise UserError(f"data.{split}: {path} {what}", "Relative paths start where the command runs.")
            if not path.stat().st_size:
                raise UserError(f"{path} is empty", "It must hold one sentence or pair a line.")


class FilesInstead:
    """A corpus of which the splits that files are named for are those of the files.

    Args:
        files: what takes its place.
        corpus: where the other splits come from.
    """

    def __init__(self, files: PairFiles, corpus: Corpus) -> None:
        self._files, self._corpus = files, corpus

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits of either."""
        return tuple(split for split in SPLITS if split in (*self._files.splits, *self._corpus.splits))

    def digest(self, split: Split) -> str:
        """That of the split where it is."""
        return self._of(split).digest(split)

    def read(self, split: Split) -> Iterator[Pair]:
        """The pairs of the split where it is."""
        return self._of(split).read(split)

    def _of(self, split: Split) -> Corpus:
        return self._files if split in self._files.splits else self._corpus


def preflight(
    *,
    needed: Sequence[Split],
    source: str = "source",
    target: str = "target",
    train: Files = None,
    val: Files = None,
    test: Files = None,
) -> None:
    """Raises the `UserError` that opening the data would end in; the content of very large files is not read."""
    corpus = PairFiles(files={"train": train, "val": val, "test": test}, source=source, target=target)
    for split in needed:
        corpus._paths(split)
    if corpus.bytes <= BYTES_CHECKED_FIRST:
        for split in corpus.splits:
            deque(corpus.read(split), maxlen=0)


def file_format(path: Path) -> str:
    """The ending of a file's name, without the `.gz` behind it."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return suffixes[-2] if len(suffixes) > 1 and suffixes[-1] == ".gz" else (suffixes or [""])[-1]


def tsv_pairs(lines: Iterable[str], path: str) -> Iterator[Pair]:
    """Sentence pairs out of lines with one tab each.

    Raises:
        UserError: a line has more or fewer columns, or an empty one.
    """
    return (tsv_pair(line, path, number) for number, line in enumerate(lines, start=1))


def tsv_pair(line: str, path: str, number: int) -> Pair:
    """The pair of one line; raises as `tsv_pairs`."""
    columns = line.split("\t")
    if len(columns) != 2:
        raise UserError(
            f"{path}, line {number} has {len(columns)} columns, not 2: {shown(line)}",
            "A line is a source sentence, a tab and its translation.",
        )
    return _filled(columns[0], columns[1], ("first column", "second column"), path, number)


def jsonl_pair(line: str, path: str, number: int, keys: tuple[str, str]) -> Pair:
    """The pair of one line, an object with two keys.

    Raises:
        UserError: it is none, or a key is missing or empty.
    """
    try:
        record = json.loads(line)
    except ValueError as error:
        raise UserError(f"{path}, line {number} is not JSON: {error}: {shown(line)}") from None
    except RecursionError:
        raise UserError(f"{path}, line {number} is JSON that is nested too deep: {shown(line)}") from None
    if not isinstance(record, dict):
        raise UserError(f"{path}, line {number} is no JSON object: {shown(line)}")
    for key in keys:
        if not isinstance(record.get(key), str):
            found = f"only {', '.join(record)}" if key not in record else f"but it is no text: {record[key]!r}"
            raise UserError(f"{path}, line {number} has no {key!r}, {found}", "Set data.source and data.target.")
    source, target = keys
    return _filled(record[source], record[target], (repr(source), repr(target)), path, number)


def _filled(source: str, target: str, names: tuple[str, str], path: str, number: int) -> Pair:
    for side, name in zip((source, target), names, strict=True):
        if is_blank(side):
            raise UserError(f"{path}, line {number}: {name} is empty", "Remove the pair, or fill the side.")
    return source, target


def _parquet(path: Path, columns: tuple[str, str]) -> Iterator[Pair]:
    row = 0
    for row, pair in enumerate(parquet_rows(path, columns), start=1):
        yield text_row(path, row, pair, columns)
    if not row:
        raise UserError(f"{path} is empty", "It must hold one pair a row.")


def parquet_rows(path: Path, columns: tuple[str, str], *, first: int = 0) -> Iterator[tuple[Any, ...]]:
    """The values of two columns from row `first` (0 is the first) on; groups of rows before it are not read.

    Raises:
        UserError: it is no Parquet file, is broken, or lacks a column.
    """
    from pyarrow import ArrowException, parquet

    try:
        # Neither a whole group of rows nor what comes next is held.
        with parquet.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as file:
            names = file.schema_arrow.names
            for name in columns:
                if name not in names:
                    message = f"{path} has no column {name!r}, only {', '.join(names)}"
                    raise UserError(message, "Set data.source and data.target.")
            groups = list(range(file.metadata.num_row_groups))
            while groups and first >= (rows := file.metadata.row_group(groups[0]).num_rows):
                first -= rows
                del groups[0]
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, row_groups=groups, columns=list(columns)):
                some = batch.slice(min(first, len(batch)))
                first -= len(batch) - len(some)
                yield from zip(*(some.column(name).to_pylist() for name in columns), strict=True)
    except FileNotFoundError:
        raise no_file(path) from None
    except (ArrowException, OSError) as error:
        raise UserError(f"{path} is not a Parquet file that can be read: {error}") from error


def text_row(path: Path, row: int, pair: tuple[Any, ...], columns: tuple[str, str]) -> Pair:
    """The pair of a row (1 is the first).

    Raises:
        UserError: a side is empty or no text.
    """
    for value, name in zip(pair, columns, strict=True):
        if value is None or (isinstance(value, str) and is_blank(value)):
            raise empty_side(f"{path} (column {name})", row, unit="row")
        if not isinstance(value, str):
            raise UserError(f"{path}, row {row}: {name!r} is no text: {shown(str(value))}")
    return pair[0], pair[1]
