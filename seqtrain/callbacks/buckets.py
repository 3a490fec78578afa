"""Metrics by what examples are like: accuracy by length, by depth, by how far a count goes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from seqtrain.callbacks.gathering import gathered
from seqtrain.callbacks.showing import log_buckets
from seqtrain.config.types import Positive
from seqtrain.errors import UserError
from seqtrain.runs.cutting import BUCKETS, Bucket, between, equal, file_name
from seqtrain.runs.files import write_json


class Buckets(pl.Callback):
    """Means of the examples' metrics over buckets of an attribute.

    `test_step` and `validation_step` return a metric's value for every example, the data module's `attributes(split)`
    numbers by which examples differ, and `batch.index` says which examples these are, so that one that two ranks were
    given counts once. A task without such metrics, and an attribute that is the same for all examples, give nothing.

    Writes `buckets.json` (of validation `buckets-val.json`) into the run's directory,
    `{"length": [{"low": 10, "high": 19, "count": 93, "accuracy": 0.98}, ...]}`, ends included, and logs
    `test_by_length/accuracy_10-19`.

    Args:
        number: buckets of equal width that an attribute's range in the whole split is cut into, at most; attributes are
            whole numbers, and where they take no more values than that, every value is a bucket; so it always is where
            the data module's `nominal` have it, as the numbers of tasks.
        edges: attribute to the values that its buckets begin at, in place of that: `{length: [20, 40]}` has the buckets
            below 20, 20 to 39, and 40 and above.
        validation: whether validation, too, is measured so.
        directory: the run's directory; `None` is the trainer's `default_root_dir`.

    Raises:
        UserError: edges that do not ascend.
    """

    def __init__(
        self,
        *,
        number: Positive = BUCKETS,
        edges: dict[str, list[int]] | None = None,
        validation: bool = False,
        directory: str | None = None,
    ) -> None:
        super().__init__()
        for attribute, values in (edges or {}).items():
            if sorted(set(values)) != list(values):
                raise UserError(
                    f"callbacks.buckets.edges.{attribute}={values}: must ascend", "Each is where a bucket begins."
                )
        self.number = number
        self.edges = dict(edges or {})
        self.validation = validation
        self.directory = directory
        self._seen: dict[int, dict[str, float]] = {}

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forgets an evaluation that did not come to its end."""
        self._seen = {}

    on_test_start = on_validation_start

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Notes the examples' metrics, if validation is asked for."""
        if self.validation and not trainer.sanity_checking:
            self._note(outputs, batch)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Notes the examples' metrics."""
        self._note(outputs, batch)

    def _note(self, outputs: Any, batch: Any) -> None:
        if not isinstance(outputs, Mapping) or not outputs or not hasattr(batch, "index"):
            return
        names = list(outputs)
        columns = torch.stack([outputs[name].double() for name in names], dim=1).tolist()
        for index, row in zip(batch.index.tolist(), columns, strict=True):
            self._seen[index] = dict(zip(names, row, strict=True))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs and writes the means of the validation set, if that is asked for."""
        if self.validation and not trainer.sanity_checking:
            self._evaluate(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs and writes the means of the test set."""
        self._evaluate(trainer, pl_module, "test")

    def _evaluate(self, trainer: pl.Trainer, pl_module: pl.LightningModule, split: str) -> None:
        seen, self._seen = gathered(trainer, self._seen), {}
        offered = getattr(trainer.datamodule, "attributes", None)  # type: ignore[attr-defined]
        if not seen or offered is None:
            return
        index = np.array(sorted(seen))
        metrics = {name: np.array([seen[i][name] for i in index]) for name in seen[index[0]]}
        nominal = getattr(trainer.datamodule, "nominal", ())  # type: ignore[attr-defined]
        found = {}
        for attribute, values in offered(split).items():
            whole = np.asarray(values).astype(np.int64)
            buckets = self._buckets(attribute, whole, every=attribute in nominal)
            if len(buckets) > 1:
                found[attribute] = list(means(whole[index], metrics, buckets))
        for attribute, rows in found.items():
            log_buckets(pl_module, split, attribute, rows)
        if trainer.is_global_zero and found:
            write_json(Path(self.directory or trainer.default_root_dir) / file_name(split), found)

    def _buckets(self, attribute: str, values: np.ndarray, *, every: bool) -> list[Bucket]:
        if not len(values):
            return []
        low, high = int(values.min()), int(values.max())
        if attribute in self.edges:
            return between(self.edges[attribute], low, high)
        return equal(low, high, high - low + 1 if every else self.number)


def means(values: np.ndarray, metrics: Mapping[str, np.ndarray], buckets: list[Bucket]) -> Iterator[dict[str, Any]]:
    """`low`, `high`, `count` and every metric's mean of the buckets that an example is in.

    Args:
        values: (examples,) of the attribute.
        metrics: name to (examples,) numbers.
        buckets: those to look at.
    """
    for low, high in buckets:
        inside = (values >= low) & (values <= high)
        if inside.any():
            found = {name: float(numbers[inside].mean()) for name, numbers in metrics.items()}
            yield {"low": low, "high": high, "count": int(inside.sum()), **found}
