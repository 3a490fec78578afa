"""How many batches the trainer is to take of an epoch, against how many there are: known once the data are open."""

import math
import os
from typing import Any

import torch
from omegaconf import DictConfig

from seqtrain.config.allow import to_plain
from seqtrain.config.team import Team, counted
from seqtrain.errors import UserError


def check_epochs(config: DictConfig, data: Any) -> None:
    """Refuses a share of a split that is not one batch, and an epoch that is over before its validation.

    Args:
        config: the trainer's part of the configuration.
        data: the data, open for a training.

    Raises:
        UserError: says how many batches there are, and what to set.
    """
    if config.get("fast_dev_run"):
        return
    overfit = "overfit_batches" if config.get("overfit_batches") else None
    limits = {"train": overfit or "limit_train_batches", "val": overfit or "limit_val_batches"}
    for split, key in {**limits, "test": "limit_test_batches"}.items():
        _check_share(config, data, split, key)
    interval = config.get("val_check_interval")
    by_epochs = config.get("check_val_every_n_epoch", 1) is not None and config.get("limit_val_batches") != 0
    if not isinstance(interval, int) or not by_epochs:
        return
    batches = _limited(_batches(config, data, "train"), config.get(limits["train"]))
    if interval > batches:
        raise UserError(
            f"trainer.val_check_interval={interval}: an epoch has only {batches} batches",
            f"To count on from epoch to epoch set trainer.check_val_every_n_epoch=null; else at most {batches}.",
        )


def _check_share(config: DictConfig, data: Any, split: str, key: str) -> None:
    share = config.get(key)
    if not isinstance(share, float) or not 0 < share < 1 or not data.has(split):
        return
    batches = _batches(config, data, split)
    if _limited(batches, share) == 0:
        raise UserError(
            f"trainer.{key}={share}: is less than one of the {batches} batches of {split}",
            f"Set a number of batches: trainer.{key}=1.",
        )


def _limited(batches: float, limit: int | float | None) -> float:
    """As Lightning counts it: a whole number is one of batches, another one a share."""
    if isinstance(limit, int):
        return min(batches, limit)
    return batches if limit is None or batches == math.inf else int(batches * limit)


def _batches(config: DictConfig, data: Any, split: str) -> float:
    """Those of one process; a stream does not know."""
    if split == "train" and getattr(data, "streaming", False):
        return math.inf
    shuffle = split == "train" and not config.get("overfit_batches")
    return len(data.sampler(split, shuffle=shuffle, rank=0, world_size=_processes(config)))


def _processes(config: DictConfig) -> int:
    team = Team.of(os.environ)
    if team is not None:
        return team.size
    local = counted(to_plain(config.get("devices", "auto")))
    return local or (1 if config.get("accelerator") == "cpu" else max(1, torch.cuda.device_count()))
