"""Translation: a source sentence goes in, a target sentence comes out token by token."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from seqtrain.tasks.base import Batch, Goal, Measures, Task

PAD, BOS, EOS, UNK = 0, 1, 2, 3
"""Ids of the special tokens, the same in every vocabulary."""


@dataclass
class TranslationBatch(Batch):
    """A batch of sentence pairs, padded with `PAD` behind.

    Attributes:
        source: (B, S) ids, each sentence ends with `EOS`.
        source_lengths: (B,) tokens a source sentence, `EOS` included.
        target: (B, T + 1) ids, each sentence begins with `BOS` and ends with `EOS`; the decoder reads `target[:, :-1]`
            and is asked for `target[:, 1:]`.
        target_lengths: (B,) tokens that are asked for in each sentence, `EOS` included.
    """

    source: torch.Tensor
    source_lengths: torch.Tensor
    target: torch.Tensor
    target_lengths: torch.Tensor


@dataclass(frozen=True)
class Translation(Task):
    """Sizes that a translation model is built for.

    Attributes:
        source_vocabulary: number of source tokens, special ones included.
        target_vocabulary: number of target tokens, special ones included.
        shared: whether both sides use one vocabulary.
    """

    name: ClassVar[str] = "translation"
    monitor: ClassVar[str] = "val/bleu"
    goal: ClassVar[Goal] = "max"

    source_vocabulary: int
    target_vocabulary: int
    shared: bool

    def measure(self, network: Any, batch: TranslationBatch, *, smoothing: float) -> Measures:
        """Cross-entropy with teacher forcing, a mean over target tokens; padding does not count.

        Args:
            network: offers `teach(source_BS, lengths_B, tokens_BT)` and `decoder.output.loss`, as `EncoderDecoder`.
            batch: sentence pairs.
            smoothing: share of the target distribution spread over the vocabulary; `nll` is always without it.
        """
        s_BTE = network.teach(batch.source, batch.source_lengths, batch.target[:, :-1])
        target_BT = batch.target[:, 1:]
        real_BT = target_BT != PAD
        loss, nll = network.decoder.output.loss(s_BTE[real_BT], target_BT[real_BT], smoothing=smoothing)
        count = real_BT.sum()
        return Measures(loss / count, {"nll": nll.detach(), "loss": loss.detach(), "count": count})

    def metrics(self, sums: dict[str, float]) -> dict[str, float]:
        """Loss, negative log-likelihood (nats a token) and perplexity."""
        nll = sums["nll"] / sums["count"]
        return {"loss": sums["loss"] / sums["count"], "nll": nll, "perplexity": math.exp(min(nll, 700.0))}
