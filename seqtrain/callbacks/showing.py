"""What several callbacks log in the same way: results of buckets, and pictures."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import WandbLogger

SAME: Mapping[str, Any] = {"sync_dist": True, "reduce_fx": "max"}
"""How a number is logged that is the same on every rank: Lightning asks for some reduction, and the mean of three equal
numbers can be another one.
"""


def log_buckets(module: pl.LightningModule, split: str, attribute: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Logs the metrics of every bucket as `SPLIT_by_ATTRIBUTE/METRIC_LOW-HIGH`.

    Args:
        module: what logs them.
        split: val or test.
        attribute: what examples were told apart by.
        rows: a bucket each: `low`, `high`, `count` and metrics, which are the same on every rank.
    """
    for row in rows:
        for name in (name for name in row if name not in ("low", "high", "count")):
            key = f"{split}_by_{attribute}/{name}_{row['low']}-{row['high']}"
            module.log(key, row[name], on_step=False, on_epoch=True, batch_size=1, **SAME)


def log_pictures(trainer: pl.Trainer, name: str, paths: Sequence[Path]) -> None:
    """Sends pictures that were written to W&B, where that is the logger."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(name, [str(path) for path in paths], step=trainer.global_step)
