"""Pictures of what was read and written: always of the same examples, of what heads did, only where bits are."""

from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from matplotlib.image import imread

from seqtrain.callbacks.memory_maps import MemoryMaps, Pass, draw, passes
from seqtrain.data.associative_recall import AssociativeRecall
from seqtrain.data.copy import Copy
from tests.models.examples import BITS, TEXTS, bits, tiny
from tests.tiny import Texts, Translator, trainer


def data() -> Copy:
    return Copy(seed=1, bits=3, max_length=4, test_lengths=[2, 5], size=20, val_size=7, test_size=9, batch_size=4)


def test_pictures_of_fixed_examples_at_test(tmp_path: Path) -> None:
    copy = data()
    trainer(tmp_path, MemoryMaps(examples=3)).test(tiny("ntm", copy.task), datamodule=copy, verbose=False)
    found = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert found == ["memory-0.png", "memory-4.png", "memory-8.png"]
    for path in (tmp_path / "figures").iterdir():
        assert imread(path).std() > 0.1  # neither all white nor all black


def test_validation_is_drawn_alone_and_not_in_training(tmp_path: Path) -> None:
    copy = data()
    model = tiny("ntm", copy.task)
    alone = trainer(tmp_path / "alone", MemoryMaps(examples=1))
    alone.validate(model, datamodule=copy, verbose=False)
    assert [path.name for path in (tmp_path / "alone" / "figures").iterdir()] == ["memory-val-0.png"]
    model.configure_optimizers = lambda: torch.optim.SGD(model.parameters(), lr=0.1)
    trainer(tmp_path / "fit", MemoryMaps(), max_epochs=1).fit(model, datamodule=copy)
    assert not (tmp_path / "fit" / "figures").exists()


@pytest.mark.parametrize("model", ["lstm", "transformer"])
def test_without_a_memory_the_bits_alone_are_shown(model: str, tmp_path: Path) -> None:
    recall = AssociativeRecall(seed=1, val_size=4)
    network = tiny(model, recall.task)
    trainer(tmp_path, MemoryMaps(examples=2)).validate(network, datamodule=recall, verbose=False)
    assert len(list((tmp_path / "figures").iterdir())) == 2
    with torch.no_grad():
        assert [*passes(network.network, bits_of(recall))[0].panels] == ["inputs", "targets", "outputs"]


def bits_of(module: pl.LightningDataModule) -> object:
    return next(iter(module.val_dataloader()))


def test_other_tasks_are_left_alone(tmp_path: Path) -> None:
    trainer(tmp_path, MemoryMaps()).test(Translator(), datamodule=Texts(3), verbose=False)
    assert not (tmp_path / "figures").exists()


@torch.no_grad()
def test_what_is_shown_is_what_happened() -> None:
    model, batch = tiny("ntm", BITS, reads=2), bits()
    found = passes(model.network, batch)
    assert sorted(found) == [0, 1, 2, 3]
    for row, shown in found.items():
        T = len(TEXTS[row])
        names = ["inputs", "targets", "outputs", "write weighting", "read weighting 1", "read weighting 2"]
        assert [*shown.panels] == names
        np.testing.assert_array_equal(shown.panels["inputs"], batch.inputs[row, :T].T)
        logits_TO = model.network(batch.inputs[row : row + 1, :T], torch.tensor([T]))[0]
        asked = batch.asked[row, :T].numpy()
        np.testing.assert_allclose(shown.panels["outputs"][:, asked], logits_TO.sigmoid().T[:, asked], rtol=1e-4)
        assert np.isnan(shown.panels["targets"][:, ~asked]).all()
        for name in names[3:]:
            np.testing.assert_allclose(shown.panels[name].sum(0), 1, rtol=1e-5)
        wrong = int(((logits_TO > 0) != (batch.targets[row, :T] > 0.5))[asked].sum())
        assert shown.about == f"{wrong} of {3 * asked.sum()} bits wrong"


def test_nothing_that_is_asked_for_can_be_drawn(tmp_path: Path) -> None:
    panels = {"inputs": np.zeros((2, 1)), "targets": np.full((2, 1), np.nan)}
    draw(tmp_path / "x.png", Pass(panels, "0 of 0 bits wrong"))
    assert (tmp_path / "x.png").is_file()
