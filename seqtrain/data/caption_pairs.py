"""Generated image captions as a data module."""

from typing import Any, Literal

from seqtrain.config.types import NonNegative, Positive
from seqtrain.data.corpora.base import Corpus
from seqtrain.data.corpora.generated import GeneratedCaptions
from seqtrain.data.translation import TranslationData
from seqtrain.errors import UserError


class Captions(TranslationData):
    """Captions in English, German and French that are generated: nothing to fetch, any size.

    Args:
        source: language that is translated from.
        target: language that is translated to.
        size: training pairs.
        val_size: validation pairs, none of which is trained on.
        test_size: test pairs, in neither of the others.
        corpus_seed: which captions; the same for runs that are to be compared.
        options: those of `TranslationData`.
    """

    def __init__(
        self,
        *,
        source: Literal["en", "de", "fr"] = "de",
        target: Literal["en", "de", "fr"] = "en",
        size: Positive = 10000,
        val_size: Positive = 500,
        test_size: Positive = 500,
        corpus_seed: NonNegative = 1,
        **options: Any,
    ) -> None:
        super().__init__(source=source, target=target, **options)
        self.sizes_asked = {"train": size, "val": val_size, "test": test_size}
        self.corpus_seed = corpus_seed

    def corpus(self) -> Corpus:
        """The generator's captions."""
        if self.source == self.target:
            raise UserError(f"data.source and data.target are both {self.source!r}", "They must be two languages.")
        return GeneratedCaptions(source=self.source, target=self.target, sizes=self.sizes_asked, seed=self.corpus_seed)
