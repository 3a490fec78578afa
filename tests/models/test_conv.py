"""The convolutional model: learns, attends, and depends on nothing but its input."""

from typing import Any

import pytest
import torch

from seqtrain.decoding.settings import Decoding
from seqtrain.errors import UserError
from tests.models.examples import (
    JOINT,
    PAIR,
    TARGETS,
    assert_pairs_are_alone,
    assert_stepping_is_teaching,
    assert_translations_are_alone,
    overfit,
    tiny,
    translations,
)


def conv(task: Any = PAIR, **given: Any) -> Any:
    return tiny("conv", task, **given).eval()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_overfits_a_batch(precision: str) -> None:
    model, batch = conv(JOINT, tie_embeddings=True, layers=2, hidden=24, max_positions=100), translations()
    exact = model.measure(batch).loss.item()
    assert exact > 1.5
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        assert model.measure(batch).loss.item() == pytest.approx(exact, rel=0.03)
        assert overfit(model, batch, steps=80, lr=0.02) < 0.1
        for decoding in (Decoding(), Decoding(beam=3)):
            assert [best[0].tokens for best in model.translate(batch, decoding)] == TARGETS
    assert all(p.grad.dtype == torch.float32 and bool(torch.isfinite(p.grad).all()) for p in model.parameters())


@torch.no_grad()
def test_teacher_forcing_equals_stepping() -> None:
    assert_stepping_is_teaching(conv())


@torch.no_grad()
def test_a_pair_does_not_depend_on_its_batch() -> None:
    assert_pairs_are_alone(conv(kernel=4))


def test_a_translation_does_not_depend_on_its_batch() -> None:
    assert_translations_are_alone(conv())


@torch.no_grad()
def test_what_is_written_does_not_see_what_comes() -> None:
    network = conv().network
    source, three = torch.tensor([[4, 5, 2]]), torch.tensor([3])
    before, after = (network.teach(source, three, torch.tensor([t])) for t in ([1, 4, 2, 2], [1, 4, 3, 1]))
    torch.testing.assert_close(before[:, :2], after[:, :2])
    assert not torch.isclose(before[:, 2:], after[:, 2:]).all(-1).any()


@torch.no_grad()
def test_attention_is_over_real_source_tokens() -> None:
    batch = translations()
    weights = conv(layers=3).network.attention(batch.source, batch.source_lengths, batch.target[:, :-1])
    B, T, S = len(batch), batch.target.shape[1] - 1, batch.source.shape[1]
    assert weights.shape == (B, 3, 1, T, S)
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, 3, 1, T))
    real = torch.arange(S) < batch.source_lengths.unsqueeze(1)
    assert bool(((weights > 0) == real.view(B, 1, 1, 1, S)).all())
    assert not torch.allclose(weights[:, 0], weights[:, 2])


def test_tied_embeddings_are_one_matrix_and_positions_are_two() -> None:
    for task, tie, matrices in ((JOINT, False, 3), (PAIR, True, 2), (JOINT, True, 1)):
        network = conv(task, tie_embeddings=tie).network
        source, target = network.encoder.embedding, network.decoder.embedding
        assert (
            len({id(weight) for weight in (source.tokens.weight, target.tokens.weight, network.decoder.output.weight)})
            == matrices
        )
        assert source.positions is not target.positions


def test_more_tokens_than_positions_are_refused() -> None:
    network = conv(max_positions=4).network
    assert network.max_positions == 4
    four, five = (torch.ones(1, n, dtype=torch.long) for n in (4, 5))
    network.teach(four, torch.tensor([4]), four)
    for source, tokens in ((five, four), (four, five)):
        with pytest.raises(UserError, match=r"5 tokens is longer than model\.max_positions=4"):
            network.teach(source, torch.tensor([source.shape[1]]), tokens)


def test_dropout_is_drawn_in_training_alone() -> None:
    model, batch = conv(dropout=0.5), translations()
    assert len({model.measure(batch).loss.item() for _ in range(2)}) == 1
    model.train()
    assert len({model.measure(batch).loss.item() for _ in range(4)}) == 4
