"""Sampling: what is drawn has the right frequencies, and depends on nothing but seed, sentence and sample."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtrain.decoding.sampling import filtered
from seqtrain.decoding.search import search
from seqtrain.decoding.settings import Decoding, Hypothesis
from seqtrain.errors import UserError
from tests.decoding.test_search import BOS, EOS, NEVER, TOKENS, WORDS, Table, log_probability, table


def drawn(decoder: Table, rows: list[int], numbers: list[int] | None = None, **options: Any) -> list[list[Hypothesis]]:
    return search(
        decoder,
        torch.tensor(rows),
        sentences=len(rows),
        device=torch.device("cpu"),
        settings=Decoding(sample=True, **options),
        bos=BOS,
        eos=EOS,
        never=NEVER,
        numbers=None if numbers is None else torch.tensor(numbers),
    )


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    order=st.permutations(range(4)),
    samples=st.integers(1, 4),
    temperature=st.sampled_from([0.5, 1.0, 2.0]),
)
def test_company_order_and_number_of_samples_do_not_matter(
    seed: int, order: list[int], samples: int, temperature: float
) -> None:
    decoder, numbers = table(3, sentences=4, length=6), [70, 3, 2**40 + 3, 8]
    options: dict[str, Any] = {"seed": seed, "max_length": 6, "temperature": temperature}
    together = drawn(decoder, [0, 1, 2, 3], numbers, n_best=4, **options)
    for row in range(4):
        assert drawn(decoder, [row], [numbers[row]], n_best=samples, **options)[0] == together[row][:samples]
    mixed = drawn(decoder, list(order), [numbers[row] for row in order], n_best=4, **options)
    assert mixed == [together[row] for row in order]
    for row, samples_of in enumerate(together):
        for h in samples_of:
            assert set(h.tokens) <= set(WORDS)
            assert len(h.tokens) < 6
            assert h.log_probability == pytest.approx(log_probability(decoder, row, h.tokens), abs=1e-4)
            assert h.score == pytest.approx(h.log_probability / (len(h.tokens) + 1), abs=1e-6)


def test_seed_sentence_and_sample_each_change_what_is_drawn() -> None:
    decoder = table(0, sentences=1, length=12, sharpness=0.1)
    decoder.logits_RTVV[..., EOS] -= 5

    def text(**options: Any) -> list[Hypothesis]:
        return drawn(decoder, [0], [options.pop("number", 0)], max_length=12, **options)[0]

    first = text(n_best=2)
    assert first[0] != first[1]
    assert text(seed=2) != first[:1]
    assert text(number=1) != first[:1]
    assert text() == first[:1]


def test_texts_come_as_often_as_they_are_probable() -> None:
    decoder = table(1, length=3, sharpness=1.0)
    count = 6000
    found = Counter(tuple(h.tokens) for h in drawn(decoder, [0], n_best=count, max_length=3)[0])
    p = np.zeros((3, TOKENS, TOKENS))
    for step in range(3):
        allowed = decoder.logits_RTVV[0, step].double().clone()
        allowed[:, NEVER] = -math.inf
        p[step] = allowed.softmax(-1).numpy()
    expected: dict[tuple[int, ...], float] = {(): p[0, BOS, EOS]}
    for a in WORDS:
        expected[(a,)] = p[0, BOS, a] * p[1, a, EOS]
        for b in WORDS:  # the third token has to be the end
            expected[(a, b)] = p[0, BOS, a] * p[1, a, b]
    assert sum(expected.values()) == pytest.approx(1)
    chi_square = sum((found[text] - count * q) ** 2 / (count * q) for text, q in expected.items())
    assert chi_square < 32.9  # 12 degrees of freedom: one in a thousand


def expected_weights(log_p: np.ndarray, temperature: float, top_k: int, top_p: float) -> np.ndarray:
    """The distribution that is drawn from, by definition: sorted, cut, divided by its sum."""
    p = np.exp(log_p / temperature - (log_p / temperature).max())
    order = np.argsort(-p)
    kept = order[: top_k or len(p)]
    q = p[kept] / p[kept].sum()
    kept = kept[np.concatenate([[0.0], q.cumsum()[:-1]]) < top_p]
    result = np.zeros_like(p)
    result[kept] = p[kept] / p[kept].sum()
    return result


@pytest.mark.parametrize("vocabulary", [9, 1500])
@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(1.0, 0, 1.0), (0.3, 0, 1.0), (1.0, 5, 1.0), (2.0, 0, 0.9), (0.1, 0, 0.5), (1.0, 7, 0.6), (1.0, 900, 0.99)],
)
def test_filters_by_definition(vocabulary: int, temperature: float, top_k: int, top_p: float) -> None:
    generator = torch.Generator().manual_seed(5)
    sharpness = torch.tensor([[0.1], [1.0], [8.0]], dtype=torch.float64)  # nuclei of many tokens and of few
    log_p = (sharpness * torch.randn(3, vocabulary, generator=generator, dtype=torch.float64)).log_softmax(-1)
    log_p[:, 2] = -torch.inf
    settings = Decoding(sample=True, temperature=temperature, top_k=top_k, top_p=top_p)
    weights, tokens = filtered(log_p, settings)
    found = weights if tokens is None else torch.zeros_like(log_p).scatter(1, tokens, weights)
    found = found / found.sum(1, keepdim=True)
    for row in range(3):
        wanted = expected_weights(log_p[row].numpy(), temperature, top_k, top_p)
        np.testing.assert_allclose(found[row].numpy(), wanted, atol=1e-9)


def test_almost_no_temperature_is_greedy() -> None:
    decoder = table(2, sentences=3, length=6)
    greedy = search(
        decoder,
        torch.arange(3),
        sentences=3,
        device=torch.device("cpu"),
        settings=Decoding(max_length=6),
        bos=BOS,
        eos=EOS,
        never=NEVER,
    )
    for options in ({"temperature": 1e-30}, {"top_k": 1}, {"top_p": 1e-9}):
        assert drawn(decoder, [0, 1, 2], max_length=6, **options) == greedy


def test_samples_that_ended_leave_the_batch_and_a_diverged_model_says_nothing() -> None:
    decoder = table(0, sentences=2, length=6)
    decoder.logits_RTVV[..., EOS] = -20.0
    decoder.logits_RTVV[0, 1, :, EOS] = 40.0
    drawn(decoder, [0, 1], n_best=2, max_length=4)
    assert decoder.seen == [Counter({0: 2, 1: 2})] * 2 + [Counter({1: 2})] * 2
    decoder.logits_RTVV[1] = math.nan
    for top_p in (1.0, 0.9):
        first, second = drawn(decoder, [0, 1], max_length=4, top_p=top_p)
        assert first[0].score > -math.inf
        assert second == [Hypothesis([], -math.inf, -math.inf)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample": True, "beam": 3}, r"decoding\.sample=true draws, but decoding\.beam=3 searches"),
        ({"temperature": 0.5}, r"decoding\.temperature=0\.5 says how to draw, but nothing is drawn"),
        ({"top_k": 3}, "Choose decoding=sampling"),
    ],
)
def test_settings_that_contradict_each_other(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Decoding(**options)
    assert Decoding(sample=True, n_best=9).n_best == 9
