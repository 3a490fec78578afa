"""Small models and data to try callbacks and loggers with, as somebody would who uses them alone."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from seqtrain.decoding.settings import Decoding, Hypothesis
from seqtrain.tasks.translation import TranslationBatch


class Regression(pl.LightningModule):
    """A linear layer with dropout; notes the loss of every step and every validation."""

    def __init__(self, *, lr: float = 0.1, dropout: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)
        self.dropout = torch.nn.Dropout(dropout)
        self.lr, self.scale = lr, scale
        self.losses: list[float] = []
        self.steps: list[int] = []
        self.validations: list[tuple[int, float]] = []

    def loss(self, batch: Any) -> torch.Tensor:
        x, y = batch
        return self.scale * torch.nn.functional.mse_loss(self.layer(self.dropout(x)), y)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = self.loss(batch)
        self.log("train/loss", loss)
        self.losses.append(loss.item())
        self.steps.append(self.trainer.global_step)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        loss = self.loss(batch)
        self.log("val/loss", loss, on_epoch=True, batch_size=len(batch[0]))

    def on_validation_epoch_end(self) -> None:
        if not self.trainer.sanity_checking:
            self.validations.append((self.trainer.global_step, float(self.trainer.callback_metrics["val/loss"])))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=0.1)
        # What a schedule asks for that is as long as the training.
        steps = int(self.trainer.estimated_stepping_batches) // self.trainer.max_epochs
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=steps - 1, gamma=0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Stream:
    """Batches of an epoch; can go on in the middle of one."""

    def __init__(self, data: "Numbers") -> None:
        self.data = data
        self.skip = 0

    def __len__(self) -> int:
        return self.data.batches

    def __iter__(self) -> Iterator[Any]:
        skip, self.skip = self.skip, 0
        yield from list(self.data.loader(seed=1))[skip:]

    def state_dict(self) -> dict[str, int]:
        return {"skip": self.data.trainer.fit_loop.epoch_loop.batch_progress.current.processed}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.skip = state["skip"] % self.data.batches


class Numbers(pl.LightningDataModule):
    """Random numbers to regress on."""

    def __init__(self, batches: int = 4) -> None:
        super().__init__()
        self.batches = batches

    def loader(self, seed: int) -> DataLoader[Any]:
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(8 * self.batches, 3, generator=generator)
        return DataLoader(TensorDataset(x, x[:, :2] * 2), batch_size=8)

    def train_dataloader(self) -> Stream:
        return Stream(self)

    def val_dataloader(self) -> DataLoader[Any]:
        return self.loader(2)


class Words:
    """A tokenizer whose ids are places in a list of words."""

    words = ("a", "man", "dog", "runs", "sits", "on", "under", "the", "red", "Tisch", ",")

    def decode(self, ids: list[int]) -> str:
        return " ".join(self.words[i] for i in ids)


class Texts(pl.LightningDataModule):
    """Sentences in batches of two; the reference of sentence i is in `texts`."""

    def __init__(self, count: int = 5) -> None:
        super().__init__()
        self.target_tokenizer = Words()
        generator = torch.Generator().manual_seed(0)
        self.ids = [torch.randint(0, 11, (6,), generator=generator).tolist() for _ in range(count)]
        self.texts = [self.target_tokenizer.decode(ids) for ids in self.ids]

    @property
    def description(self) -> dict[str, Any]:
        return {"sizes": {"test": len(self.texts)}}

    def sources(self, split: str) -> list[str]:
        return [f"Quelle {i}\u2028 ¡sí! " for i in range(len(self.texts))]

    def references(self, split: str) -> list[str]:
        return self.texts

    def batches(self) -> list[TranslationBatch]:
        order = list(range(len(self.ids)))[::-1]
        return [_translation_batch(order[i : i + 2], self.ids) for i in range(0, len(order), 2)]

    def train_dataloader(self) -> Any:
        return DataLoader(self.batches(), batch_size=None)  # type: ignore[arg-type]

    val_dataloader = test_dataloader = train_dataloader


def _translation_batch(index: list[int], ids: list[list[int]]) -> TranslationBatch:
    target = torch.tensor([ids[i] for i in index])
    lengths = torch.full((len(index),), target.shape[1])
    return TranslationBatch(
        index=torch.tensor(index), source=target, source_lengths=lengths, target=target, target_lengths=lengths
    )


class Translator(pl.LightningModule):
    """Knows the translations, but for the last `mistakes(step)` words of each."""

    task = SimpleNamespace(name="translation")

    def __init__(self, mistakes: Any = lambda step: 2) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.mistakes = mistakes
        self.asked: list[Decoding] = []

    def translate(self, batch: TranslationBatch, decoding: Decoding) -> list[list[Hypothesis]]:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.asked.append(decoding)
        wrong = self.mistakes(self.trainer.global_step)
        return [
            [Hypothesis(tokens=row[: len(row) - wrong] + [0] * wrong, log_probability=-1.0, score=-1.0)]
            for row in batch.target.tolist()
        ]

    def training_step(self, batch: TranslationBatch, batch_idx: int) -> torch.Tensor:
        return self.weight**2

    def validation_step(self, batch: TranslationBatch, batch_idx: int) -> None: ...

    def test_step(self, batch: TranslationBatch, batch_idx: int) -> None: ...

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(folder: Path, *callbacks: pl.Callback, **options: Any) -> pl.Trainer:
    """A quiet trainer on the CPU."""
    settings: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "log_every_n_steps": 1,
        "max_epochs": 2,
    }
    return pl.Trainer(default_root_dir=str(folder), callbacks=list(callbacks), **{**settings, **options})
