"""Memory networks with strong supervision against NumPy, one comparison of the papers' equations at a time."""

import numpy as np
import pytest
import torch

from seqtrain.layers.memnn import MemNN, NGrams, Response
from seqtrain.tasks.answering import AnsweringBatch

STORY = [[2, 3], [4, 3, 5], [2, 6], [4, 5]]
QUESTION = [7, 3]
ANSWERS = ("b", "a,b", "c")
WORDS = [[1, 3], [0, 1, 3], [2, 3]]
"""Of each answer, a, b and c being 0, 1 and 2 and the end 3."""
MARGIN = 0.3


class ByHand:
    """One question on one story; sums of word vectors, no N-grams."""

    def __init__(self, network: MemNN) -> None:
        self.w = {name: p.detach().double().numpy() for name, p in network.named_parameters()}

    def embed(self, part: str, u: np.ndarray) -> np.ndarray:
        mix = self.w.get(f"{part}.mix.weight")
        return u if mix is None else np.tanh(mix @ np.tanh(u))

    def bag(self, table: str, words: list[int]) -> np.ndarray:
        return self.w[f"{table}.table.weight"][words].sum(0)

    def x(self, part: str, chosen: list[int], said: list[int] | None = None) -> np.ndarray:
        masks = self.w.get(f"{part}.hop_KE", np.ones((len(STORY), 1)))
        facts = sum(masks[k] * self.bag(f"{part}.fact", STORY[i]) for k, i in enumerate(chosen))
        words = sum(self.w[f"{part}.said_WE"][word] for word in said or [])
        return self.embed(part, self.bag(f"{part}.question", QUESTION) + facts + words)

    def prefers(self, chosen: list[int], y: int, other: int) -> float:
        """s_Ot(x, y, y'): M is the fact that ends the choice, the youngest."""
        M = len(STORY)
        vectors = [
            self.embed("facts", self.w["facts.end_E"] if i == M else self.bag("facts.candidate", STORY[i]))
            for i in (y, other)
        ]
        age = chosen[-1] if chosen else np.inf
        time = np.array([float(age < y) - float(age < other), float(y < other) - float(other < y)])
        return float(self.x("facts", chosen) @ (vectors[0] - vectors[1] + time @ self.w["facts.time_2E"]))

    def words(self, chosen: list[int], said: list[int]) -> np.ndarray:
        vectors = [self.embed("response", vector) for vector in self.w["response.words_RE"]]
        return np.array([self.x("response", chosen, said) @ vector for vector in vectors])

    def said(self, chosen: list[int]) -> list[int]:
        found: list[int] = []
        while len(found) < 4 and (not found or found[-1] != 3):
            found.append(int(self.words(chosen, found).argmax()))
        return found

    def scores(self, chosen: list[int]) -> np.ndarray:
        leads = []
        for words in WORDS:
            scores = [self.words(chosen, words[:k]) for k in range(len(words))]
            leads.append(min(s[w] - np.delete(s, w).max() for s, w in zip(scores, words, strict=True)))
        return np.array(leads)

    def winner(self, chosen: list[int], among: list[int]) -> int:
        """The most preferred, by a pass from the oldest to the newest."""
        winner, *rest = sorted(among)
        for i in rest:
            if self.prefers(chosen, i, winner) > 0:
                winner = i
        return winner

    def chosen(self, hops: int) -> list[int]:
        found: list[int] = []
        for hop in range(hops):
            winner = self.winner(found, [i for i in range(len(STORY) + bool(hop)) if i not in found])
            if winner == len(STORY):
                break
            found.append(winner)
        return found

    def taught(self, supports: list[int]) -> list[int]:
        """Of the true facts the most preferred first."""
        found: list[int] = []
        while left := [i for i in supports if i not in found]:
            found.append(self.winner(found, left))
        return found

    def loss(self, supports: list[int], answer: int, hops: int) -> float:
        loss, left = 0.0, list(supports)
        given: list[int] = []
        for hop in range(min(hops, len(supports) + 1)):
            true = self.winner(given, left) if left else len(STORY)
            for false in range(len(STORY) + bool(hop)):
                if false not in (true, *left, *given):
                    loss += max(0.0, MARGIN - self.prefers(given, true, false))
            if left:
                left.remove(true)
                given.append(true)
        for k, word in enumerate(WORDS[answer]):
            s = self.words(given, WORDS[answer][:k])
            loss += sum(max(0.0, MARGIN - s[word] + s[r]) for r in range(len(s)) if r != word)
        return loss


def network(*, longest: int = 1, hops: int = 4, nonlinear: bool = True, ordered: bool = True, seed: int = 0) -> MemNN:
    torch.manual_seed(seed)
    ngrams = NGrams(vocabulary=8, longest=longest, buckets=64)
    made = MemNN(
        ngrams=ngrams, answers=ANSWERS, width=5, hops=hops, nonlinear=nonlinear, ordered=ordered, margin=MARGIN
    )
    for name, parameter in made.named_parameters():
        if not name.endswith("hop_KE"):
            parameter.data *= 6.0
    return made


def batch(supports: list[int], *, answer: int = 1, rows: int = 1) -> AnsweringBatch:
    """The story behind which are empty slots and empty places."""
    story = torch.zeros(rows, 6, 5, dtype=torch.long)
    for i, sentence in enumerate(STORY):
        story[:, i, : len(sentence)] = torch.tensor(sentence)
    question = torch.tensor([[*QUESTION, 0]]).repeat(rows, 1)
    return AnsweringBatch(
        torch.arange(rows), story, question, torch.tensor([answer] * rows), torch.tensor([[*supports, -1]] * rows)
    )


