"""Greedy and beam search against enumeration, over a decoder that is a table of probabilities."""

import itertools
import math
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtrain.decoding.search import search
from seqtrain.decoding.settings import Decoding, Hypothesis
from seqtrain.errors import UserError

BOS, EOS = 1, 2
TOKENS = 6  # padding, start, end and three words
NEVER = [0, BOS]
WORDS = [3, 4, 5]


class Table:
    """The next token's logits depend on the sentence, the last token and how many have been written.

    A state's row is the number of its sentence; `seen` counts the rows of every step by sentence.
    """

    def __init__(self, logits_RTVV: torch.Tensor) -> None:
        self.logits_RTVV = logits_RTVV
        self.seen: list[Counter[int]] = []

    def init_state(self, memory: torch.Tensor) -> tuple[torch.Tensor, int]:
        return memory, 0

    def step(self, tokens_B: torch.Tensor, state: tuple[torch.Tensor, int]) -> tuple[torch.Tensor, Any]:
        rows, length = state
        self.seen.append(Counter(rows.tolist()))
        return self.logits_RTVV[rows, length, tokens_B], (rows, length + 1)

    def reorder_state(self, state: tuple[torch.Tensor, int], index: torch.Tensor) -> tuple[torch.Tensor, int]:
        return state[0][index], state[1]


def table(seed: int, *, sentences: int = 1, length: int = 4, sharpness: float = 2.0) -> Table:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(sentences, length, TOKENS, TOKENS, generator=generator, dtype=torch.float64)
    return Table((sharpness * logits).float())


def found(decoder: Table, rows: list[int] | None = None, **options: Any) -> list[list[Hypothesis]]:
    memory = torch.arange(len(decoder.logits_RTVV)) if rows is None else torch.tensor(rows)
    return search(
        decoder,
        memory,
        sentences=len(memory),
        device=torch.device("cpu"),
        settings=Decoding(**options),
        bos=BOS,
        eos=EOS,
        never=NEVER,
    )


def log_probability(decoder: Table, row: int, tokens: list[int]) -> float:
    """Of a whole hypothesis, its end included."""
    total, last = 0.0, BOS
    for length, token in enumerate([*tokens, EOS]):
        total += float(decoder.logits_RTVV[row, length, last].log_softmax(-1)[token])
        last = token
    return total


def everything(decoder: Table, row: int, max_length: int, alpha: float) -> list[tuple[float, list[int]]]:
    """All hypotheses of at most `max_length` tokens, the end among them, best first."""
    texts = [list(t) for n in range(max_length) for t in itertools.product(WORDS, repeat=n)]
    scored = [(log_probability(decoder, row, text) / (len(text) + 1) ** alpha, text) for text in texts]
    return sorted(scored, key=lambda pair: -pair[0])


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_beam_that_holds_everything_finds_the_best(seed: int, alpha: float) -> None:
    decoder = table(seed, sentences=2)
    count = sum(len(WORDS) ** n for n in range(4))
    results = found(decoder, beam=count, n_best=7, length_penalty=alpha, max_length=4)
    for row, hypotheses in enumerate(results):
        best = everything(decoder, row, 4, alpha)[:7]
        assert [h.tokens for h in hypotheses] == [text for _, text in best]
        assert [h.score for h in hypotheses] == pytest.approx([score for score, _ in best], abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    beam=st.integers(1, 6),
    alpha=st.sampled_from([0.0, 1.0, 1.5]),
    max_length=st.integers(1, 5),
    sharpness=st.sampled_from([0.5, 3.0, 10.0]),
)
def test_what_every_beam_guarantees(seed: int, beam: int, alpha: float, max_length: int, sharpness: float) -> None:
    decoder = table(seed, sentences=3, length=5, sharpness=sharpness)
    results = found(decoder, beam=beam, n_best=beam, length_penalty=alpha, max_length=max_length)
    for row, hypotheses in enumerate(results):
        scores = [h.score for h in hypotheses]
        assert 1 <= len(hypotheses) <= beam
        assert scores == sorted(scores, reverse=True)
        assert len({tuple(h.tokens) for h in hypotheses}) == len(hypotheses)
        for h in hypotheses:
            assert set(h.tokens) <= set(WORDS)
            assert len(h.tokens) < max_length
            assert h.log_probability == pytest.approx(log_probability(decoder, row, h.tokens), abs=1e-4)
            assert h.score == pytest.approx(h.log_probability / (len(h.tokens) + 1) ** alpha, abs=1e-6)
    # The same sentence in any company, at any place, gives the same.
    assert [found(decoder, [row], beam=beam, n_best=beam, length_penalty=alpha, max_length=max_length)[0]
            for row in range(3)] == results  # fmt: skip
    turned = found(decoder, [2, 0, 1, 0], beam=beam, n_best=beam, length_penalty=alpha, max_length=max_length)
    assert turned == [results[row] for row in (2, 0, 1, 0)]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_greedy_takes_the_most_probable_token_every_time(seed: int, alpha: float) -> None:
    decoder = table(seed, sentences=4, length=6)
    for row, (hypothesis,) in enumerate(found(decoder, max_length=6, length_penalty=alpha)):
        tokens, last = [], BOS
        while len(tokens) < 5:
            logits = decoder.logits_RTVV[row, len(tokens), last].clone()
            logits[NEVER] = -math.inf
            last = int(logits.argmax())
            if last == EOS:
                break
            tokens.append(last)
        assert hypothesis.tokens == tokens


