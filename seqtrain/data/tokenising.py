"""Sentence pairs into memory-mapped Arrow, and that into token ids, a part at a time and on all cores."""

import hashlib
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from seqtrain.data.corpora.base import Pair
from seqtrain.data.lines import check_characters
from seqtrain.data.mapped import FACTS, LENGTHS, ROWS, Rows, give_back
from seqtrain.data.store import Ragged
from seqtrain.data.tokenization import UNKNOWN, TextTokenizer
from seqtrain.errors import UserError

log = logging.getLogger(__name__)

AT_ONCE = 4096
"""Pairs that are tokenised together."""
BATCH = 1 << 16
"""Rows of a record batch."""
ALONE = 1 << 16
"""A worker of its own is begun for so many pairs: below that, beginning it takes longer than what it does."""
SIDES = ("source", "target")
TEXTS = ("source_text", "target_text")


def write_texts(folder: Path, pairs: Iterator[Pair], *, name: str) -> None:
    """Writes the pairs of a split into an entry of the cache: text, and the digest of all of it.

    Args:
        folder: of the entry.
        pairs: of the split.
        name: of the split, for messages.

    Raises:
        UserError: what the corpus complains of, text that is no Unicode, or there is no pair.
    """
    import pyarrow as pa

    schema = pa.schema([(name, pa.large_string()) for name in TEXTS])
    with pa.OSFile(str(folder / ROWS), "wb") as file, pa.ipc.new_stream(file, schema) as stream:
        begin = 0
        while some := list(islice(pairs, BATCH)):
            try:
                columns = [pa.array(side, pa.large_string()) for side in zip(*some, strict=True)]
            except UnicodeEncodeError:
                for number, pair in enumerate(some, begin + 1):
                    check_characters(pair, f"{name}, pair {number}")
                raise
            stream.write_batch(pa.record_batch(columns, schema=schema))
            begin += len(some)
    if not begin:
        raise UserError(f"{name} is empty", "It must hold one pair at least.")
    _write_facts(folder, {"rows": begin})
    _write_facts(folder, {"rows": begin, "text": text_digest(Rows(folder))})


