"""A run that was stopped goes on with the batch after the last one that it trained on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint

from seqtrain.data.loading import SequenceData
from seqtrain.errors import UserError
from seqtrain.tasks.base import Batch

EPOCHS = 4


@dataclass
class Numbers(Batch):
    values: torch.Tensor


class NumberData(SequenceData):
    """A hundred examples of random lengths."""

    task_name = "labelling"

    def __init__(self, *, seed: int = 3, batch_tokens: int = 60, num_workers: int = 0) -> None:
        super().__init__(batch_tokens=batch_tokens, seed=seed, num_workers=num_workers)
        self._lengths = np.random.default_rng(0).integers(1, 12, size=100)

    def open(self, split: str) -> str:
        return "the same"

    def lengths(self, split: str) -> np.ndarray:
        return self._lengths

    def collate(self, split: str, index: np.ndarray) -> Numbers:
        return Numbers(index=torch.from_numpy(index), values=torch.from_numpy(index).float())


class Recorder(pl.LightningModule):
    """Learns one number, and keeps which examples it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[int, list[int]]] = []

    def training_step(self, batch: Numbers, batch_idx: int) -> torch.Tensor:
        self.seen.append((self.current_epoch, batch.index.tolist()))
        return (self.weight - batch.values).square().mean() * 1e-3

    def validation_step(self, batch: Numbers, batch_idx: int) -> None:
        self.log("val/loss", (self.weight - batch.values).abs().mean(), batch_size=len(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.1)


class InterruptInStep(Callback):
    """Fails before a step is taken, when the batch has been fetched already, and writes a checkpoint."""

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path

    def on_before_optimizer_step(self, trainer: pl.Trainer, *args: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            raise RuntimeError("interrupted")


def trainer(folder: Path, *callbacks: Callback, **options: Any) -> pl.Trainer:
    return pl.Trainer(
        **{
            "accelerator": "cpu",
            "default_root_dir": folder,
            "max_epochs": EPOCHS,
            "logger": False,
            "enable_checkpointing": any(isinstance(c, ModelCheckpoint) for c in callbacks),
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "use_distributed_sampler": False,
            "callbacks": list(callbacks),
            **options,
        }
    )


def resumed(folder: Path, path: Path, workers: int = 0, **options: Any) -> Recorder:
    model = Recorder()
    trainer(folder, **options).fit(model, datamodule=NumberData(num_workers=workers), ckpt_path=path)
    return model


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    model = Recorder()
    trainer(tmp_path_factory.mktemp("whole")).fit(model, datamodule=NumberData())
    return model


@pytest.fixture(scope="module")
def steps(whole: Recorder) -> int:
    assert len(whole.seen) % EPOCHS == 0
    return len(whole.seen) // EPOCHS


def test_every_epoch_sees_every_example_once_in_another_order(whole: Recorder, steps: int) -> None:
    epochs = [[i for _, batch in whole.seen[e * steps : (e + 1) * steps] for i in batch] for e in range(EPOCHS)]
    assert all(sorted(epoch) == list(range(100)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == EPOCHS


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("epoch_share", [(0, 0.3), (2, 0.5), (1, "last"), (0, "first")])
def test_resumes_mid_epoch(
    whole: Recorder, steps: int, tmp_path: Path, epoch_share: tuple[int, Any], workers: int
) -> None:
    epoch, share = epoch_share
    within = {"first": 1, "last": steps}.get(share) or max(2, int(share * steps))
    stop = epoch * steps + within
    first = Recorder()
    saver = ModelCheckpoint(dirpath=tmp_path, filename="{step}", every_n_train_steps=stop, save_top_k=-1)
    trainer(tmp_path, saver, max_steps=stop).fit(first, datamodule=NumberData(num_workers=workers))
    second = resumed(tmp_path, tmp_path / f"step={stop}.ckpt", workers)
    assert first.seen + second.seen == whole.seen
    assert torch.equal(second.weight, whole.weight)


@pytest.mark.parametrize("options", [{}, {"save_on_train_epoch_end": True}, {"monitor": "val/loss"}])
@pytest.mark.parametrize("epoch", [0, 1])
def test_resumes_between_epochs(
    whole: Recorder, steps: int, tmp_path: Path, options: dict[str, Any], epoch: int
) -> None:
    saver = ModelCheckpoint(dirpath=tmp_path, filename="{epoch}", every_n_epochs=1, save_top_k=-1, **options)
    trainer(tmp_path, saver, max_epochs=epoch + 1).fit(Recorder(), datamodule=NumberData())
    second = resumed(tmp_path, tmp_path / f"epoch={epoch}.ckpt")
    assert second.seen == whole.seen[(epoch + 1) * steps :]
    assert torch.equal(second.weight, whole.weight)


def test_resumes_after_validation_within_an_epoch(whole: Recorder, steps: int, tmp_path: Path) -> None:
    every = steps // 3
    saver = ModelCheckpoint(dirpath=tmp_path, filename="{step}", monitor="val/loss", save_top_k=-1)
    trainer(tmp_path, saver, max_epochs=2, val_check_interval=every).fit(Recorder(), datamodule=NumberData())
    saved = sorted(tmp_path.glob("*.ckpt"), key=lambda path: int(path.stem.split("=")[1]))
    assert len(saved) >= 6
    for path in saved:
        second = resumed(tmp_path, path, val_check_interval=every)
        assert second.seen == whole.seen[int(path.stem.split("=")[1]) :], path.name


def test_a_batch_whose_step_was_interrupted_is_seen_again(whole: Recorder, steps: int, tmp_path: Path) -> None:
    stop, path = steps + 2, tmp_path / "interrupted.ckpt"
    with pytest.raises(RuntimeError, match="interrupted"):
        trainer(tmp_path, InterruptInStep(stop, path)).fit(Recorder(), datamodule=NumberData(num_workers=1))
    assert resumed(tmp_path, path).seen == whole.seen[stop:]


def test_the_global_random_stream_is_left_alone() -> None:
    data = NumberData()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert len(list(data.train_dataloader())) > 1
    assert torch.equal(torch.get_rng_state(), before)


def test_other_batches_are_refused_within_an_epoch_only(tmp_path: Path, steps: int) -> None:
    saver = ModelCheckpoint(dirpath=tmp_path, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    trainer(tmp_path, saver, max_steps=2).fit(Recorder(), datamodule=NumberData())
    with pytest.raises(UserError, match=rf"(?s)after batch 2 of {steps} .*Resume with") as error:
        trainer(tmp_path).fit(Recorder(), datamodule=NumberData(batch_tokens=30), ckpt_path=tmp_path / "step=2.ckpt")
    assert error.value.code == 2

    other = NumberData()
    other.open = lambda split: "others"  # type: ignore[method-assign]
    with pytest.raises(UserError, match=r"data the same.*data others"):
        trainer(tmp_path).fit(Recorder(), datamodule=other, ckpt_path=tmp_path / "step=2.ckpt")

    ended = ModelCheckpoint(dirpath=tmp_path, filename="{epoch}", every_n_epochs=1)
    trainer(tmp_path, ended, max_epochs=1).fit(Recorder(), datamodule=NumberData())
    model, other = Recorder(), NumberData(batch_tokens=30)
    trainer(tmp_path, max_epochs=2).fit(model, datamodule=other, ckpt_path=tmp_path / "epoch=0.ckpt")
    assert sorted(i for _, batch in model.seen for i in batch) == list(range(100))


def test_overfitting_sees_the_same_batches_every_epoch(tmp_path: Path) -> None:
    model = Recorder()
    trainer(tmp_path, overfit_batches=2, max_epochs=3).fit(model, datamodule=NumberData())
    batches = [indices for _, indices in model.seen]
    assert len(batches) == 6
    assert batches[:2] == batches[2:4] == batches[4:]


class Validated(Recorder):
    """Keeps which examples each validation saw, the sanity check's too."""

    def __init__(self) -> None:
        super().__init__()
        self.validations: list[list[int]] = []

    def on_validation_epoch_start(self) -> None:
        self.validations.append([])

    def validation_step(self, batch: Numbers, batch_idx: int) -> None:
        super().validation_step(batch, batch_idx)
        self.validations[-1] += batch.index.tolist()


def test_every_validation_sees_every_example_once(tmp_path: Path, steps: int) -> None:
    model = Validated()
    trainer(tmp_path, max_epochs=2, val_check_interval=steps // 2).fit(model, datamodule=NumberData())
    sanity, *validations = model.validations
    assert 0 < len(sanity) < 100
    assert len(validations) >= 4
    assert all(sorted(seen) == list(range(100)) for seen in validations)
