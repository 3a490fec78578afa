"""Multi30k as a data module."""

from typing import Any, Literal

from seqtrain.data.corpora.base import Corpus
from seqtrain.data.corpora.multi30k import open_multi30k
from seqtrain.data.translation import TranslationData


class Multi30k(TranslationData):
    """Image captions in four languages (Elliott et al. 2016), 29,000 pairs to train on.

    Args:
        source: language that is translated from.
        target: language that is translated to.
        root: folder or archive of the public layout; without it `data/multi30k` if there is one, else the hub.
        hub: data set on the hub, or a local folder that `datasets.load_dataset` opens.
        test: test set that results are reported on.
        options: those of `TranslationData`.
    """

    def __init__(
        self,
        *,
        source: Literal["en", "de", "fr", "cs"] = "de",
        target: Literal["en", "de", "fr", "cs"] = "en",
        root: str | None = None,
        hub: str = "bentrevett/multi30k",
        test: Literal[
            "test_2016_flickr", "test_2017_flickr", "test_2017_mscoco", "test_2018_flickr"
        ] = "test_2016_flickr",
        **options: Any,
    ) -> None:
        super().__init__(source=source, target=target, **options)
        self.root, self.hub, self.test = root, hub, test

    def corpus(self) -> Corpus:
        """Opens the folder, the archive or the hub's copy."""
        return open_multi30k(
            root=self.root,
            hub=self.hub,
            cache=str(self.cache),
            source=self.source,
            target=self.target,
            test=self.test,
        )