def _write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes what is known of the rows of an entry."""
    (folder / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def text_digest(rows: Rows) -> str:
    """sha256 (hex) of sentence pairs, whatever files they came from.

    It is that of the length in bytes of all source sentences, these with line feeds between, and the same of the
    targets.
    """
    from pyarrow import compute

    whole = hashlib.sha256()
    for name in TEXTS:
        columns = [batch.column(name) for batch in rows.batches]
        size = sum(compute.sum(compute.binary_length(column)).as_py() for column in columns)
        whole.update((size + len(rows) - 1).to_bytes(8, "little"))
        for number, column in enumerate(columns):
            whole.update(b"\n" if number else b"")
            whole.update("\n".join(column.to_pylist()).encode())
            give_back(rows.bytes)
    return whole.hexdigest()


def tokenise(folder: Path, texts: Rows, tokenizers: Sequence[TextTokenizer]) -> None:
    """Writes the token ids of an entry's texts into another: ids and lengths are the same for any number of workers.

    Args:
        folder: of the new entry.
        texts: of the entry that `write_texts` wrote.
        tokenizers: of the source and of the target sentences.

    Raises:
        UserError: a worker was ended from outside.
    """
    import datasets

    workers = min(cores(), len(texts) // ALONE)
    columns = datasets.LargeList(datasets.Value("int32"))
    rows = datasets.Dataset.from_file(str(texts.folder / ROWS)).with_format("arrow")
    if workers > 1:
        log.info("tokenising %s pairs in %d processes", f"{len(texts):,}", workers)
    with _as_before(bar=workers > 1 and sys.stderr.isatty()):
        try:
            made = rows.map(
                _Encode(tokenizers),
                batched=True,
                batch_size=AT_ONCE,
                writer_batch_size=AT_ONCE,
                num_proc=workers if workers > 1 else None,
                remove_columns=list(TEXTS),
                features=datasets.Features(dict.fromkeys(SIDES, columns)),
                cache_file_name=str(folder / "part.arrow"),
                load_from_cache_file=False,
                new_fingerprint="tokens",
                desc="Tokenising",
            )
        except Exception as error:
            if isinstance(error.__context__, KeyboardInterrupt):  # behind it `datasets` has an error of its own
                raise error.__context__ from None
            if not isinstance(error, RuntimeError) or "died" not in str(error):
                raise
            hint = "There may be too little memory: fewer cores, as by taskset -c 0, need less."
            raise UserError("a process that tokenised was ended from outside", hint, code=1) from error
    parts = [Path(part["filename"]) for part in made.cache_files]
    del made
    _write_facts(folder, {**texts.facts, "unknown": _gather(parts, folder)})


class _Encode:
    """What workers do to some rows; a class, as it is sent to them."""

    def __init__(self, tokenizers: Sequence[TextTokenizer]) -> None:
        self._json = [tokenizer.to_json() for tokenizer in tokenizers]
        self._tokenizers: list[TextTokenizer] | None = None
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tokenizers": None}

    def __call__(self, table: Any) -> Any:
        import pyarrow as pa

        if self._tokenizers is None:
            if os.getpid() != self._process:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that began this one
            self._tokenizers = [TextTokenizer.from_json(text) for text in self._json]
        columns = []
        for name, tokenizer in zip(TEXTS, self._tokenizers, strict=True):
            rows = Ragged.of(tokenizer.encode_all(table.column(name).to_pylist()))
            columns.append(pa.LargeListArray.from_arrays(pa.array(rows.offsets), pa.array(rows.values)))
        return pa.table(columns, names=list(SIDES))


def _gather(parts: Sequence[Path], folder: Path) -> list[int]:
    """Puts what workers wrote into one file, and all lengths into another; returns the unknown tokens of both sides."""
    import pyarrow as pa

    unknown = [0, 0]
    schema = pa.schema([(name, pa.large_list(pa.int32())) for name in SIDES])
    with (
        pa.OSFile(str(folder / ROWS), "wb") as file,
        pa.ipc.new_stream(file, schema) as stream,
        (folder / LENGTHS).open("wb") as lengths,
    ):
        for table in _tables(parts):
            sides = [table.column(name).combine_chunks() for name in SIDES]
            stream.write_batch(pa.record_batch(sides, names=list(SIDES)))
            sizes = [np.diff(side.offsets.to_numpy()) for side in sides]
            lengths.write((np.maximum(*sizes) + 1).astype(np.int32).tobytes())
            for number, side in enumerate(sides):
                unknown[number] += int(np.count_nonzero(side.values.to_numpy() == UNKNOWN))
    return unknown


def _tables(parts: Sequence[Path]) -> Iterator[Any]:
    """The rows of some files, a record batch's worth at a time; a file that was read is removed."""
    import pyarrow as pa

    for part in parts:
        with pa.memory_map(str(part)) as file:
            batches = pa.ipc.open_stream(file)
            while some := list(islice(batches, BATCH // AT_ONCE)):
                yield pa.Table.from_batches(some)
        part.unlink()


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _as_before(*, bar: bool) -> Iterator[None]:
    """Shows a progress bar or none, and takes back what `datasets` does to the environment.

    For its workers it forbids the threads of `tokenizers`, which must not be there when a process is forked. It puts
    back its own view of the environment only: the library would go on without threads.
    """
    import datasets

    name, logger, hidden = (
        "TOKENIZERS_PARALLELISM",
        logging.getLogger("datasets"),
        datasets.are_progress_bars_disabled(),
    )
    environment, value, level = os.environ, os.environ.get(name), logger.level
    logger.setLevel(logging.ERROR)  # it would tell of that variable
    if not bar:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if not hidden:
            datasets.enable_progress_bars()
        os.environ = environment  # noqa: B003
        os.environ[name] = value or ""
        if value is None:
            del os.environ[name]
