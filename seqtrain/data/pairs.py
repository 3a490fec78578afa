"""A user's own sentence pairs as a data module."""

from typing import Any

from seqtrain.data.corpora.base import Corpus
from seqtrain.data.corpora.pairs import PairFiles
from seqtrain.data.translation import TranslationData


class Pairs(TranslationData):
    """Sentence pairs from files: two line-aligned texts, `[text.de, text.en]`, or one file, `pairs.tsv`.

    One file ends in .tsv, .jsonl or .parquet. Splits that are not needed, as for evaluation, need not be named.

    Args:
        source: language that is translated from; the key in JSONL and the column in Parquet files.
        target: language that is translated to; likewise.
        train: files to train on.
        val: files to validate on.
        test: files that results are reported on; none is allowed.
        options: those of `TranslationData`.
    """

    def __init__(
        self,
        *,
        source: str = "source",
        target: str = "target",
        train: str | list[str] | None = None,
        val: str | list[str] | None = None,
        test: str | list[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(source=source, target=target, **options)
        self.files = {"train": train, "val": val, "test": test}

    def corpus(self) -> Corpus:
        """Opens the files."""
        return PairFiles(files=self.files, source=self.source, target=self.target, cache=self.cache)
