"""Attention over a source against NumPy written from the equations, and its own gradients against autograd's."""

import numpy as np
import pytest
import torch
from torch import Tensor

from seqtrain.layers.source_attention import Attending, SourceAttention

SCORES = ["additive", "dot", "general", "scaled_dot"]
LENGTHS = torch.tensor([5, 2, 4])


def made(score: str, *, width: int = 4) -> tuple[SourceAttention, Tensor, Tensor]:
    """An attention, (3, 5, D) states of sentences of `LENGTHS` and (3, 6, width) queries, in double precision."""
    torch.manual_seed(0)
    D = width if score == "dot" else 7
    attention = SourceAttention(score=score, queries=width, states=D, hidden=6).double()
    return attention, torch.randn(3, 5, D, dtype=torch.float64), torch.randn(3, 6, width, dtype=torch.float64)


def by_hand(attention: SourceAttention, score: str, s: np.ndarray, h: np.ndarray) -> np.ndarray:
    """The score of one query and one state."""
    p = {name: parameter.detach().numpy() for name, parameter in attention.named_parameters()}
    if score == "additive":
        return np.asarray(p["v"] @ np.tanh(p["query.weight"] @ s + p["key.weight"] @ h))
    if score == "dot":
        return np.asarray(s @ h)
    if score == "general":
        return np.asarray(s @ p["key.weight"] @ h)
    return np.asarray((p["query.weight"] @ s) @ (p["key.weight"] @ h) / np.sqrt(6))


@pytest.mark.parametrize("score", SCORES)
def test_weights_and_contexts_are_those_of_the_equations(score: str) -> None:
    attention, states, queries = made(score)
    contexts, weights = attention(queries, attention.prepare(states, LENGTHS))
    for b, length in enumerate(LENGTHS.tolist()):
        for t in range(queries.shape[1]):
            s, h = queries[b, t].numpy(), states[b, :length].numpy()
            e = np.exp([by_hand(attention, score, s, one) for one in h])
            np.testing.assert_allclose(weights[b, t, :length].detach(), e / e.sum(), rtol=1e-8)
            np.testing.assert_allclose(contexts[b, t].detach(), (e / e.sum()) @ h, rtol=1e-8)
        assert (weights[b, :, length:] == 0).all()


@pytest.mark.parametrize("score", SCORES)
def test_one_query_after_the_other_is_all_at_once(score: str) -> None:
    attention, states, queries = made(score)
    source = attention.prepare(states, LENGTHS)
    contexts, weights = attention(queries, source)
    attend = Attending(attention, source)
    for t, query in enumerate(queries.unbind(1)):
        context, weight = attend(query)
        torch.testing.assert_close(context, contexts[:, t])
        torch.testing.assert_close(weight, weights[:, t])


@pytest.mark.parametrize("score", SCORES)
def test_gradients(score: str) -> None:
    attention, states, queries = made(score)
    inputs = [states.requires_grad_(), queries.requires_grad_(), *attention.parameters()]

    def outputs(*_: Tensor) -> tuple[Tensor, Tensor]:
        attend = Attending(attention, attention.prepare(states, LENGTHS))
        contexts, weights = zip(*(attend(query) for query in queries.unbind(1)), strict=True)
        return torch.stack(contexts), torch.stack(weights)

    assert torch.autograd.gradcheck(outputs, inputs, fast_mode=True)


def test_additive_gradients_over_many_sentences_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    attention, states, queries = made("additive")
    found = []
    for piece in (1, 2 * 5 * 6, 10**6):
        monkeypatch.setattr("seqtrain.layers.source_attention.PIECE", piece)
        attention.zero_grad()
        attention(queries, attention.prepare(states, LENGTHS))[0].square().sum().backward()
        found.append([p.grad.clone() for p in attention.parameters() if p.grad is not None])
    assert len(found[0]) == 3
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2])


def test_a_second_backward_pass_gives_the_same_gradients() -> None:
    attention, states, queries = made("additive")
    loss = attention(queries, attention.prepare(states, LENGTHS))[0].square().sum()
    grads = [torch.autograd.grad(loss, list(attention.parameters()), retain_graph=True) for _ in range(2)]
    torch.testing.assert_close(grads[0], grads[1])


@pytest.mark.parametrize("score", SCORES)
def test_no_sentences(score: str) -> None:
    attention, states, queries = made(score)
    source = attention.prepare(states[:0].requires_grad_(), LENGTHS[:0])
    context, weights = Attending(attention, source)(queries[:0, 0])
    (context.sum() + weights.sum()).backward()
    assert context.shape == (0, states.shape[2])
    assert weights.shape == (0, 5)
    assert all(p.grad is not None and not p.grad.any() for p in attention.parameters())


def test_dot_needs_equal_widths() -> None:
    with pytest.raises(ValueError, match="queries of width 4 with states of width 8"):
        SourceAttention(score="dot", queries=4, states=8, hidden=4)
