"""The step of several ranks, of batches that gradients are added of, and of both, is that of one large batch."""

from functools import partial, partialmethod
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from seqtrain.callbacks.clipping import GradientClipping
from tests.models.examples import EXAMPLES, tiny
from tests.ranks import on_ranks
from tests.tiny import trainer

MODELS = [
    ("gru", "translation"),
    ("transformer", "translation"),
    ("conv", "translation"),
    ("lstm", "transduction"),
    ("rnn", "labelling"),
    ("gru", "regression"),
    ("ntm", "bits"),
    ("transformer", "answering"),
    ("memn2n", "answering"),
]
WHOLE = [[0, 3, 1, 2], [2, 0]]
"""Two steps' batches of one process: rows of the examples, of unlike numbers of tokens."""
PARTS = [[0], [3], [1], [2], [2], [0]]
"""The same four at a time; for the last step only two are left."""
SHARES = [[[0], [1], [2]], [[3], [2], [0]]]
"""The same of two ranks, two at a time."""


class Loaded(pl.LightningDataModule):
    """Batches of rows."""

    def __init__(self, task: str, rows: list[list[int]]) -> None:
        super().__init__()
        self.batches = [EXAMPLES[task][1](own) for own in rows]

    def train_dataloader(self) -> Any:
        return DataLoader(self.batches, batch_size=None)


class Norms(GradientClipping):
    """Clips, and notes the norm of before."""

    def __init__(self) -> None:
        super().__init__(norm=0.5)
        self.norms: list[float] = []

    def _log(self, pl_module: Any, size: float) -> None:
        self.norms.append(size)


def trained(
    name: str, task: str, rows: list[list[int]], folder: str, **options: Any
) -> tuple[list[torch.Tensor], list[float]]:
    """The parameters after an epoch of these batches, and the norms that were clipped."""
    torch.manual_seed(0)
    own: dict[str, Any] = {key: options.pop(key) for key in ("layers", "compile") if key in options}
    own |= {"noise": 0.0} if name == "memn2n" else {}
    made = tiny(name, EXAMPLES[task][0], label_smoothing=0.1 if task == "translation" else 0.0, **own)
    made.optimize_with(partial(torch.optim.SGD, lr=0.5))
    norms = Norms()
    fitted = trainer(Path(folder), norms, max_epochs=1, use_distributed_sampler=False, **options)
    fitted.fit(made, datamodule=Loaded(task, rows))
    assert fitted.global_step == 2
    assert not [key for key in made.state_dict() if "_orig_mod" in key]
    return [p.detach() for p in made.parameters()], norms.norms


def ranked(rank: int, folder: str) -> list[tuple[list[torch.Tensor], list[float]]]:
    two = {"devices": 2, "strategy": "ddp", "accumulate_grad_batches": 2}
    return [trained(*model, SHARES[rank], folder, **two) for model in MODELS]


def assert_same(one: tuple[list[torch.Tensor], list[float]], other: tuple[list[torch.Tensor], list[float]]) -> None:
    for a, b in zip(one[0], other[0], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert one[1] == pytest.approx(other[1], rel=1e-4)


@pytest.mark.parametrize("model", MODELS, ids="-".join)
def test_batches_that_gradients_are_added_of_are_one_large_one(model: tuple[str, str], tmp_path: Path) -> None:
    whole = trained(*model, WHOLE, str(tmp_path))
    assert_same(trained(*model, PARTS, str(tmp_path), accumulate_grad_batches=4), whole)


def test_and_so_are_those_of_two_ranks(tmp_path: Path) -> None:
    first, second = on_ranks(ranked, str(tmp_path))
    for model, one, other in zip(MODELS, first, second, strict=True):
        assert_same(one, trained(*model, WHOLE, str(tmp_path)))
        assert_same(one, other)


def test_float16_s_scale_changes_nothing(tmp_path: Path) -> None:
    """Lightning's scaler on the CPU: gradients are unscaled before they are clipped."""
    model = ("gru", "translation")
    whole = trained(*model, WHOLE, str(tmp_path))
    precision = pl.plugins.MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
    scaled = trained(*model, PARTS, str(tmp_path), accumulate_grad_batches=4, plugins=[precision])
    for a, b in zip(scaled[0], whole[0], strict=True):
        torch.testing.assert_close(a, b, rtol=0.05, atol=0.01)
    assert scaled[1] == pytest.approx(whole[1], rel=0.05)


def test_compiled_blocks_take_the_same_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = trained("transformer", "bits", WHOLE, str(tmp_path), layers=1)
    compiled = partialmethod(torch.nn.Module.compile, backend="eager")  # traced, but without a C++ compiler
    monkeypatch.setattr(torch.nn.Module, "compile", compiled)
    assert_same(trained("transformer", "bits", WHOLE, str(tmp_path), layers=1, compile=True), plain)
