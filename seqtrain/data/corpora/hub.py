"""Data sets of the Hugging Face hub, or of a local folder that is shaped like one there; sentence pairs of them."""

import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqtrain.data.corpora.base import SPLITS, Pair, Split, digest_of
from seqtrain.data.lines import aligned
from seqtrain.errors import UserError

HUB_SPLITS = {"train": "train", "val": "validation", "test": "test"}
SECONDS_TO_ANSWER = 2.0
ROWS_AT_ONCE = 10_000


def hub_copy(hub: str, cache: str) -> Path:
    """Where the copy of a hub data set is kept under a cache folder."""
    return Path(cache) / "hub" / re.sub(r"[^\w.-]+", "--", hub)


def reachable(hub: str) -> str | None:
    """`None` when the hub answers for this data set, else why it does not, in a few words."""
    from huggingface_hub import HfApi

    try:
        HfApi().dataset_info(hub, timeout=SECONDS_TO_ANSWER)
    except Exception as error:  # whatever the transport raises, the data set is out of reach
        return (str(error).splitlines() or [""])[0].strip() or type(error).__name__
    return None


class HubPairs:
    """Two columns of a hub data set with the splits train, validation and test.

    A data set of the hub is fetched once and kept as memory-mapped Arrow in `copy`; a local folder is opened anew.

    Args:
        hub: name on the hub, or a local folder of JSONL, CSV or Parquet files that `datasets.load_dataset` opens.
        copy: where the fetched data set is kept.
        source: column that is translated from.
        target: column that is translated to.
        hint: what to do when it cannot be opened.
    """

    splits = SPLITS

    def __init__(self, *, hub: str, copy: Path, source: str, target: str, hint: str) -> None:
        self.hub, self.copy, self.source, self.target, self.hint = hub, copy, source, target, hint
        self._splits: Any = None

    def digest(self, split: Split) -> str:
        """sha256 of the split's text."""
        return digest_of(side.encode() for pair in self.read(split) for side in pair)

    def read(self, split: Split) -> Iterator[Pair]:
        """Source sentences with their targets in the data set's order."""
        if self._splits is None:
            self._splits = fetched(self.hub, copy=self.copy, hint=self.hint)
        name = HUB_SPLITS[split]
        if name not in self._splits:
            raise UserError(f"{self.hub} has no split {name!r}, only {', '.join(self._splits)}", self.hint)
        columns = self._splits[name].column_names
        for language in (self.source, self.target):
            if language not in columns:
                raise UserError(f"{self.hub} has no column {language!r}, only {', '.join(columns)}", self.hint)
        sources, targets = (_texts(self._splits[name], side) for side in (self.source, self.target))
        return aligned(sources, targets, (f"{self.hub}:{name}:{self.source}", f"{self.hub}:{name}:{self.target}"))


def _texts(rows: Any, column: str) -> Iterator[str]:
    for some in rows.select_columns(column).iter(ROWS_AT_ONCE):
        yield from (str(text or "") for text in some[column])


def fetched(hub: str, *, copy: Path, hint: str, config: str | None = None) -> Any:
    """The splits of a data set by their names, fetched once and kept as memory-mapped Arrow in `copy`.

    Args:
        hub: name on the hub, or a local folder of JSONL, CSV or Parquet files that `datasets.load_dataset` opens; a
            folder is opened anew every time.
        copy: where the fetched data set is kept.
        hint: what to do when it cannot be opened.
        config: which of its configurations.

    Raises:
        UserError: it cannot be opened.
    """
    import datasets

    datasets.disable_progress_bars()
    logging.getLogger("datasets").setLevel(logging.ERROR)
    try:
        if copy.exists():
            return datasets.load_from_disk(str(copy))
        copy.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=copy.parent) as work:
            # What was prepared is mapped, and stays so for this process when the folder goes away.
            found = _loaded(hub, config, cache_dir=work)
            if Path(hub).exists():
                return found
            found.save_to_disk(f"{work}/copy")
            shutil.move(f"{work}/copy", copy)
        return datasets.load_from_disk(str(copy))
    except Exception as error:  # the library raises what its many formats and transports do
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{hub} cannot be opened: {reason}", hint) from error


def _loaded(hub: str, config: str | None, **options: Any) -> Any:
    import datasets

    if config is None:
        return datasets.load_dataset(hub, **options)
    if (Path(hub) / config).is_dir() and not (Path(hub) / "README.md").exists():  # which would say what it consists of
        return datasets.load_dataset(hub, data_dir=config, **options)
    try:
        return datasets.load_dataset(hub, name=config, **options)
    except RuntimeError as error:
        if "scripts are no longer supported" not in str(error):
            raise
        # The hub keeps the tables that such a script makes on a branch of their own, a folder a configuration.
        return datasets.load_dataset(hub, data_dir=config, revision="refs/convert/parquet", **options)
