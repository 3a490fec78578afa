"""The metrics that every run keeps by itself."""

import json
from pathlib import Path

import pytest
import torch

from seqtrain.errors import UserError
from seqtrain.runs.metrics import MetricsFile
from seqtrain.runs.table import CSV
from tests.tiny import Numbers, Regression, trainer


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_trainings_metrics(tmp_path: Path) -> None:
    logger = MetricsFile(directory=str(tmp_path))
    trainer(tmp_path, logger=logger, max_epochs=2).fit(Regression(), datamodule=Numbers())
    found = lines(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in found if "train/loss" in line] == list(range(8))
    assert [(line["step"], line["epoch"]) for line in found if "val/loss" in line] == [(3, 0), (7, 1)]


def test_values_that_json_has_no_word_for(tmp_path: Path) -> None:
    logger = MetricsFile(directory=str(tmp_path))
    logger.log_metrics({"a": float("nan"), "b": float("inf"), "c": -float("inf"), "d": torch.tensor(2.0)}, step=0)  # type: ignore[dict-item]
    (line,) = lines(logger.path)
    assert line == {"step": 0, "a": "NaN", "b": "Infinity", "c": "-Infinity", "d": 2.0}


def test_goes_on_and_rewinds(tmp_path: Path) -> None:
    first = MetricsFile(directory=str(tmp_path))
    for step in range(5):
        first.log_metrics({"x": step}, step=step)
    with first.path.open("a") as file:
        file.write('{"step": 5, "x"')  # killed while writing
    second = MetricsFile(directory=str(tmp_path))
    second.rewind(3)
    second.log_metrics({"x": 30}, step=3)
    second.finalize("success")
    second.log_metrics({"x": 40}, step=4)
    assert lines(first.path) == [
        {"step": 0, "x": 0},
        {"step": 1, "x": 1},
        {"step": 2, "x": 2},
        {"step": 3, "x": 30},
        {"step": 4, "x": 40},
    ]


def test_a_line_cut_short_does_not_swallow_the_next(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0}\n{"st')
    MetricsFile(directory=str(tmp_path)).log_metrics({"x": 1}, step=1)
    assert path.read_text().splitlines()[2] == '{"step": 1, "x": 1}'


def test_full_disk() -> None:
    logger = MetricsFile(directory="/dev/full/none")
    with pytest.raises(UserError, match="cannot write"):
        logger.log_metrics({"x": 1}, step=0)


def test_csv(tmp_path: Path) -> None:
    trainer(tmp_path, logger=CSV(directory=str(tmp_path)), max_epochs=1).fit(Regression(), datamodule=Numbers())
    table = (tmp_path / "csv" / "version_0" / "metrics.csv").read_text().splitlines()
    assert "val/loss" in table[0]
    assert len(table) >= 5