@pytest.mark.parametrize(("nonlinear", "ordered"), [(False, False), (False, True), (True, False), (True, True)])
@torch.no_grad()
def test_facts_and_answers_are_chosen_as_in_the_paper(nonlinear: bool, ordered: bool) -> None:
    numbers, lists = set(), set()
    for seed in range(60):
        net, asked = network(nonlinear=nonlinear, ordered=ordered, seed=seed), batch([])
        scores_BA, hops_BKM = net.read(asked.story, asked.question)
        by_hand = ByHand(net)
        chosen = by_hand.chosen(net.hops)
        assert hops_BKM[0].argmax(1).tolist() == chosen
        assert hops_BKM.sum(2).eq(1).all()
        np.testing.assert_allclose(scores_BA[0], by_hand.scores(chosen), rtol=1e-4, atol=1e-5)
        numbers.add(len(chosen))
        said = by_hand.said(chosen)
        assert (scores_BA[0].max() > 0) == (said in WORDS)
        if said in WORDS:
            lists.add(scores_BA[0].argmax().item())
            assert WORDS[scores_BA[0].argmax()] == said
    assert len(numbers) > 1  # the number of hops is the network's choice
    assert lists


@pytest.mark.parametrize(("nonlinear", "ordered"), [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize(("supports", "hops"), [([2], 4), ([3, 0], 4), ([1, 3], 2), ([0, 2, 1], 2), ([2], 1)])
def test_loss_is_the_margin_ranking_loss(supports: list[int], hops: int, nonlinear: bool, ordered: bool) -> None:
    net = network(hops=hops, nonlinear=nonlinear, ordered=ordered)
    loss, scores_BA = net.learn(batch(supports, rows=2), smoothing=0.0)
    by_hand = ByHand(net)
    assert loss.item() == pytest.approx(2 * by_hand.loss(supports, 1, hops), rel=1e-4)
    if len(supports) <= hops:
        by_hand_BA = by_hand.scores(by_hand.taught(supports))
        np.testing.assert_allclose(scores_BA[0].detach(), by_hand_BA, rtol=1e-4, atol=1e-5)


def test_what_is_not_known_is_not_learnt() -> None:
    net = network()
    known, unknown = batch([2]), batch([2], answer=-1)
    assert net.learn(unknown, smoothing=0.0)[0] == 0
    net.learn(known, smoothing=0.0)[0].backward()
    for table in (net.facts.question, net.facts.fact, net.facts.candidate, net.response.fact):
        assert table is not None
        gradient = table.table.weight.grad
        assert gradient is not None
        assert gradient[0].eq(0).all()


def test_without_supporting_facts_the_answer_is_learnt() -> None:
    net, without = network(), batch([], answer=0)
    assert net.learn(without, smoothing=0.0)[0].item() == pytest.approx(ByHand(net).loss([], 0, 0), rel=1e-4)


@pytest.mark.parametrize("hops", [1, 3])
@pytest.mark.parametrize("supports", [[], [2], [0, 2]])
def test_everything_learns(hops: int, supports: list[int]) -> None:
    net = network(hops=hops)
    net.learn(batch(supports), smoothing=0.0)[0].backward()
    assert all(parameter.grad is not None for parameter in net.parameters())  # else ranks wait for each other


@torch.no_grad()
def test_neither_padding_nor_neighbours_change_anything() -> None:
    net, asked = network(longest=3), batch([], rows=3)
    asked.story[1, 2:], asked.story[2] = 0, 0
    asked.question[1, 1:] = 0
    scores_BA, hops_BKM = net.read(asked.story, asked.question)
    for row, sentences in enumerate([4, 2, 1]):
        alone, hops = net.read(asked.story[row : row + 1, :sentences, :3], asked.question[row : row + 1, : 2 - row % 2])
        torch.testing.assert_close(alone[0], scores_BA[row])
        assert hops.shape[2] == sentences
        assert hops[0].argmax(1).unique().tolist() == hops_BKM[row].argmax(1).unique().tolist()
        assert hops_BKM[row].sum(1).eq(float(row < 2)).all()  # the last story is empty


@torch.no_grad()
def test_without_lists_an_answer_is_a_word() -> None:
    made = Response(features=8, width=5, nonlinear=True, facts=2, ordered=True, answers=("yes", "no", "maybe"))
    x_BE = torch.randn(6, 5)
    scores_BPR = made(x_BE)
    assert scores_BPR.shape == (6, 1, 3)
    assert made.said_WE is None
    of_words = dict(zip(("maybe", "no", "yes"), scores_BPR[:, 0].unbind(1), strict=True))
    by_answer = torch.stack([of_words[word] for word in ("yes", "no", "maybe")], dim=1)
    assert made.ranked(scores_BPR).argmax(1).equal(by_answer.argmax(1))


def test_ngrams_are_words_and_pairs_and_triples_in_their_order() -> None:
    ngrams = NGrams(vocabulary=8, longest=3, buckets=4096)
    (one, other, short), F = ngrams(torch.tensor([[2, 3, 4, 0], [3, 2, 4, 0], [2, 3, 0, 0]])).tolist(), 4 + 3 + 2
    assert len(one) == F
    assert ngrams.features == 8 + 4096
    assert one[:4] == [2, 3, 4, 0]
    assert [i for i in short if i] == [2, 3, one[4]]  # the pair (2, 3) is what it is in any sentence
    assert set(one[4:6]) & set(other[4:6]) == set()
    assert sum(i > 0 for i in one) == 3 + 2 + 1
    assert max(one) < ngrams.features