def test_a_beam_finds_what_greedy_misses() -> None:
    decoder = table(0, length=3)
    p = torch.full((3, TOKENS, TOKENS), 1e-6)
    p[0, BOS, 3], p[0, BOS, 4] = 0.6, 0.4
    p[1, 3, WORDS] = torch.tensor([0.3, 0.3, 0.3])
    p[1, 3, EOS] = 0.1
    p[1, 4, 5] = 1.0
    p[2, :, EOS] = 1.0
    decoder.logits_RTVV = (p / p.sum(-1, keepdim=True)).log().unsqueeze(0)
    greedy, beam = (found(decoder, beam=k, length_penalty=0.0, max_length=3)[0][0] for k in (1, 2))
    assert greedy.tokens[0] == 3
    assert beam.tokens == [4, 5]
    assert beam.log_probability == pytest.approx(math.log(0.4), abs=1e-4)


def test_max_length_ends_a_hypothesis_that_would_go_on() -> None:
    decoder = table(0, length=4)
    decoder.logits_RTVV[..., EOS] = -20.0
    for beam in (1, 3):
        (hypotheses,) = found(decoder, beam=beam, n_best=beam, max_length=4)
        assert [len(h.tokens) for h in hypotheses] == [3] * beam
        assert hypotheses[0].log_probability < -15  # the end that was forced counts with its probability


def test_finished_sentences_leave_the_batch() -> None:
    decoder = table(0, sentences=3, length=6)
    decoder.logits_RTVV[..., EOS] = -20.0
    for row, ends in enumerate((1, 4, 2)):  # sentence r has its end as step `ends`
        decoder.logits_RTVV[row, ends - 1, :, EOS] = 40.0
    found(decoder, max_length=6)
    assert decoder.seen == [Counter([0, 1, 2]), Counter([1, 2]), Counter([1]), Counter([1])]


def test_a_sentence_with_a_full_beam_of_ends_leaves_the_batch() -> None:
    decoder = table(0, sentences=2, length=6)
    decoder.logits_RTVV[..., EOS] = -20.0
    decoder.logits_RTVV[0, 1, :, EOS] = 40.0  # after one word, every hypothesis of the first sentence ends
    (first, second) = found(decoder, beam=3, n_best=3, max_length=6)
    assert [len(h.tokens) for h in first] == [1, 1, 1]
    assert [len(h.tokens) for h in second] == [5, 5, 5]
    # At the first step there is only the empty hypothesis to go on with.
    assert decoder.seen == [Counter([0, 1]), Counter({0: 3, 1: 3})] + [Counter({1: 3})] * 4


def test_no_more_results_than_the_beam_holds() -> None:
    with pytest.raises(UserError, match=r"n_best=3 is more than decoding\.beam=2"):
        Decoding(beam=2, n_best=3)
    assert [len(h) for h in found(table(0, sentences=2), beam=4, n_best=3, max_length=4)] == [3, 3]


def test_a_decoder_that_diverged_says_nothing() -> None:
    decoder = table(0, sentences=2)
    decoder.logits_RTVV[1] = math.nan
    for beam in (1, 2):
        first, second = found(decoder, beam=beam, max_length=4)
        assert first[0].score > -math.inf
        assert second == [Hypothesis([], -math.inf, -math.inf)]


@pytest.mark.parametrize("seed", range(5))
def test_early_stopping_ends_with_as_many_hypotheses_as_the_beam_holds(seed: int) -> None:
    decoder = table(seed, sentences=3, length=8, sharpness=1.0)
    options: dict[str, Any] = {"beam": 4, "n_best": 4, "length_penalty": 1.0, "max_length": 8}
    exact = found(decoder, **options)
    steps = len(decoder.seen)
    early = found(decoder, early_stopping=True, **options)
    assert len(decoder.seen) - steps <= steps
    for one, other in zip(exact, early, strict=True):
        assert len(other) == 4
        assert one[0].score >= other[0].score
    alone = [found(decoder, [row], early_stopping=True, **options)[0] for row in range(3)]
    assert alone == early


def test_early_stopping_does_not_wait_for_what_could_be_better() -> None:
    decoder = table(0, length=3)
    p = torch.full((3, TOKENS, TOKENS), 1e-6)
    p[0, BOS, EOS], p[0, BOS, 3], p[0, BOS, 4] = 0.35, 0.33, 0.32
    p[1, 3, EOS], p[1, 3, 5], p[1, 4, 5] = 0.6, 0.4, 1.0
    p[2, :, EOS] = 1.0
    decoder.logits_RTVV = (p / p.sum(-1, keepdim=True)).log().unsqueeze(0)
    (patient,), (early,) = (
        found(decoder, beam=2, n_best=2, length_penalty=2.0, max_length=3, early_stopping=early)
        for early in (False, True)
    )
    assert [h.tokens for h in patient] == [[4, 5], [3, 5]]
    assert [h.tokens for h in early] == [[3], []]
