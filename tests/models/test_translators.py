"""What every architecture that translates by more than one vector has to do: rows, empty sentences, low precision."""

from typing import Any

import pytest
import torch

from seqtrain.decoding.settings import Decoding
from seqtrain.errors import UserError
from tests.models.examples import PAIR, SOURCES, TARGETS, pairs, tiny, translations

TRANSLATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "seq2seq": ("seq2seq", {}),
    "attention": ("attention", {}),
    "attention with feeding": ("attention", {"query": "current", "input_feeding": True}),
    "attention at once": ("attention", {"query": "current", "score": "scaled_dot"}),
    "conv": ("conv", {}),
    "transformer": ("transformer", {}),
    "transformer, learned, post": ("transformer", {"positions": "learned", "norm": "post"}),
    "transformer, rotary": ("transformer", {"positions": "rotary", "heads": 2}),
}
EVERY = pytest.mark.parametrize("which", TRANSLATORS)


def made(which: str) -> Any:
    name, options = TRANSLATORS[which]
    return tiny(name, PAIR, **options).eval()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("model", ["gru", "seq2seq", "attention"])
@torch.no_grad()
def test_recurrent_layers_read_embeddings_of_unit_variance(model: str, tied: bool) -> None:
    """Whatever the output layer, which shares them where they are tied, needs for logits of about unit variance."""
    network = tiny(model, PAIR, embedding=512, tie_embeddings=tied).network
    words = torch.arange(1, 12)
    for part in (network.encoder, network.decoder):
        assert part.embedding(words).std().item() == pytest.approx(1, abs=0.05)
        assert (part.embedding(torch.zeros(1, dtype=torch.long)) == 0).all()
    states = torch.randn(500, network.decoder.output.weight.shape[1])
    assert tied == (network.decoder.output.weight is network.decoder.embedding.weight)
    if tied:
        assert (states @ network.decoder.output.weight[1:].T).std().item() == pytest.approx(1, abs=0.1)


def test_weights_of_tied_embeddings_without_their_factor_are_refused() -> None:
    model = tiny("seq2seq", PAIR)
    weights = {name: value for name, value in model.state_dict().items() if not name.endswith("embedding.scale")}
    with pytest.raises(UserError, match="scale is missing in it"):
        model.load_state_dict(weights)


@EVERY
@torch.no_grad()
def test_rows_that_change_places_again_and_again(which: str) -> None:
    """Every step's logits are those of teacher forcing on what each row has written."""
    network, batch = made(which).network, translations()
    decoder = network.decoder
    state = decoder.init_state(network.encode(batch.source, batch.source_lengths))
    rows, written = torch.arange(4), torch.ones(4, 0, dtype=torch.long)
    orders = [[0, 0, 1, 1, 2, 2, 3, 3], [1, 0, 2, 2, 4, 5, 7, 6], [0, 1, 6, 7], [3, 0, 1], [2, 2, 0], [1]]
    for t, order in enumerate(orders):
        tokens = (torch.arange(len(rows)) + t) % 8 + 4 if t else torch.ones_like(rows)
        written = torch.cat([written, tokens.unsqueeze(1)], 1)
        logits, state = decoder.step(tokens, state)
        taught = decoder.output(network.teach(batch.source[rows], batch.source_lengths[rows], written))
        torch.testing.assert_close(logits, taught[:, -1])
        index = torch.tensor(order)
        state, rows, written = decoder.reorder_state(state, index), rows[index], written[index]


@EVERY
@torch.no_grad()
def test_a_sentence_of_its_end_alone(which: str) -> None:
    model = made(which)
    empty, batch = pairs([[]], [[]]), pairs([*SOURCES, []], [*TARGETS, []])
    together, without, alone = (model.measure(one).sums for one in (batch, translations(), empty))
    for key, value in together.items():
        torch.testing.assert_close(value, without[key] + alone[key])
    for decoding in (Decoding(max_length=4), Decoding(beam=3, max_length=4)):
        (single,), (*_, last) = model.translate(empty, decoding), model.translate(batch, decoding)
        assert [h.tokens for h in single] == [h.tokens for h in last]


@EVERY
def test_a_model_in_bfloat16_alone(which: str) -> None:
    model, batch = made(which), translations()
    exact = model.measure(batch).loss.item()
    rough = model.to(torch.bfloat16).measure(batch).loss
    rough.backward()
    assert rough.item() == pytest.approx(exact, rel=0.05)
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in model.parameters())
    assert len(model.translate(batch, Decoding(max_length=3))) == 4
