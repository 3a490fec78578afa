"""What only the machine or the opened data show is refused before a run's directory is written."""

from contextlib import nullcontext

import pytest

from seqtrain.commands.epochs import check_epochs
from seqtrain.commands.processes import check_devices
from seqtrain.config.allow import build
from seqtrain.config.compose import compose
from seqtrain.errors import UserError

DATA = ["data=copy", "data.size=1000", "data.batch_size=10", "data.val_size=100", "trainer=cpu"]


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ("-1", "trainer.devices=-1: chooses GPUs, .*\n.*trainer.devices=1,"),
        ("[0,1]", r"trainer.devices=\[0, 1\]: chooses GPUs, .*\n.*trainer.devices=2,"),
        ("'0,'", "trainer.devices=0,: chooses GPUs"),
        ("auto", None),
        ("2", None),
        ("'2'", None),
    ],
)
def test_processors_are_counted_not_chosen(devices: str, message: str | None) -> None:
    config = compose(["trainer=cpu", f"trainer.devices={devices}"]).trainer
    with pytest.raises(UserError, match=message) if message else nullcontext():
        check_devices(config)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["val_check_interval=101"], "only 100 batches\n.*trainer.check_val_every_n_epoch=null; else at most 100"),
        (["val_check_interval=51", "devices=2"], "only 50 batches"),
        (["val_check_interval=21", "limit_train_batches=0.2"], "only 20 batches"),
        (["val_check_interval=21", "limit_train_batches=20"], "only 20 batches"),
        (["val_check_interval=3", "overfit_batches=2"], "only 2 batches"),
        (["limit_train_batches=0.001"], "less than one of the 100 batches of train\n.*trainer.limit_train_batches=1"),
        (["limit_val_batches=0.001"], "less than one of the 10 batches of val"),
        (["val_check_interval=100"], None),
        (["val_check_interval=101", "check_val_every_n_epoch=null"], None),
        (["val_check_interval=101", "limit_val_batches=0"], None),
        (["val_check_interval=101", "fast_dev_run=true"], None),
        (["val_check_interval=0.01", "limit_train_batches=0.5"], None),
    ],
)
def test_batches_that_an_epoch_does_not_have(overrides: list[str], message: str | None) -> None:
    config = compose([*DATA, *(f"trainer.{override}" for override in overrides)])
    data = build(config.data, "data", seed=1)
    data.setup("fit")
    with pytest.raises(UserError, match=message) if message else nullcontext():
        check_epochs(config.trainer, data)
