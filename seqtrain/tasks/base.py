"""What an architecture and a data set agree on.

Shape legend, used in names throughout the project:

    B  batch                 T  target steps         S  source steps
    E  embedding width       H  hidden width         V  vocabulary
    L  layers                C  classes              I  input width of a layer
    N  rows (real tokens) of a flattened batch       G  gates times hidden width
    M  sentences of a story  W  words of a sentence  A  answers
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, Self

import torch
import torch.nn.functional as F

Goal = Literal["min", "max"]


@dataclass
class Batch:
    """A batch of one task: tensors, moved between devices together.

    Attributes:
        index: (B,) the examples' positions in their data set.
    """

    index: torch.Tensor

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """The same batch with every tensor moved or cast as by `torch.Tensor.to`."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return type(self)(
            **{name: value.to(*args, **kwargs) if torch.is_tensor(value) else value for name, value in moved.items()}
        )

    def __len__(self) -> int:
        return len(self.index)


@dataclass
class Measures:
    """What one batch contributes: the loss to minimise, and sums from which metrics are made exactly.

    Attributes:
        loss: () what is minimised, a mean over the batch.
        sums: name to a () tensor summed over the batch, `count` (tokens or examples) among them.
        each: metric to a (B,) tensor, its value for every example; empty where a task has none that is an example's.
        state: what a network's memory holds behind the batch, for a batch that goes on with it.
    """

    loss: torch.Tensor
    sums: dict[str, torch.Tensor]
    each: dict[str, torch.Tensor] = field(default_factory=dict)
    state: torch.Tensor | None = None


@dataclass(frozen=True)
class Task(ABC):
    """What goes in, what comes out, and which metric tells how well: offered by a data set, met by an architecture.

    Attributes:
        name: the word that architectures and data sets name the task by.
        monitor: the validation metric that checkpoints and early stopping go by.
        goal: whether more of it is better.
    """

    name: ClassVar[str]
    monitor: ClassVar[str]
    goal: ClassVar[Goal]

    @abstractmethod
    def measure(self, network: Any, batch: Any, *, smoothing: float) -> Measures:
        """The loss of a network on a batch, and the sums that `metrics` is made from."""

    @abstractmethod
    def metrics(self, sums: dict[str, float]) -> dict[str, float]:
        """Metrics of everything that was summed."""


def classification(logits_BC: torch.Tensor, classes_B: torch.Tensor, *, smoothing: float) -> Measures:
    """Cross-entropy of (B,) class ids, a mean over examples, its sums, and which of them are right.

    Args:
        logits_BC: of every class.
        classes_B: the right ones.
        smoothing: share of the target distribution spread over the classes; `nll` is always without it.
    """
    logits_BC = logits_BC.float()
    loss = F.cross_entropy(logits_BC, classes_B, label_smoothing=smoothing)
    nll = F.cross_entropy(logits_BC.detach(), classes_B, reduction="sum")
    count = torch.tensor(len(classes_B), device=logits_BC.device)
    right_B = logits_BC.argmax(1) == classes_B
    sums = {"nll": nll, "loss": loss.detach() * count, "correct": right_B.sum(), "count": count}
    return Measures(loss, sums, {"accuracy": right_B.float()})


def classification_metrics(sums: dict[str, float]) -> dict[str, float]:
    """Loss, negative log-likelihood (nats an example) and accuracy (share of right classes), of such sums."""
    count = sums["count"]
    return {"loss": sums["loss"] / count, "nll": sums["nll"] / count, "accuracy": sums["correct"] / count}
