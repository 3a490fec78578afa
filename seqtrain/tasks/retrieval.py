"""Retrieval: pairs of a key and a value are stored, and under a key that came with errors the value is asked for."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from seqtrain.tasks.base import Batch, Goal, Measures, Task, classification, classification_metrics


@dataclass
class RetrievalBatch(Batch):
    """A batch of memories with a query each.

    Attributes:
        keys: (B, M, D) float32, padded with 0 behind.
        values: (B, M) classes.
        pairs: (B,) how many are stored.
        query: (B, D) float32.
        targets: (B,) the class that was stored under the key that the query was made from.
    """

    keys: torch.Tensor
    values: torch.Tensor
    pairs: torch.Tensor
    query: torch.Tensor
    targets: torch.Tensor


@dataclass(frozen=True)
class Retrieval(Task):
    """Sizes that a memory is built for.

    Attributes:
        inputs: width D of keys and queries.
        classes: number of classes that values are of.
    """

    name: ClassVar[str] = "retrieval"
    monitor: ClassVar[str] = "val/nll"
    goal: ClassVar[Goal] = "min"

    inputs: int
    classes: int

    def measure(self, network: Any, batch: RetrievalBatch, *, smoothing: float) -> Measures:
        """Cross-entropy of the values asked for, a mean over queries, and how many are right.

        Args:
            network: maps (B, M, D) keys, (B, M) values, (B, D) queries and (B, M), where something is stored, to
                (B, C) logits.
            batch: memories with queries.
            smoothing: share of the target distribution spread over the classes; `nll` is always without it.
        """
        real_BM = torch.arange(batch.keys.shape[1], device=batch.pairs.device) < batch.pairs.unsqueeze(1)
        logits_BC = network(batch.keys, batch.values, batch.query, real_BM)
        return classification(logits_BC, batch.targets, smoothing=smoothing)

    def metrics(self, sums: dict[str, float]) -> dict[str, float]:
        """Loss, negative log-likelihood in nats a query, and the share of queries that are answered right."""
        return classification_metrics(sums)
