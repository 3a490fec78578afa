"""Networks that read a story word by word and answer: against their equations, and on a batch that is learnt."""

import logging
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from seqtrain.errors import UserError
from seqtrain.layers.transformer import TransformerMemory
from seqtrain.tasks.answering import Answering
from tests.layers.by_hand import scattered
from tests.models.examples import ALL, ASKED, QUESTIONS, STORIES, overfit, questions, tiny

READERS: list[tuple[str, dict[str, Any]]] = [
    ("attention", {}),
    ("attention", {"score": "dot", "cell": "lstm", "layers": 2}),
    ("attention", {"score": "general", "bidirectional": False}),
    ("transformer", {}),
    ("transformer", {"positions": "learned", "norm": "post", "max_positions": 13}),
    ("transformer", {"positions": "rotary", "heads": 2}),
    ("ngram", {"buckets": 400}),
]
EVERY = pytest.mark.parametrize(
    ("name", "options"), READERS, ids=[",".join([n, *(f"{k}={v}" for k, v in o.items())]) for n, o in READERS]
)


@pytest.mark.parametrize(("name", "options"), [("attention", {}), ("transformer", {}), ("ngram", {"buckets": 400})])
def test_learns_a_batch_by_heart(name: str, options: dict[str, Any]) -> None:
    model, batch = tiny(name, QUESTIONS, **options), questions()
    before = model.measure(batch).loss.item()
    assert overfit(model, batch, steps=40, lr=0.1 if name == "ngram" else 0.03) < before / 10
    assert model.measure(batch).sums["correct"] == len(ALL)
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


@EVERY
@torch.no_grad()
def test_a_question_does_not_depend_on_its_batch(name: str, options: dict[str, Any]) -> None:
    model = tiny(name, QUESTIONS, **options).eval()
    scattered(model.network)
    together, batch = model.network(questions().story, questions().question), questions()
    for row in ALL:
        alone = questions([row])
        torch.testing.assert_close(model.network(alone.story, alone.question)[0], together[row], rtol=1e-4, atol=1e-5)
    empty = torch.nn.functional.pad(batch.story, (0, 2, 0, 3))
    torch.testing.assert_close(model.network(empty, batch.question), together, rtol=1e-4, atol=1e-5)
    without = model.network(torch.zeros_like(batch.story), batch.question)  # before the first sentence
    assert bool(torch.isfinite(without).all())
    assert not torch.allclose(without, together)


@torch.no_grad()
def test_the_attentive_reader_is_hermann_s() -> None:
    model = tiny("attention", QUESTIONS, cell="rnn").eval()
    scattered(model.network)
    p = {name: value.double().numpy() for name, value in model.network.named_parameters()}
    batch = questions()
    logits, hops = model.network.read(batch.story, batch.question)

    def states(reader: str, ids: list[int], direction: int) -> list[np.ndarray]:
        cell, h, found = f"{reader}.recurrent.stack.0.{direction}.", np.zeros(12), []
        for i in ids if direction == 0 else ids[::-1]:
            x = p["embedding.weight"][i]
            h = np.tanh(p[cell + "weight_ih"] @ x + p[cell + "weight_hh"] @ h + p[cell + "bias"])
            found.append(h)
        return found if direction == 0 else found[::-1]

    for row in ALL:
        words = [word for sentence in STORIES[row] for word in sentence]
        y = np.concatenate([states("story", words, 0), states("story", words, 1)], axis=1)
        u = np.concatenate([states("question", ASKED[row], 0)[-1], states("question", ASKED[row], 1)[0]])
        m = np.tanh(y @ p["attention.key.weight"].T + p["attention.query.weight"] @ u)
        s = np.exp(m @ p["attention.v"])
        s /= s.sum()
        g = np.tanh(p["join.weight"] @ np.concatenate([s @ y, u]))
        np.testing.assert_allclose(logits[row], p["output.weight"] @ g + p["output.bias"], rtol=1e-3, atol=1e-4)
        ends = np.cumsum([len(sentence) for sentence in STORIES[row]])[:-1]
        sums = [part.sum() for part in np.split(s, ends)]
        np.testing.assert_allclose(hops[row, 0], [*sums, *[0] * (3 - len(sums))], rtol=1e-3, atol=1e-6)


