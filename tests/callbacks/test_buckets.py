"""Buckets: means by what examples are like, against NumPy."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader

from seqtrain.callbacks.buckets import Buckets, means
from seqtrain.errors import UserError
from seqtrain.runs.cutting import between, equal
from tests.tiny import trainer

LENGTHS = np.array([3, 9, 4, 4, 8, 12, 5, 3, 10, 12])
RIGHT = np.array([1, 0, 1, 0, 1, 0, 1, 1, 0, 1], dtype=np.float64)


class Measured(pl.LightningModule):
    """Has a metric of every example."""

    def __init__(self, metrics: bool = True) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.metrics = metrics

    def test_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        return {"accuracy": torch.from_numpy(RIGHT)[batch.index]} if self.metrics else {}

    validation_step = test_step

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.weight**2

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Examples(pl.LightningDataModule):
    """Ten examples in batches that are not in their order, the last of them twice."""

    def attributes(self, split: str) -> dict[str, np.ndarray]:
        return {"length": LENGTHS, "same": np.full(10, 7)}

    def test_dataloader(self) -> Any:
        batches = [SimpleNamespace(index=torch.tensor(index)) for index in ([7, 2, 9, 0], [5, 4, 3], [1, 8, 6, 9])]
        return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]

    train_dataloader = val_dataloader = test_dataloader


def expected(low: int, high: int) -> dict[str, Any]:
    inside = (low <= LENGTHS) & (high >= LENGTHS)
    return {"low": low, "high": high, "count": int(inside.sum()), "accuracy": float(RIGHT[inside].mean())}


def test_means_are_written_and_logged(tmp_path: Path) -> None:
    tester = trainer(tmp_path, Buckets(number=3))
    tester.test(Measured(), datamodule=Examples(), verbose=False)
    found = json.loads((tmp_path / "buckets.json").read_text())
    assert found == {"length": [expected(3, 6), expected(7, 10), expected(11, 12)]}
    logged = {name: float(value) for name, value in tester.callback_metrics.items()}
    assert logged == {
        f"test_by_length/accuracy_{row['low']}-{row['high']}": pytest.approx(row["accuracy"]) for row in found["length"]
    }


def test_edges_say_where_buckets_begin(tmp_path: Path) -> None:
    trainer(tmp_path, Buckets(edges={"length": [5, 9]})).test(Measured(), datamodule=Examples(), verbose=False)
    found = json.loads((tmp_path / "buckets.json").read_text())
    assert found == {"length": [expected(3, 4), expected(5, 8), expected(9, 12)]}


def test_what_was_not_asked_for_is_not_measured(tmp_path: Path) -> None:
    trainer(tmp_path, Buckets(), max_epochs=1).fit(Measured(), datamodule=Examples())
    trainer(tmp_path, Buckets()).test(Measured(metrics=False), datamodule=Examples(), verbose=False)
    assert not list(tmp_path.glob("buckets*.json"))
    fitted = trainer(tmp_path, Buckets(number=3, validation=True), max_epochs=1)
    fitted.fit(Measured(), datamodule=Examples())
    assert json.loads((tmp_path / "buckets-val.json").read_text())["length"][0] == expected(3, 6)
    assert "val_by_length/accuracy_3-6" in fitted.callback_metrics


def test_a_part_of_the_examples_has_the_buckets_of_all(tmp_path: Path) -> None:
    trainer(tmp_path, Buckets(number=3), limit_test_batches=1).test(Measured(), datamodule=Examples(), verbose=False)
    rows = json.loads((tmp_path / "buckets.json").read_text())["length"]
    assert [(row["low"], row["high"], row["count"]) for row in rows] == [(3, 6, 3), (11, 12, 1)]


def test_edges_must_ascend() -> None:
    with pytest.raises(UserError, match=r"edges.length=\[5, 5\]: must ascend"):
        Buckets(edges={"length": [5, 5]})


@given(st.integers(-50, 50), st.integers(0, 300), st.integers(1, 20))
def test_equal_buckets_cover_the_range_once(low: int, span: int, number: int) -> None:
    buckets = equal(low, low + span, number)
    assert len(buckets) <= number
    assert [value for start, end in buckets for value in range(start, end + 1)] == list(range(low, low + span + 1))
    assert len({end - start for start, end in buckets[:-1]}) <= 1


@given(st.lists(st.integers(-5, 40), unique=True).map(sorted), st.integers(0, 10), st.integers(0, 30))
def test_given_buckets_cover_the_range_once(edges: list[int], low: int, span: int) -> None:
    buckets = between(edges, low, low + span)
    assert [value for start, end in buckets for value in range(start, end + 1)] == list(range(low, low + span + 1))
    assert {start for start, _ in buckets} == {low, *(edge for edge in edges if low < edge <= low + span)}


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 1000)), min_size=1))
def test_means_keep_the_whole(pairs: list[tuple[int, int]]) -> None:
    values, numbers = np.array(pairs).T
    rows = list(means(values, {"error": numbers / 8}, equal(0, 30, 4)))
    assert sum(row["count"] for row in rows) == len(pairs)
    assert sum(row["count"] * row["error"] for row in rows) == pytest.approx((numbers / 8).sum())
