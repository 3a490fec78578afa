"""Sentence pairs of a data set of the Hugging Face hub, read as they come: nothing is kept on disk."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from seqtrain.data.corpora.base import SPLITS, Pair, Split, digest_of
from seqtrain.data.corpora.hub import HUB_SPLITS, reachable
from seqtrain.data.corpora.shards import Offsets, Raw, Shard
from seqtrain.data.lines import empty_side, is_blank, shown
from seqtrain.errors import UserError

HINT = "Give data.hub=NAME as on the hub, or a folder that datasets.load_dataset opens; data.hub_config=NAME with it."
PAIRED = "translation"
"""The column in which data sets for translation have an object, language to sentence."""
ROWS_AT_ONCE = 1000


class HubStream:
    """The shards of a data set's training split, and its other splits.

    Args:
        hub: name on the hub, or a local folder of JSONL, CSV or Parquet files that `datasets.load_dataset` opens.
        config: which of its configurations.
        source: column that is translated from, or key in the column `translation`.
        target: column that is translated to; likewise.

    Raises:
        UserError: it cannot be opened, or has no training split.
    """

    def __init__(self, *, hub: str, config: str | None, source: str, target: str) -> None:
        import datasets

        datasets.disable_progress_bars()
        self.hub, self.names = hub, (source, target)
        self._digests: dict[Split, str] = {}
        self._builder = _explained(hub, lambda: datasets.load_dataset_builder(hub, name=config))
        self._files = getattr(self._builder.config, "data_files", None) or {}

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that there are, but for the training split."""
        return tuple(split for split in SPLITS if split != "train" and HUB_SPLITS[split] in self._files)

    def shards(self) -> list[Shard]:
        """The parts of the training split, each of which can be read on from any row."""
        rows = self._rows("train")
        files = [str(file) for file in self._files.get(HUB_SPLITS["train"], ())]
        number = rows.num_shards
        names = files if len(files) == number else [f"{self.hub}, shard {k + 1} of {number}" for k in range(number)]
        return [HubShard(rows.shard(num_shards=number, index=k), name, self.names) for k, name in enumerate(names)]

    def digest(self, split: Split) -> str:
        """sha256 of the split's text, which is read for it once."""
        if split not in self._digests:
            self._digests[split] = digest_of(side.encode() for pair in self.read(split) for side in pair)
        return self._digests[split]

    def read(self, split: Split) -> Iterator[Pair]:
        """The pairs of a split, in its order."""
        shard = HubShard(self._rows(split), f"{self.hub}:{HUB_SPLITS[split]}", self.names)
        for number, (raw, _) in enumerate(shard.read(0, ()), start=1):
            yield shard.pair(raw, number)

    def _rows(self, split: Split) -> Any:
        return _explained(self.hub, lambda: self._builder.as_streaming_dataset(split=HUB_SPLITS[split]))


class HubShard:
    """Rows that `datasets` streams.

    Its own position is exact, but not behind a shuffle buffer, so there is none: rows are counted here.

    Args:
        rows: an `IterableDataset`.
        name: what messages call it.
        columns: of the source and of the target sentences, or keys in the column `translation`.
    """

    def __init__(self, rows: Any, name: str, columns: tuple[str, str]) -> None:
        self.name, self._rows, self._columns = name, rows, columns
        file = Path(name)
        # On the hub the name has the version of the data set in it.
        self.paths = [file] if file.is_file() else []
        self.label, self.size = (file.name, file.stat().st_size) if file.is_file() else (name, 0)

    def read(self, row: int, offsets: Offsets) -> Iterator[tuple[Raw, Offsets]]:
        """Rows from number `row` on; `datasets` reads the shard from its beginning."""
        done = row
        try:
            for some in self._rows.skip(row).iter(ROWS_AT_ONCE):
                for pair in self._pairs(some):
                    yield pair, ()
                    done += 1
        except UserError:
            raise
        except Exception as error:  # the library raises what its many formats and transports do
            message = f"{self.name}, in one of the {ROWS_AT_ONCE} rows behind row {done}: {_reason(error)}"
            raise UserError(message, "Mend the row, or fetch the file again.") from error

    def pair(self, raw: Raw, number: int) -> Pair:
        """Refuses what is no text."""
        for value, name in zip(raw, self._columns, strict=True):
            if value is None or (isinstance(value, str) and is_blank(value)):
                raise empty_side(f"{self.name} (column {name})", number, unit="row")
            if not isinstance(value, str):
                raise UserError(f"{self.name}, row {number}: {name!r} is no text: {shown(str(value))}")
        return raw

    def _pairs(self, some: dict[str, list[Any]]) -> Iterator[Raw]:
        source, target = self._columns
        if PAIRED in some and source not in some:
            return ((both.get(source), both.get(target)) for both in some[PAIRED])
        for name in self._columns:
            if name not in some:
                message = f"{self.name} has no column {name!r}, only {', '.join(some)}"
                raise UserError(message, "Set data.source and data.target.")
        return zip(some[source], some[target], strict=True)


def check_hub(hub: str, *, config: str | None, needed: Iterable[Split]) -> None:
    """Checks what shows of a data set in seconds.

    Args:
        hub: name on the hub, or a local folder.
        config: which of its configurations.
        needed: splits that it must have, but for the training split; without any it is not opened.

    Raises:
        UserError: it is not there, cannot be opened, or lacks a split.
    """
    if not Path(hub).exists() and (reason := reachable(hub)):
        raise UserError(f"data.hub={hub}: there is no such folder, and the hub cannot be reached ({reason})", HINT)
    if wanted := [split for split in needed if split != "train"]:
        there = HubStream(hub=hub, config=config, source="", target="").splits
        for split in wanted:
            if split not in there:
                message = f"data.hub={hub} has no split {HUB_SPLITS[split]!r}"
                raise UserError(message, f"Keep some pairs for it in a file: data.{split}=FILE.")


def _explained(hub: str, open_it: Callable[[], Any]) -> Any:
    try:
        return open_it()
    except Exception as error:  # as above
        raise UserError(f"data.hub={hub} cannot be opened: {_reason(error)}", HINT) from error


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
