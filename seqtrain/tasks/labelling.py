"""Labelling: a sequence goes in, one of a few classes comes out."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from seqtrain.tasks.base import Batch, Goal, Measures, Task, classification, classification_metrics


@dataclass
class LabellingBatch(Batch):
    """A batch of labelled sequences.

    Attributes:
        tokens: (B, T) ids, padded with 0 behind.
        lengths: (B,) tokens a sequence.
        labels: (B,) class ids.
    """

    tokens: torch.Tensor
    lengths: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class Labelling(Task):
    """Sizes that a sequence classifier is built for.

    Attributes:
        vocabulary: number of input tokens, padding (id 0) included.
        labels: the names of the classes, in the order of their ids.
    """

    name: ClassVar[str] = "labelling"
    monitor: ClassVar[str] = "val/accuracy"
    goal: ClassVar[Goal] = "max"

    vocabulary: int
    labels: tuple[str, ...]

    def measure(self, network: Any, batch: LabellingBatch, *, smoothing: float) -> Measures:
        """Cross-entropy of the classes, a mean over examples, and how many are right.

        Args:
            network: maps (B, T) ids and (B,) lengths to (B, C) logits, as `Classifier`.
            batch: labelled sequences.
            smoothing: share of the target distribution spread over the classes; `nll` is always without it.
        """
        return classification(network(batch.tokens, batch.lengths), batch.labels, smoothing=smoothing)

    def metrics(self, sums: dict[str, float]) -> dict[str, float]:
        """Loss, negative log-likelihood (nats an example) and accuracy (share of right labels)."""
        return classification_metrics(sums)
