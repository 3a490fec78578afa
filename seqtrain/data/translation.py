"""Sentence pairs for translation: tokenised once, kept as memory-mapped Arrow, batched by length."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch

from seqtrain.config.types import NonNegative, Positive, Range
from seqtrain.data.batching import BucketBatchSampler
from seqtrain.data.corpora.base import Corpus, Split, digest_of
from seqtrain.data.loading import SequenceData
from seqtrain.data.mapped import MappedRagged, Rows, Texts
from seqtrain.data.store import Ragged, disk_errors, entry, key_of, write_text
from seqtrain.data.tokenising import TEXTS, tokenise, write_texts
from seqtrain.data.tokenization import TextTokenizer
from seqtrain.errors import UserError
from seqtrain.tasks.translation import BOS, EOS, Translation, TranslationBatch

log = logging.getLogger(__name__)

JOINT, SOURCE, TARGET = "tokenizer.json", "source.json", "target.json"
LEARNT_FROM = 1 << 20
"""Training pairs that tokenizers learn from at most: more cost as much time as tokenising, and change little."""
STAGES = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}


class TranslationData(SequenceData):
    """Sentence pairs of a corpus as batches of token ids; a subclass says which corpus, in `corpus`.

    Args:
        source: language that is translated from.
        target: language that is translated to.
        tokenizer: what a token is: a subword (`bpe`), a word or a character.
        vocabulary: tokens at most, special ones included; of each language if they do not share one.
        joint: whether both languages share one tokenizer.
        lowercase: whether text is lowercased.
        min_frequency: how often a word or character must occur to be known, and a pair of subwords to be merged.
        batch_tokens: padded tokens a batch at most, counted on the longer side, end-of-sentence tokens included.
        max_length: training pairs with more tokens than this on a side are left out, and counted in `excluded`.
        cache: folder in which tokenised text is kept.
        num_workers: processes that make batches ahead.
        seed: where the order of training batches comes from.
    """

    task_name: ClassVar[str] = "translation"

    def __init__(
        self,
        *,
        source: str,
        target: str,
        tokenizer: Literal["bpe", "word", "char"] = "bpe",
        vocabulary: Annotated[int, Range(low=8)] = 8000,
        joint: bool = True,
        lowercase: bool = False,
        min_frequency: Positive = 2,
        batch_tokens: Positive = 4096,
        max_length: Positive = 256,
        cache: str = "data/cache",
        num_workers: NonNegative = 0,
        seed: int,
    ) -> None:
        super().__init__(batch_tokens=batch_tokens, seed=seed, num_workers=num_workers)
        self.source, self.target = source, target
        self.kind, self.vocabulary, self.joint = tokenizer, vocabulary, joint
        self.lowercase, self.min_frequency, self.max_length = lowercase, min_frequency, max_length
        self.cache = Path(cache)
        self.excluded = 0
        self._corpus: Corpus | None = None
        self._tokenizers: tuple[TextTokenizer, TextTokenizer] | None = None
        self._rows: dict[Split, Rows] = {}
        self._sides: dict[Split, tuple[MappedRagged, MappedRagged]] = {}
        self._lengths: dict[Split, np.ndarray] = {}
        self._texts: dict[Split, Rows] = {}
        self._contents: dict[Split, str] = {}

    def corpus(self) -> Corpus:
        """Opens the corpus; a `UserError` says what is missing or wrong."""
        raise NotImplementedError

    def prepare_data(self) -> None:
        """Trains tokenizers and tokenises what is needed, unless the cache has it."""
        stage = self.trainer.state.fn if self.trainer is not None else None
        self.setup(None if stage is None else str(stage.value))

    def setup(self, stage: str | None = None) -> None:
        """Opens the splits of a stage (`fit`, `validate`, `test`), or all."""
        self._corpus = self._corpus or self.corpus()
        self._tokenizers = self._tokenizers or self._trained_tokenizers(self._corpus)
        for split in STAGES.get(stage or "", self._corpus.splits):
            if split in self._corpus.splits and split not in self._rows:
                self._open(split)

    @property
    def task(self) -> Translation:
        """Vocabulary sizes."""
        return Translation(
            source_vocabulary=len(self.source_tokenizer),
            target_vocabulary=len(self.target_tokenizer),
            shared=self.source_tokenizer is self.target_tokenizer,
        )

    @property
    def source_tokenizer(self) -> TextTokenizer:
        """Tokenizer of the language that is translated from."""
        return self._require_tokenizers()[0]

    @property
    def target_tokenizer(self) -> TextTokenizer:
        """Tokenizer of the language that is translated to; the same object as the other's when they share one."""
        return self._require_tokenizers()[1]

    @property
    def tokenizer_hash(self) -> str:
        """sha256 (hex) of the tokenizers."""
        return digest_of(tokenizer.hash.encode() for tokenizer in self._require_tokenizers())

    @property
    def sizes(self) -> dict[str, int]:
        """Sentence pairs a split; of the training split those that are trained on."""
        left_out = {"train": self.excluded}
        return {split: len(rows) - left_out.get(split, 0) for split, rows in self._rows.items()}

    @property
    def unknown(self) -> dict[str, tuple[int, int]]:
        """Unknown tokens a split, in the source and in the target sentences."""
        return {split: (rows.facts["unknown"][0], rows.facts["unknown"][1]) for split, rows in self._rows.items()}

    def sources(self, split: str) -> Texts:
        """Source sentences of a split, raw, in file order."""
        return self._opened(split).texts(TEXTS[0])

    def references(self, split: str) -> Texts:
        """Target sentences of a split, raw, in file order."""
        return self._opened(split).texts(TEXTS[1])

    def batches(self, texts: Sequence[str], targets: Sequence[str] | None = None) -> Iterator[TranslationBatch]:
        """Batches of new source sentences, longest first, with given translations or without.

        `index` holds the sentences' places in `texts`; without `targets`, `target` holds only `BOS`.
        """
        if not texts:
            return
        rows = Ragged.of(self.source_tokenizer.encode_all(texts))
        right = Ragged.of(self.target_tokenizer.encode_all(targets)) if targets is not None else None
        lengths = rows.lengths if right is None else np.maximum(rows.lengths, right.lengths)
        for index in BucketBatchSampler(lengths=lengths + 1, batch_tokens=self.batch_tokens, shuffle=False).batches(0):
            some = torch.from_numpy(index)
            yield TranslationBatch(
                index=some,
                source=torch.from_numpy(rows.padded(index, after=EOS)),
                source_lengths=torch.from_numpy(rows.lengths[index] + 1),
                target=torch.full((len(index), 1), BOS)
                if right is None
                else torch.from_numpy(right.padded(index, before=BOS, after=EOS)),
                target_lengths=torch.zeros_like(some) if right is None else torch.from_numpy(right.lengths[index] + 1),
            )

    def save(self, directory: Path) -> None:
        """Writes the tokenizers into a folder: `tokenizer.json`, or `source.json` and `target.json`."""
        with disk_errors(directory):
            directory.mkdir(parents=True, exist_ok=True)
            for name, tokenizer in self._named(*self._require_tokenizers()).items():
                write_text(directory / name, tokenizer.to_json())

    def load(self, directory: Path) -> None:
        """Takes the tokenizers that `save` wrote, instead of training new ones; to be called before `setup`.

        Raises:
            UserError: they are missing or broken.
        """
        self._tokenizers = load_tokenizers(directory)
        self._rows, self._sides, self._lengths, self._digests = {}, {}, {}, {}
        self._texts, self._contents = {}, {}

    def lengths(self, split: str) -> np.ndarray:
        """(pairs,) tokens of the longer side, end of sentence included."""
        self._rows[split].check()
        return self._lengths[split]

    def longest(self, split: str) -> int | None:
        """Training pairs with more than `max_length` tokens on a side, its end not counted, are left out."""
        return self.max_length + 1 if split == "train" else None

    def kept_in(self, split: str) -> Path | None:
        """The tokens' entry of the cache."""
        return self._rows[split].folder

    def collate(self, split: str, index: np.ndarray) -> TranslationBatch:
        """The batch of some pairs (B,) of a split."""
        self._rows[split].check()
        return paired(*self._sides[split], index, index)

    def _trained_tokenizers(self, corpus: Corpus) -> tuple[TextTokenizer, TextTokenizer]:
        content = corpus.digest("train")

        def train(work: Path) -> None:
            texts = self._text("train", content)
            self._learn(work, [texts.texts(name).spread(LEARNT_FROM) for name in TEXTS])

        return load_tokenizers(entry(self.cache, key_of(content=content, **self._tokenized_as), train))

    @property
    def _tokenized_as(self) -> dict[str, Any]:
        """What decides, besides the text, which tokenizers are learnt."""
        settings = {"kind": self.kind, "size": self.vocabulary, "min_frequency": self.min_frequency}
        return {**settings, "lowercase": self.lowercase, "joint": self.joint}

    def _learn(self, work: Path, sides: Sequence[Iterable[str]]) -> None:
        """Trains the tokenizers on source and target sentences; writes them into a folder."""
        settings = {name: value for name, value in self._tokenized_as.items() if name != "joint"}
        first = TextTokenizer.train(chain(*sides) if self.joint else sides[0], **settings)
        second = first if self.joint else TextTokenizer.train(sides[1], **settings)
        for name, tokenizer in self._named(first, second).items():
            (work / name).write_text(tokenizer.to_json(), encoding="utf-8")

    def _open(self, split: Split) -> None:
        assert self._corpus is not None
        source, target = self._require_tokenizers()
        self._contents[split] = content = self._corpus.digest(split)
        key = key_of(content=content, source=source.hash, target=target.hash)
        made = entry(self.cache, key, lambda work: tokenise(work, self._text(split, content), (source, target)))
        self._rows[split] = rows = Rows(made)
        self._digests[split] = rows.facts["text"]
        self._sides[split] = (rows.ragged("source"), rows.ragged("target"))
        self._lengths[split] = rows.lengths()
        if split == "train":
            self._count_excluded()
        else:
            self._opened(split)  # from here on, whatever becomes of the files: results are compared with it

    def _count_excluded(self) -> None:
        pairs = len(self.lengths("train"))
        self.excluded = pairs - len(self.tally("train"))
        if self.excluded == pairs:
            raise UserError(f"every training pair is longer than data.max_length={self.max_length}", "Raise it.")
        if self.excluded:
            log.warning(
                "%d of %d training pairs are longer than data.max_length=%d tokens and are left out",
                self.excluded,
                pairs,
                self.max_length,
            )

    def _opened(self, split: Split) -> Rows:
        """The text of a split that is open."""
        if split not in self._texts:
            self._texts[split] = self._text(split, self._contents[split])
        return self._texts[split]

    def _text(self, split: Split, content: str) -> Rows:
        """The text of a split, which is read from the corpus once; `content` is the split's digest."""
        assert self._corpus is not None
        corpus = self._corpus

        def write(work: Path) -> None:
            write_texts(work, corpus.read(split), name=split)
            if corpus.digest(split) != content:
                message = f"the text of the split {split} was changed while it was read"
                raise UserError(message, "Start again once nothing writes to its files any more.", code=1)

        return Rows(entry(self.cache, key_of(content=content, text=True), write))

    def _require_tokenizers(self) -> tuple[TextTokenizer, TextTokenizer]:
        if self._tokenizers is None:
            raise RuntimeError("the tokenizers are there after setup() or load()")
        return self._tokenizers

    @staticmethod
    def _named(source: TextTokenizer, target: TextTokenizer) -> dict[str, TextTokenizer]:
        return {JOINT: source} if source is target else {SOURCE: source, TARGET: target}


def paired(source: Ragged, target: Ragged, rows: np.ndarray, index: np.ndarray) -> TranslationBatch:
    """The batch of some pairs.

    Args:
        source: tokens of the sentences that are translated from.
        target: tokens of their translations.
        rows: (B,) which pairs.
        index: (B,) the numbers that they have in their data set.
    """
    lengths = [side.lengths_of(rows) for side in (source, target)]
    return TranslationBatch(
        index=torch.from_numpy(index),
        source=torch.from_numpy(source.padded(rows, after=EOS)),
        source_lengths=torch.from_numpy(lengths[0] + 1),
        target=torch.from_numpy(target.padded(rows, before=BOS, after=EOS)),
        target_lengths=torch.from_numpy(lengths[1] + 1),
    )


def load_tokenizers(directory: Path) -> tuple[TextTokenizer, TextTokenizer]:
    """The tokenizers of both sides that `TranslationData.save` wrote; a missing or broken one is a `UserError`."""
    if (directory / SOURCE).exists() and not (directory / JOINT).exists():
        return TextTokenizer.load(directory / SOURCE), TextTokenizer.load(directory / TARGET)
    both = TextTokenizer.load(directory / JOINT)
    return both, both
