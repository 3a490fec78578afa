"""A user's own sentence pairs as a data module."""

from collections.abc import Sequence
from typing import Any

from seqtrain.data.corpora.base import Corpus
from seqtrain.data.corpora.pairs import FilesInstead, PairFiles
from seqtrain.data.corpora.shards import Shard, open_shards
from seqtrain.data.streamed import StreamedTranslation


class Pairs(StreamedTranslation):
    """Sentence pairs from files: two line-aligned texts, `[text.de, text.en]`, or one file, `pairs.tsv`.

    One file ends in .tsv, .jsonl or .parquet. Splits that are not needed, as for evaluation, need not be named.

    Args:
        source: language that is translated from; the key in JSONL and the column in Parquet files.
        target: language that is translated to; likewise.
        train: files to train on; of a stream also shards: a pattern, or a list of files of pairs.
        val: files to validate on.
        test: files that results are reported on; none is allowed.
        hub: data set on the hub whose training split is streamed, in the place of `train`, or a local folder that
            `datasets.load_dataset` opens; validated and tested is on its splits validation and test, unless `val` or
            `test` name files.
        hub_config: which of its configurations.
        options: those of `StreamedTranslation`.
    """

    def __init__(
        self,
        *,
        source: str = "source",
        target: str = "target",
        train: str | list[str] | None = None,
        val: str | list[str] | None = None,
        test: str | list[str] | None = None,
        hub: str | None = None,
        hub_config: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(source=source, target=target, **options)
        self.files = {"train": train, "val": val, "test": test}
        self.hub, self.hub_config = hub, hub_config

    def corpus(self) -> Corpus:
        """Opens the files that are not streamed, and of the hub's data set the splits that no files are named for."""
        files = {split: names for split, names in self.files.items() if split != "train" or not self.streaming}
        found = PairFiles(files=files, source=self.source, target=self.target, cache=self.cache)
        return found if self.hub is None else FilesInstead(found, self._hub())

    def shards(self) -> list[Shard]:
        """Opens the files of the stream."""
        if self.hub is not None:
            return self._hub().shards()
        return open_shards(self.files["train"] or [], source=self.source, target=self.target)

    def read_as(self) -> Sequence[str]:
        """The names of both sides and, of the hub, the data set's."""
        return [self.source, self.target, *filter(None, (self.hub, self.hub_config))]

    def _hub(self) -> Any:
        # Here, as it imports datasets, which takes a second.
        from seqtrain.data.corpora.hub_stream import HubStream

        return HubStream(hub=self.hub or "", config=self.hub_config, source=self.source, target=self.target)
