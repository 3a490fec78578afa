"""What every rank found, together."""

from typing import Any, TypeVar

import pytorch_lightning as pl
import torch

T = TypeVar("T")


def gathered(trainer: pl.Trainer, found: dict[int, T]) -> dict[int, T]:
    """What all ranks found by an example's position in its data set: each example once, on every rank."""
    if trainer.world_size == 1:
        return found
    parts: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(parts, found)
    return {index: value for part in parts for index, value in part.items()}


def anywhere(trainer: pl.Trainer, found: bool) -> bool:
    """Whether something is so on any rank; each has to ask."""
    return found if trainer.world_size == 1 else trainer.strategy.reduce_boolean_decision(found, all=False)
