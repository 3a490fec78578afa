"""Throughput and progress."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from seqtrain.callbacks.progress import Progress
from seqtrain.callbacks.throughput import Throughput
from tests.tiny import Numbers, Regression, Texts, Translator, trainer


class SlowTexts(Texts):
    """Waits before every batch, and far longer in validation."""

    def train_dataloader(self) -> Any:
        return Slow(self.batches(), 0.03)

    def val_dataloader(self) -> Any:
        return Slow(self.batches(), 0.3)


class Slow:
    def __init__(self, batches: list[Any], seconds: float) -> None:
        self.batches, self.seconds = batches, seconds

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        for batch in self.batches:
            time.sleep(self.seconds)
            yield batch


class SlowTranslator(Translator):
    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        time.sleep(0.01)
        return super().training_step(batch, batch_idx)


def test_tokens_a_second_without_validation(tmp_path: Path) -> None:
    callback = Throughput()
    fitted = trainer(tmp_path, callback, max_epochs=2, log_every_n_steps=6)
    began = time.perf_counter()
    fitted.fit(SlowTranslator(), datamodule=SlowTexts())
    whole = time.perf_counter() - began
    # Two epochs of five sentences of six tokens. Each of the six steps waits 0.03 s for data and takes 0.01 s and more;
    # each of the validations waits 0.9 s for its data.
    seconds = 60 / float(fitted.callback_metrics["train/tokens_per_second"])
    share = float(fitted.callback_metrics["train/data_share"])
    assert seconds * share >= 6 * 0.03
    assert seconds * (1 - share) >= 6 * 0.01
    assert seconds <= whole - 2 * 0.9
    assert float(fitted.callback_metrics["train/lr"]) == pytest.approx(0.1)
    assert callback.unit == "tokens"


def test_batches_without_tokens_count_examples(tmp_path: Path) -> None:
    fitted = trainer(tmp_path, Throughput(), max_epochs=1, log_every_n_steps=2)
    fitted.fit(Regression(), datamodule=Numbers())
    assert float(fitted.callback_metrics["train/examples_per_second"]) > 0
    # The schedule halves the rate after three steps: the fourth was taken with half of 0.1.
    assert float(fitted.callback_metrics["train/lr"]) == pytest.approx(0.05)


def test_one_line_a_validation_without_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    fitted = trainer(tmp_path, progress, Throughput(), enable_progress_bar=True, max_epochs=3, log_every_n_steps=2)
    fitted.fit(Regression(), datamodule=Numbers())
    captured = capsys.readouterr()
    lines = [line for line in captured.out.splitlines() if line.startswith("epoch")]
    assert [line.split("  ")[:2] for line in lines] == [
        ["epoch 1/3", "step 4"],
        ["epoch 2/3", "step 8"],
        ["epoch 3/3", "step 12"],
    ]
    assert all("val/loss" in line and "examples/s" in line and "left" in line for line in lines)
    assert "%|" not in captured.out + captured.err


def test_bar_is_of_the_whole_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    progress = Progress(refresh=1)
    seen: list[tuple[int, int, str]] = []

    class Look(pl.Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            bar = progress.train_progress_bar
            seen.append((bar.n, bar.total, str(bar.postfix)))

    fitted = trainer(tmp_path, progress, Look(), enable_progress_bar=True, max_epochs=3)
    fitted.fit(Regression(), datamodule=Numbers())
    assert [n for n, _, _ in seen] == list(range(1, 13))
    assert {total for _, total, _ in seen} == {12}
    assert "loss=" in seen[-1][2]
    assert "val/loss=" in seen[-1][2]
    assert progress.seconds_left(fitted) == 0
