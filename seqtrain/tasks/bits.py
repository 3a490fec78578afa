"""Bits: a sequence of vectors goes in, bits come out at the steps at which they are asked for."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from seqtrain.tasks.base import Batch, Goal, Measures, Task


@dataclass
class BitsBatch(Batch):
    """A batch of sequences of vectors with bits at some of their steps.

    Attributes:
        inputs: (B, T, I) vectors, padded with 0 behind.
        lengths: (B,) steps a sequence.
        targets: (B, T, O) bits, as 0.0 and 1.0.
        asked: (B, T) whether a step's bits are asked for; never at padding.
    """

    inputs: torch.Tensor
    lengths: torch.Tensor
    targets: torch.Tensor
    asked: torch.Tensor


@dataclass(frozen=True)
class Bits(Task):
    """Sizes that a network is built for that reads vectors and writes bits.

    Attributes:
        inputs: width I of the vectors.
        outputs: bits O a step.
    """

    name: ClassVar[str] = "bits"
    monitor: ClassVar[str] = "val/bits"
    goal: ClassVar[Goal] = "min"

    inputs: int
    outputs: int

    def measure(self, network: Any, batch: BitsBatch, *, smoothing: float) -> Measures:
        """Cross-entropy of the bits that are asked for, in bits a sequence, and how many of them are wrong.

        Args:
            network: maps (B, T, I) vectors and (B,) lengths to (B, T, O) logits of ones.
            batch: sequences with bits.
            smoothing: of no meaning here.
        """
        logits_BTO = network(batch.inputs, batch.lengths).float()
        each_BTO = F.binary_cross_entropy_with_logits(logits_BTO, batch.targets, reduction="none")
        asked_BT1 = batch.asked.unsqueeze(2)
        # Not multiplied by 0: what is not asked for may be infinite.
        bits_B = each_BTO.masked_fill(~asked_BT1, 0.0).flatten(1).sum(1) / math.log(2)
        wrong_B = (((logits_BTO > 0) != (batch.targets > 0.5)) & asked_BT1).flatten(1).sum(1)
        asked_B = batch.asked.sum(1) * self.outputs
        count = torch.tensor(len(batch), device=bits_B.device)
        sums = {
            "bits": bits_B.detach().sum(),
            "wrong": wrong_B.sum(),
            "asked": asked_B.sum(),
            "exact": (wrong_B == 0).sum(),
            "count": count,
        }
        each = {"bits": bits_B.detach(), "wrong_bits": wrong_B.float(), "exact": (wrong_B == 0).float()}
        return Measures(bits_B.mean(), sums, each)

    def metrics(self, sums: dict[str, float]) -> dict[str, float]:
        """What a sequence costs and how wrong it is, a mean over sequences:

        bits          cross-entropy in bits, of all that is asked for: the paper's "cost per sequence (bits)" (also as
                      `loss`)
        wrong_bits    bits that are on the wrong side of one half: what some programs call bits a sequence
        accuracy      share of the bits that are right
        exact         share of the sequences all of whose bits are right
        """
        count = sums["count"]
        bits = sums["bits"] / count
        return {
            "loss": bits,
            "bits": bits,
            "wrong_bits": sums["wrong"] / count,
            "accuracy": 1 - sums["wrong"] / max(sums["asked"], 1),
            "exact": sums["exact"] / count,
        }
