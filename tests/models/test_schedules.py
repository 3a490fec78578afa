"""Schedules as the trainer steps them."""

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from seqtrain.errors import UserError
from seqtrain.models.gru import GRU
from seqtrain.optim import Constant, Cosine, Plateau
from seqtrain.tasks.labelling import Labelling, LabellingBatch


def batches(count: int) -> Any:
    examples = [
        LabellingBatch(torch.arange(2), torch.tensor([[1, 2], [2, 1]]), torch.tensor([2, 2]), torch.tensor([0, 1]))
    ] * count
    return DataLoader(examples, batch_size=None)


def rates(schedule: Any, **options: Any) -> list[float]:
    model = GRU(task=Labelling(vocabulary=3, labels=("a", "b")), embedding=4, hidden=4)
    model.optimize_with(lambda parameters: torch.optim.SGD(parameters, lr=1e-4), schedule)
    seen: list[float] = []

    class Rates(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
            seen.append(trainer.optimizers[0].param_groups[0]["lr"] / 1e-4)

    trainer = pl.Trainer(
        callbacks=[Rates()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        num_sanity_val_steps=0,
        **options,
    )
    trainer.fit(model, batches(2), batches(1))
    return seen


def test_a_plateau_is_of_validations_not_of_epochs() -> None:
    # Accuracy stays as it is: after the first validation none is better. Patience lets one pass, the next one halves.
    each = rates(Plateau(patience=1), max_epochs=4)
    assert each == pytest.approx([1, 1, 1, 0.5])
    every_second = rates(Plateau(patience=1), max_epochs=7, check_val_every_n_epoch=2)
    assert every_second == pytest.approx([1, 1, 1, 1, 1, 1, 0.5])


def test_cosine_of_a_training_without_end_is_refused() -> None:
    with pytest.raises(UserError, match="needs a training with an end"):
        rates(Cosine(), max_epochs=-1, max_time="00:00:00:01")


def test_constant_goes_with_a_training_without_end() -> None:
    assert set(rates(Constant(), max_epochs=-1, max_time="00:00:00:01")) == {1.0}
