"""FSDP: two processes that share the Transformer's parameters train as two do that have all of them."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.strategies import DDPStrategy

from seqtrain.callbacks.averaging import Averaging
from seqtrain.callbacks.clipping import GradientClipping
from seqtrain.callbacks.ema import EMA
from seqtrain.callbacks.initialisation import Initialisation
from seqtrain.callbacks.randomness import Randomness
from seqtrain.decoding.settings import Decoding
from seqtrain.runs.checkpoints import AtomicCheckpointIO, read_checkpoint
from seqtrain.strategies import FullySharded
from tests.models.examples import JOINT, pairs, tiny
from tests.models.test_weighing import SHARES, Loaded
from tests.ranks import on_ranks
from tests.tiny import trainer

CLIPPINGS: list[dict[str, Any]] = [
    {"norm": 0.5},
    {"norm": 0.1, "per_parameter": True},
    {"norm": None, "value": 0.01},
    {"norm": None, "adaptive": 0.01},
]


class Validated(Loaded):
    """The same, with a batch to validate on that the ranks decode in unlike numbers of steps."""

    def __init__(self, rank: int) -> None:
        super().__init__("translation", SHARES[rank])
        self.rank = rank

    def val_dataloader(self) -> Any:
        self.batches, kept = self.batches[: 1 + self.rank], self.batches
        try:
            return self.train_dataloader()
        finally:
            self.batches = kept


class Decoded(Randomness):
    """Translates in validation, as BLEU does; and notes what it found."""

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, *_: Any) -> None:
        with torch.inference_mode():
            pl_module.translate(batch, Decoding(max_length=3 + 2 * trainer.global_rank))


def model() -> Any:
    """A translator whose three matrices of embeddings are one."""
    made = tiny("transformer", JOINT)
    # Not Adam: it makes steps of rounding errors, where a gradient is 0 as that of the keys' biases.
    made.optimize_with(partial(torch.optim.SGD, lr=0.2, momentum=0.9))
    return made


def fitted(place: Path, strategy: Any, rank: int, *callbacks: Any, epochs: int = 2, **options: Any) -> Any:
    fit = {"ckpt_path": options.pop("ckpt", None), "weights_only": True}
    settings = {"devices": 2, "strategy": strategy, "plugins": [AtomicCheckpointIO()], "max_epochs": epochs}
    made = trainer(place, *callbacks, **settings, use_distributed_sampler=False, **options)
    made.fit(model(), datamodule=Validated(rank), **fit)
    made.save_checkpoint(place / "last.ckpt")
    return made


def both(rank: int, folder: str) -> list[float]:
    """Trains by FSDP and by DDP, with every way of clipping; goes on with each by the other."""
    place = Path(folder)
    for name, strategy in (("fsdp", FullySharded), ("ddp", DDPStrategy)):
        for number, options in enumerate(CLIPPINGS):
            callbacks = [GradientClipping(**options), Initialisation(embeddings="uniform")]
            fitted(place / f"{name}{number}", strategy(), rank, *callbacks, accumulate_grad_batches=2)
        more = [EMA(decay=0.5), Averaging(dirpath=str(place / name)), Decoded(), GradientClipping()]
        fitted(place / name, strategy(), rank, *more)
    losses = []
    for name, strategy in (("fsdp", DDPStrategy), ("ddp", FullySharded), ("fsdp", FullySharded), ("ddp", DDPStrategy)):
        callbacks = [EMA(decay=0.5), Decoded(), GradientClipping()]
        resumed = fitted(place / "on", strategy(), rank, *callbacks, epochs=3, ckpt=place / name / "last.ckpt")
        losses.append(float(resumed.callback_metrics["val/loss"]))
    return losses


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[float]]]:
    place = tmp_path_factory.mktemp("both")
    return place, on_ranks(both, str(place))


def assert_same(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        if torch.is_tensor(value):
            assert type(value) is torch.Tensor
            torch.testing.assert_close(value, other[name], rtol=1e-4, atol=1e-5)
        elif isinstance(value, dict):
            assert_same(value, other[name])


@pytest.mark.parametrize("name", ["", *map(str, range(len(CLIPPINGS)))])
def test_a_checkpoint_is_that_of_processes_that_have_the_whole_model(
    name: str, trained: tuple[Path, list[list[float]]]
) -> None:
    one, other = (read_checkpoint(trained[0] / f"{way}{name}" / "last.ckpt") for way in ("fsdp", "ddp"))
    assert_same(one["state_dict"], other["state_dict"])
    assert_same(one["optimizer_states"][0]["state"], other["optimizer_states"][0]["state"])
    assert_same(one.get("ema", {}), other.get("ema", {}))


def test_the_mean_of_weights_is_the_same(trained: tuple[Path, list[list[float]]]) -> None:
    one, other = (read_checkpoint(trained[0] / way / "averaged.ckpt") for way in ("fsdp", "ddp"))
    assert_same(one["state_dict"], other["state_dict"])


def test_a_training_goes_on_with_either(trained: tuple[Path, list[list[float]]]) -> None:
    first, second = trained[1]
    assert first == second == pytest.approx([first[0]] * 4, rel=1e-4)


def test_one_process_loads_the_weights_with_its_tied_matrices_as_one(trained: tuple[Path, list[list[float]]]) -> None:
    alone = model()
    alone.load_state_dict(read_checkpoint(trained[0] / "fsdp" / "last.ckpt")["state_dict"])
    assert alone.network.decoder.output.weight is alone.network.encoder.embedded.table.weight
    assert alone.translate(pairs([[4, 5]], [[]]), Decoding(max_length=4))
