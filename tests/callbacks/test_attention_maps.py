"""Attention pictures: of the model's own translations, with the pieces beside the weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch import Tensor, nn
from torch.utils.data import DataLoader

from seqtrain.callbacks.attention_maps import AttentionMaps, Map, answer_maps, draw, maps
from seqtrain.decoding.settings import Decoding, Hypothesis
from seqtrain.tasks.answering import Answering, AnsweringBatch
from seqtrain.tasks.base import Task
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


class Recalling(nn.Module):
    """Answers with the first word of the story's last sentence; attends to that one, then to all alike."""

    def read(self, story_BMW: Tensor, question_BW: Tensor) -> tuple[Tensor, Tensor]:
        real_BM = (story_BMW != 0).any(2)
        last_B = real_BM.sum(1) - 1
        said_B = story_BMW[torch.arange(len(last_B)), last_B, 0] - 2
        one = nn.functional.one_hot(last_B, real_BM.shape[1]).float()
        alike = real_BM / real_BM.sum(1, keepdim=True)
        return nn.functional.one_hot(said_B, 2) * 5.0, torch.stack([one, alike], 1)


class Answerer(Translator):
    """A network that answers."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Recalling()
        self.task: Task = Asked.task  # type: ignore[assignment]


class Asked(Texts):
    """Questions whose stories have one sentence, two, ... five; the answer is in the last one."""

    task = Answering(vocabulary=6, answers=("no", "yes"), answer_words=(2, 3), sentences=5)
    words = ("", "<unknown>", "no", "yes", "is", "$it")

    @property
    def sizes(self) -> dict[str, int]:
        return {"test": 5, "val": 5}

    def question(self, index: int) -> AnsweringBatch:
        story = torch.zeros(1, 6, 3, dtype=torch.long)
        story[0, : index + 1] = torch.tensor([2, 5, 4])
        story[0, index, 1:] = torch.tensor([5, 0])
        return AnsweringBatch(
            index=torch.tensor([index]),
            story=story,
            question=torch.tensor([[4, 5, 0]]),
            answers=torch.tensor([index % 3 - 1]),
            supports=torch.tensor([[index, -1]]),
        )

    def test_dataloader(self) -> Any:
        return DataLoader([self.question(index) for index in range(5)], batch_size=None)  # type: ignore[arg-type]

    val_dataloader = test_dataloader


def test_answers_are_drawn_with_the_sentences_and_hops(tmp_path: Path) -> None:
    trainer(tmp_path, AttentionMaps(examples=2)).test(Answerer(), datamodule=Asked(), verbose=False)
    pictures = sorted((tmp_path / "figures").iterdir())
    assert [path.name for path in pictures] == ["attention-0.png", "attention-2.png"]
    small, large = (imread(path) for path in pictures)
    assert small.shape[0] < large.shape[0]  # a row a sentence
    assert min(small.std(), large.std()) > 0.1


def test_hops_stand_above_and_sentences_beside() -> None:
    data = Asked()
    (first,) = answer_maps(Recalling(), data.question(0), data).values()
    assert (first.source, first.target) == (["hop 1", "hop 2"], ["• no $it"])
    assert first.about == "is $it? no (0.99), wrong: an answer that is not in training"
    found = answer_maps(Recalling(), data.question(2), data)
    assert list(found) == [2]
    assert found[2].target == ["no $it is", "no $it is", "• no $it"]
    assert found[2].about == "is $it? no (0.99), wrong: yes"
    np.testing.assert_allclose(found[2].weights, [[[0, 1 / 3], [0, 1 / 3], [1, 1 / 3]]], rtol=1e-6)
    assert answer_maps(Recalling(), data.question(1), data)[1].about == "is $it? no (0.99)"
