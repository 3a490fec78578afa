"""Translation data whose training pairs can be streamed: read as they are needed, and tokenised on the way."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from seqtrain.config.types import Positive
from seqtrain.data.corpora.base import Corpus
from seqtrain.data.corpora.shards import Shard, shards_digest, shards_state
from seqtrain.data.pools import Pools, pair_of
from seqtrain.data.store import entry, key_of
from seqtrain.data.streaming import StreamLoader
from seqtrain.data.tokenization import TextTokenizer
from seqtrain.data.translation import LEARNT_FROM, TranslationData, load_tokenizers

TRAIN = "train"


class StreamedTranslation(TranslationData):
    """Sentence pairs that are kept tokenised, or of which the training split is read anew in every epoch.

    A subclass says in `corpus` which splits are kept, and in `shards` what the stream consists of.

    Args:
        streaming: whether the training split is a stream; `corpus` then has only the others.
        pool: pairs that a process shuffles, and sorts by length, at a time: what it holds of the stream in memory.
        tokenizer_pairs: pairs of a stream that the tokenizer is learnt from, its first ones.
        options: those of `TranslationData`.
    """

    def __init__(
        self,
        *,
        streaming: bool = False,
        pool: Positive = 100_000,
        tokenizer_pairs: Positive = LEARNT_FROM,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.streaming, self.pool, self.tokenizer_pairs = streaming, pool, tokenizer_pairs
        self._shards: list[Shard] = []
        self._stream: StreamLoader | None = None
        self._stream_of: Any = None  # trainer
        self._resumed: dict[str, Any] | None = None

    def shards(self) -> list[Shard]:
        """Opens the shards of the training split; a `UserError` says what is missing or wrong."""
        raise NotImplementedError

    def read_as(self) -> Sequence[str]:
        """What decides how a shard is read, besides its content."""
        return (self.source, self.target)

    def setup(self, stage: str | None = None) -> None:
        """Opens the splits of a stage; of the stream, its shards."""
        if self.streaming and stage in ("fit", None) and TRAIN not in self._digests:
            self._shards = self._shards or self.shards()
            self._digests[TRAIN] = shards_digest(self._shards, self.read_as())
        super().setup(stage)

    def load(self, directory: Path) -> None:
        """As `TranslationData.load`."""
        super().load(directory)
        self._shards = []

    @property
    def description(self) -> dict[str, Any]:
        """With what is known of the stream: its digest in `splits` is of names and sizes, not of content."""
        if not self._shards:
            return super().description
        stream = {
            "split": TRAIN,
            "digest_of": "names and sizes of shards",
            "shards": len(self._shards),
            "bytes": sum(shard.size for shard in self._shards),
            **(self._stream.counts if self._stream is not None else {}),
        }
        return {**super().description, "stream": stream}

    def train_dataloader(self) -> Any:
        """Shuffled batches; the place among them goes into checkpoints."""
        if not self.streaming:
            return super().train_dataloader()
        trainer: Any = self.trainer
        rank, world_size = (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)
        state, self._resumed = self._resumed, None
        if state is None and self._stream is not None and self._stream_of is trainer:
            state = self._stream.state_dict()  # the trainer loads its data anew, as between two epochs
        self._stream_of = trainer
        pools = Pools(
            shards=self._shards,
            tokenizers=(self.source_tokenizer, self.target_tokenizer),
            size=self.pool,
            max_length=self.max_length,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
        )
        self._stream = StreamLoader(
            pools=pools,
            batch_tokens=self.batch_tokens,
            workers=self.num_workers,
            trained=self._trained if trainer is not None else None,
            before=self._trained_before() if trainer is not None else 0,
            gather=_gather if world_size > 1 else lambda value: [value],
            endless=trainer is not None and isinstance(trainer.limit_train_batches, int),
            again=trainer is not None and bool(trainer.overfit_batches),
            cut={"shards": shards_digest(self._shards, self.read_as(), sizes=False)},
            content=self._digests[TRAIN],
        )
        if state is not None:
            self._stream.load_state_dict(state)
        return self._stream

    def state_dict(self) -> dict[str, Any]:
        """The place in the stream: Lightning does not give a loader its state back where an epoch had ended."""
        return self._stream.state_dict() if self._stream is not None else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on where `state_dict` was."""
        self._resumed = state_dict

    def _trained(self) -> int:
        assert self.trainer is not None
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]

    def _trained_before(self) -> int:
        """Batches that the run had been trained on by now."""
        trainer: Any = self.trainer
        loaded = trainer._checkpoint_connector._loaded_checkpoint
        # Lightning may ask for the data before it has its own count back.
        loops = loaded.get("loops", {}).get("fit_loop", {})
        progress = loops.get("epoch_loop.batch_progress", {})
        return max(self._trained(), progress.get("total", {}).get("processed", 0))

    def _trained_tokenizers(self, corpus: Corpus) -> tuple[TextTokenizer, TextTokenizer]:
        if not self.streaming:
            return super()._trained_tokenizers(corpus)
        self._shards = self._shards or self.shards()

        def train(work: Path) -> None:
            self._learn(work, [self._first(0), self._first(1)])

        content = shards_state(self._shards, self.read_as())
        key = key_of(content=content, first=self.tokenizer_pairs, **self._tokenized_as)
        return load_tokenizers(entry(self.cache, key, train))

    def _first(self, side: int) -> Iterator[str]:
        """The first sentences of a side, in the order of the shards as they are listed."""
        rows = ((shard, n, raw) for shard in self._shards for n, (raw, _) in enumerate(shard.read(0, ()), start=1))
        return (pair_of(shard, raw, n)[side] for shard, n, raw in islice(rows, self.tokenizer_pairs))


def _gather(value: Any) -> list[Any]:
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, value)
    return found