def test_a_story_without_a_word_attends_to_nothing() -> None:
    network, batch = tiny("attention", QUESTIONS).network, questions()
    story = batch.story.clone()
    story[2] = 0
    _, hops = network.read(story, batch.question)
    torch.testing.assert_close(hops.sum(2)[:, 0], torch.tensor([1.0, 1.0, 0.0, 1.0]))
    assert bool((hops >= 0).all())
    model = tiny("attention", QUESTIONS)
    assert {"supported", "with_supports"} <= model.measure(batch).sums.keys()
    assert sorted({name.split(".")[0] for name, _ in model.recurrent_matrices()}) == ["question", "story"]
    assert dict(tiny("attention", QUESTIONS, cell="lstm").forget_gate_biases())


@torch.no_grad()
def test_the_transformer_reads_a_mark_the_question_a_mark_and_the_story() -> None:
    network, batch = tiny("transformer", QUESTIONS).eval().network, questions()
    logits = network(batch.story, batch.question)
    first, between = QUESTIONS.vocabulary, QUESTIONS.vocabulary + 1
    for row in ALL:
        ids = [first, *ASKED[row], between, *(word for sentence in STORIES[row] for word in sentence)]
        memory: TransformerMemory = network.encoder(torch.tensor([ids]), torch.tensor([len(ids)]))
        torch.testing.assert_close(logits[row], network.output(memory.states[0]))


def test_what_has_no_positions_is_refused() -> None:
    model, batch = tiny("transformer", QUESTIONS, positions="learned", max_positions=11), questions()
    with pytest.raises(UserError, match=r"have 10 words; with 2 marks .* the 11 positions") as refused:
        model.measure(batch)
    assert "model.max_positions=12" in str(refused.value)
    assert "data.sentences" in str(refused.value)
    assert not hasattr(tiny("transformer", QUESTIONS).network, "max_positions")


def test_what_is_a_translators_alone_has_no_effect(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tiny("attention", QUESTIONS)
        assert not caplog.messages
        tiny("attention", QUESTIONS, query="current", readout="previous", tie_embeddings=False)
    (message,) = caplog.messages
    assert message.startswith("model.query, model.readout, model.tie_embeddings: ")


@pytest.mark.parametrize(("n", "buckets"), [(3, 10_000), (2, 50), (5, 10_000), (1, 10_000)])
@torch.no_grad()
def test_the_bag_holds_what_shares_a_word_with_the_question(n: int, buckets: int) -> None:
    model = tiny("ngram", QUESTIONS, n=n, buckets=buckets)
    network, batch = model.network, questions()
    scattered(network)
    weight, bias = network.weight.double().numpy(), network.bias.double().numpy()

    def row_of(gram: list[int], kind: int) -> int:
        h = kind * 1_000_003
        for word in gram:
            h = (h * 1_000_003 + word) % (2**31 - 1)
        return h % buckets + 1

    logits = network(batch.story, batch.question).numpy()
    for row in ALL:
        expected, grams = bias.copy(), Counter[tuple[tuple[int, ...], int]]()
        for sentence in STORIES[row]:
            if set(sentence) & set(ASKED[row]):
                grams.update(_grams(sentence, n, 0))
        grams.update(_grams(ASKED[row], n, n))
        for (gram, kind), count in grams.items():
            expected += count * weight[row_of(list(gram), kind)]
        np.testing.assert_allclose(logits[row], expected, rtol=1e-4, atol=1e-4)


def _grams(words: list[int], n: int, kinds: int) -> list[tuple[tuple[int, ...], int]]:
    sizes = range(1, n + 1)
    return [(tuple(words[i : i + k]), kinds + k) for k in sizes for i in range(len(words) - k + 1)]


def test_n_grams_of_a_large_vocabulary_seldom_share_a_row() -> None:
    task = Answering(vocabulary=180, answers=("a", "b"), answer_words=(2, 3), sentences=1)
    network = tiny("ngram", task, buckets=16384).network
    story = torch.randint(1, 180, (400, 1, 8), generator=torch.Generator().manual_seed(0))
    rows = network.rows(story, story[:, 0])
    grams = {(kind, *gram) for s in story[:, 0].tolist() for gram, kind in [*_grams(s, 3, 0), *_grams(s, 3, 3)]}
    filled = 16384 * (1 - np.exp(-len(grams) / 16384))  # of rows that are drawn at random
    assert len(rows.unique()) > 0.95 * filled
