"""The addressable associative memory alone."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtrain.config.types import Positive, PositiveFloat
from seqtrain.layers.memory import attend
from seqtrain.models.base import SequenceModel
from seqtrain.tasks.retrieval import Retrieval

LEAST = 1e-30
"""What the probability of a class counts as at least: one that is not stored has no logarithm."""


class AssociativeMemory(nn.Module):
    """α_m = β (W k_m)ᵀ W x, c = softmax(α), s = Σ_m c_m v_m, of values v_m that are one of C classes each.

    Args:
        inputs: width of keys and queries.
        classes: C.
        width: of what they are compared by.
        sharpness: β at the start. Its logarithm is learnt.
    """

    def __init__(self, *, inputs: int, classes: int, width: int, sharpness: float) -> None:
        super().__init__()
        self.classes = classes
        self.projection = nn.Linear(inputs, width, bias=False)
        nn.init.orthogonal_(self.projection.weight)  # the products of keys stay what they are, where there is room
        self.log_sharpness = nn.Parameter(torch.tensor(sharpness).log())

    def forward(self, keys_BMD: Tensor, values_BM: Tensor, query_BD: Tensor, real_BM: Tensor | None = None) -> Tensor:
        """(B, C) logarithms of the classes' probabilities, s.

        Args:
            keys_BMD: keys.
            values_BM: classes.
            query_BD: noisy keys.
            real_BM: where something is stored; everywhere without it.
        """
        s_BC, _ = attend(
            self.projection(query_BD),
            self.projection(keys_BMD),
            F.one_hot(values_BM, self.classes).float(),
            real_BM,
            sharpness=self.log_sharpness.exp(),
        )
        return s_BC.float().clamp(min=LEAST).log()


class Associative(SequenceModel):
    """An associative memory that learns by what to compare keys, and how sharply.

    Args:
        task: what the network is built for.
        width: of what keys and queries are compared by.
        sharpness: how much the nearest key counts more than others, at the start.
        options: `label_smoothing`, see `SequenceModel`.
    """

    tasks = ("retrieval",)

    def __init__(
        self, *, task: Retrieval, width: Positive = 32, sharpness: PositiveFloat = 1.0, **options: Any
    ) -> None:
        super().__init__(task=task, **options)
        self.network = AssociativeMemory(inputs=task.inputs, classes=task.classes, width=width, sharpness=sharpness)
