"""Retrieval: pairs of a key and a value are stored, and under a key that came with errors the value is asked for."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from seqtrain.tasks.base import Batch, Goal, Measures, Task


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
        logits_BC = network(batch.keys, batch.values, batch.query, real_BM).float()
        loss_B = F.cross_entropy(logits_BC, batch.targets, label_smoothing=smoothing, reduction="none")
        nll = F.cross_entropy(logits_BC.detach(), batch.targets, reduction="sum")
        right_B = logits_BC.argmax(1) == batch.targets
        count = torch.tensor(len(batch), device=logits_BC.device)
        sums = {"nll": nll, "loss": loss_B.detach().sum(), "correct": right_B.sum(), "count": count}
        return Measures(loss_B.mean(), sums, {"accuracy": right_B.float()})

    def metrics(self, sums: dict[str, float]) -> dict[str, float]:
        """Loss, negative log-likelihood in nats a query, and the share of queries that are answered right."""
        count = sums["count"]
        return {"loss": sums["loss"] / count, "nll": sums["nll"] / count, "accuracy": sums["correct"] / count}
