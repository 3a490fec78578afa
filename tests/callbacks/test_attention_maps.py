"""Attention pictures: of the model's own translations, with the pieces beside the weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch import Tensor, nn
from torch.utils.data import DataLoader

from seqtrain.callbacks.attention_maps import AttentionMaps, Map, draw, maps
from seqtrain.decoding.settings import Decoding, Hypothesis
from seqtrain.tasks.translation import BOS, EOS, TranslationBatch
from tests.tiny import Texts, Translator, trainer

LENGTHS = (4, 6, 3, 5, 2)


class Looking(nn.Module):
    """Attends to the token whose id is nearest to what it was given last; notes what it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Tensor, Tensor, Tensor]] = []

    def attention(self, source_BS: Tensor, lengths_B: Tensor, tokens_BT: Tensor) -> Tensor:
        self.asked.append((source_BS, lengths_B, tokens_BT))
        scores_BTS = -(tokens_BT.unsqueeze(2) - source_BS.unsqueeze(1)).abs().float()
        padding_BS = torch.arange(source_BS.shape[1]) >= lengths_B.unsqueeze(1)
        weights_BTS = scores_BTS.masked_fill(padding_BS.unsqueeze(1), -torch.inf).softmax(-1)
        return torch.stack([weights_BTS, weights_BTS.roll(1, 1)], 1).unsqueeze(2).expand(-1, -1, 3, -1, -1)


class Attentive(Translator):
    """A translator with a network; writes as many words as the sentence's position says."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def translate(self, batch: TranslationBatch, decoding: Decoding) -> Any:
        self.asked.append(decoding)
        return [[Hypothesis([5] * index, -1.0, -1.0)] for index in batch.index.tolist()]


class Pieces:
    def decode(self, ids: list[int]) -> str:
        return " ".join(map(str, ids))

    def pieces(self, ids: list[int]) -> list[str]:
        return [{BOS: "<bos>", EOS: "<eos>"}.get(i, f"${i}") for i in ids]


class Sentences(Texts):
    """Sources of different lengths."""

    def __init__(self) -> None:
        super().__init__(len(LENGTHS))
        self.source_tokenizer = self.target_tokenizer = Pieces()  # type: ignore[assignment]

    def test_dataloader(self) -> Any:
        return DataLoader([with_lengths(batch) for batch in self.batches()], batch_size=None)  # type: ignore[arg-type]

    val_dataloader = test_dataloader


def with_lengths(batch: TranslationBatch) -> TranslationBatch:
    batch.source_lengths = torch.tensor([LENGTHS[i] for i in batch.index.tolist()])
    for row, length in enumerate(batch.source_lengths.tolist()):
        batch.source[row, length - 1] = EOS
        batch.source[row, length:] = 0
    return batch


def test_pictures_of_fixed_examples_at_test(tmp_path: Path) -> None:
    network = Looking()
    trainer(tmp_path, AttentionMaps(examples=3)).test(Attentive(network), datamodule=Sentences(), verbose=False)
    found = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert found == ["attention-0.png", "attention-1.png", "attention-3.png"]
    for path in (tmp_path / "figures").iterdir():
        assert imread(path).std() > 0.1  # neither all white nor all black
    assert sum(len(source) for source, _, _ in network.asked) == 3


def test_what_is_too_long_for_a_picture_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("seqtrain.callbacks.attention_maps.LONGEST", 4)
    with caplog.at_level("INFO"):
        trainer(tmp_path, AttentionMaps(examples=3)).test(Attentive(Looking()), datamodule=Sentences(), verbose=False)
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["attention-0.png"]
    assert [text for text in caplog.messages if "attention map" in text] == [
        f"no attention map of test {index}: more than 4 pieces on a side" for index in (1, 3)
    ]


def test_validation_is_drawn_alone_and_not_in_training(tmp_path: Path) -> None:
    trainer(tmp_path / "fit", AttentionMaps(), max_epochs=1).fit(Attentive(Looking()), datamodule=Sentences())
    assert not (tmp_path / "fit" / "figures").exists()
    alone = trainer(tmp_path / "alone", AttentionMaps(examples=1))
    alone.validate(Attentive(Looking()), datamodule=Sentences(), verbose=False)
    assert [path.name for path in (tmp_path / "alone" / "figures").iterdir()] == ["attention-val-0.png"]


def test_weights_stand_beside_the_right_pieces() -> None:
    data, network = Sentences(), Looking()
    batch = with_lengths(data.batches()[0])
    model = Attentive(network).eval()
    with torch.inference_mode():
        found = maps(model, batch, Decoding(), data)
    assert sorted(found) == sorted(batch.index.tolist())
    for row, index in enumerate(batch.index.tolist()):
        shown, length = found[index], LENGTHS[index]
        assert shown.target == ["$5"] * index + ["<eos>"]
        assert len(shown.source) == length
        assert shown.source[-1] == "<eos>"
        assert shown.weights.shape == (2, index + 1, length)
        np.testing.assert_allclose(shown.weights.sum(-1), 1, rtol=1e-5)
        # The first row is what was looked at with nothing but BOS written, to write the first piece.
        expected = torch.softmax(-(batch.source[row, :length] - BOS).abs().float(), 0).numpy()
        np.testing.assert_allclose(shown.weights[0, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("network", [nn.Linear(1, 1), None])
def test_without_attention_nothing_happens(tmp_path: Path, network: nn.Module | None) -> None:
    model = Translator() if network is None else Attentive(network)
    trainer(tmp_path, AttentionMaps()).test(model, datamodule=Sentences(), verbose=False)
    assert model.asked == []
    assert not (tmp_path / "figures").exists()


def test_panels_of_many_layers_and_signs_of_formulas(tmp_path: Path) -> None:
    weights = np.tile([0.1, 0.2, 0.7], (4, 2, 1))
    draw(tmp_path / "x.png", Map(weights, ["$_", "\\frac", "ä$"], ["a", "<eos>"]), title="four")
    assert imread(tmp_path / "x.png").std() > 0.1
