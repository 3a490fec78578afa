"""Learning-rate schedules: how the rate that the optimiser was given changes over the training.

`optimizer.lr` is the highest rate; every schedule multiplies it by a factor between 0 and 1.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from seqtrain.config.types import NonNegative, NonNegativeFloat, Positive, Share
from seqtrain.errors import UserError

Unit = Literal["step", "epoch"]


class Schedule(ABC):
    """A learning-rate schedule, made into PyTorch's once there is an optimiser."""

    @abstractmethod
    def lightning(
        self, optimizer: Optimizer, *, monitor: str, goal: Literal["min", "max"], steps: float
    ) -> dict[str, Any] | None:
        """What Lightning's `configure_optimizers` returns as `lr_scheduler`, or None where the rate never changes.

        Args:
            optimizer: whose rate is scheduled.
            monitor: the validation metric that tells how well the model is doing.
            goal: whether more of that metric is better.
            steps: optimiser steps of the whole training; not finite where it has no end.
        """


class Constant(Schedule):
    """The rate stays as it is."""

    def lightning(
        self, optimizer: Optimizer, *, monitor: str, goal: Literal["min", "max"], steps: float
    ) -> dict[str, Any] | None:
        """None."""
        return None


class InverseSqrt(Schedule):
    """Rises linearly for `warmup` steps, then falls with the inverse square root of the step (Vaswani 2017, eq. 3).

    The paper's rate peaks at (width · warmup)^-0.5; here the peak is `optimizer.lr`.

    Args:
        warmup: steps to the peak.
    """

    def __init__(self, *, warmup: Positive = 4000) -> None:
        self.warmup = warmup

    def lightning(
        self, optimizer: Optimizer, *, monitor: str, goal: Literal["min", "max"], steps: float
    ) -> dict[str, Any] | None:
        """A new rate at every step."""
        warmup = self.warmup

        def factor(done: int) -> float:
            return min((done + 1) / warmup, math.sqrt(warmup / (done + 1)))

        return _by_factor(optimizer, factor, "step")


class StepDecay(Schedule):
    """Multiplied by `factor` again and again, as Sutskever 2014 and Sukhbaatar 2015 halve it.

    Args:
        after: epochs or steps at the full rate; then it is multiplied for the first time.
        every: epochs or steps from one multiplication to the next.
        factor: what it is multiplied by.
        unit: what `after` and `every` count. Half epochs, as in Sutskever 2014, are counted in steps.
    """

    def __init__(
        self,
        *,
        after: NonNegative = 5,
        every: Positive = 1,
        factor: Share = 0.5,
        unit: Literal["step", "epoch"] = "epoch",
    ) -> None:
        self.after = after
        self.every = every
        self.factor = factor
        self.unit: Unit = unit

    def lightning(
        self, optimizer: Optimizer, *, monitor: str, goal: Literal["min", "max"], steps: float
    ) -> dict[str, Any] | None:
        """A new rate every `every` units."""
        after, every, base = self.after, self.every, self.factor

        def factor(done: int) -> float:
            return float(base ** max(0, (done - after) // every + 1))

        return _by_factor(optimizer, factor, self.unit)


class Plateau(Schedule):
    """Multiplied by `factor` whenever the task's metric has not got better for more than `patience` validations.

    Args:
        patience: epochs without a better value that are let pass.
        factor: what the rate is multiplied by.
        minimum: the rate does not fall below this.
    """

    def __init__(self, *, patience: NonNegative = 3, factor: Share = 0.5, minimum: NonNegativeFloat = 0.0) -> None:
        self.patience = patience
        self.factor = factor
        self.minimum = minimum

    def lightning(
        self, optimizer: Optimizer, *, monitor: str, goal: Literal["min", "max"], steps: float
    ) -> dict[str, Any] | None:
        """Looks at the metric after every epoch that has it."""
        scheduler = ReduceLROnPlateau(
            optimizer, mode=goal, factor=self.factor, patience=self.patience, min_lr=self.minimum
        )
        return {"scheduler": scheduler, "interval": "epoch", "frequency": 1, "monitor": monitor, "strict": False}


class Cosine(Schedule):
    """Rises linearly for `warmup` steps, then falls along half a cosine to the end of the training (Loshchilov 2017).

    Args:
        warmup: steps to the peak, a tenth of the training at most.
        minimum: share of the peak that is left at the end.
    """

    def __init__(self, *, warmup: NonNegative = 0, minimum: Share = 0.0) -> None:
        self.warmup = warmup
        self.minimum = minimum

    def lightning(
        self, optimizer: Optimizer, *, monitor: str, goal: Literal["min", "max"], steps: float
    ) -> dict[str, Any] | None:
        """A new rate at every step.

        Raises:
            UserError: the training has no end.
        """
        if not math.isfinite(steps) or steps <= 0:
            raise UserError(
                "scheduler=cosine needs a training with an end", "Set trainer.max_steps or trainer.max_epochs."
            )
        warmup, minimum = min(self.warmup, int(steps) // 10), self.minimum

        def factor(done: int) -> float:
            if done < warmup:
                return (done + 1) / warmup
            progress = min(1.0, (done - warmup) / (steps - warmup))
            return minimum + (1 - minimum) * (1 + math.cos(math.pi * progress)) / 2

        return _by_factor(optimizer, factor, "step")


def _by_factor(optimizer: Optimizer, factor: Callable[[int], float], interval: Unit) -> dict[str, Any]:
    return {"scheduler": LambdaLR(optimizer, factor), "interval": interval, "frequency": 1}
