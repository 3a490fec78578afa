"""Sentences as weighted sums of words against the papers' formulas."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtrain.layers.word_bags import WordBag

ENCODINGS = ("bag", "position", "position_code")


def weight(encoding: str, k: int, j: int, d: int, J: int) -> float:
    """l_kj of column k of d and word j of J, both counted from 1."""
    if encoding == "bag":
        return 1.0
    if encoding == "position":  # Sukhbaatar et al. 2015, section 4.1
        return (1 - j / J) - (k / d) * (1 - 2 * j / J)
    return 1 + 4 * (k - (d + 1) / 2) * (j - (J + 1) / 2) / (d * J)  # the authors' code


def vector(encoding: str, table: np.ndarray, sentence: list[int]) -> np.ndarray:
    d, J = table.shape[1], len(sentence)
    made = np.zeros(d)
    for j, word in enumerate(sentence, start=1):
        for k in range(1, d + 1):
            made[k - 1] += weight(encoding, k, j, d, J) * table[word, k - 1]
    return made


@settings(max_examples=20, deadline=None)
@given(
    sentences=st.lists(st.lists(st.integers(1, 8), max_size=5), min_size=1, max_size=4),
    width=st.integers(1, 6),
    encoding=st.sampled_from(ENCODINGS),
)
def test_vectors_are_the_formulas(sentences: list[list[int]], width: int, encoding: str) -> None:
    table = torch.from_numpy(np.random.default_rng(0).normal(size=(9, width)))  # row 0 too: it counts nothing
    words = torch.tensor([sentence + [0] * (6 - len(sentence)) for sentence in sentences])
    expected = np.stack([vector(encoding, table.numpy(), sentence) for sentence in sentences])
    bag = WordBag(encoding)
    np.testing.assert_allclose(bag(table, words), expected, atol=1e-12)
    counts = bag.counts(words, 9, torch.float64)
    by_counts = (bag.factors(width, table) * (counts @ table)).sum(-2)
    np.testing.assert_allclose(by_counts, expected, atol=1e-12)
    assert not counts[..., 0].any()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_dimensions_in_front_and_no_gradient_for_padding(encoding: str) -> None:
    table = torch.randn(5, 4, requires_grad=True)
    words = torch.tensor([[[1, 2, 0], [3, 3, 4]], [[4, 0, 0], [0, 0, 0]]])
    made = WordBag(encoding)(table, words)
    assert made.shape == (2, 2, 4)
    assert not made[1, 1].any()
    made.square().sum().backward()
    assert table.grad is not None
    assert not table.grad[0].any()
    assert table.grad[1:].abs().sum(1).gt(0).all()


def test_the_codes_form_is_about_twice_the_papers() -> None:
    wide = 2000
    table = torch.ones(2, wide, dtype=torch.float64)
    words = torch.ones(1, wide, dtype=torch.long)
    code, paper = (WordBag(encoding).counts(words, 2, table.dtype) for encoding in ENCODINGS[:0:-1])
    ratio = (WordBag("position_code").shares(words, table.dtype), WordBag("position").shares(words, table.dtype))
    factors = (WordBag("position_code").factors(wide, table), WordBag("position").factors(wide, table))
    full = [torch.einsum("dnj,dk->jk", share, factor) for share, factor in zip(ratio, factors, strict=True)]
    torch.testing.assert_close(full[0], 2 * full[1], atol=2e-3, rtol=0)
    assert code.shape == paper.shape
