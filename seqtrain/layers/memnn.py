"""Memory networks with strong supervision (Weston et al. 2014, arXiv:1410.3916): facts chosen, answers ranked.

The equations are the paper's sections 3.1 and 3.4; what Weston et al. 2015, arXiv:1502.05698 (section 4), add for bAbI
is here too: N-grams, a non-linear embedding, a number of hops that depends on the question, and, after its maps for the
places of words, masks for the places of facts.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtrain.layers.embedding import embedding, summed
from seqtrain.layers.ngrams import hashed
from seqtrain.tasks.answering import AnsweringBatch

DEVIATION = 0.1
"""Of the start of all embeddings."""
SPREAD = 0.5
"""Of the start of the masks of the hops, around 1."""


class NGrams:
    """The N-grams of sentences, each a feature of its own.

    Words keep their ids; longer N-grams are hashed into as many ids as there are buckets, behind the words'.

    Args:
        vocabulary: number of words, padding (id 0) included.
        longest: words of the longest N-gram; with 1 a sentence is its words.
        buckets: ids for the N-grams of two words and more.
    """

    def __init__(self, *, vocabulary: int, longest: int, buckets: int) -> None:
        self.vocabulary, self.longest, self.buckets = vocabulary, longest, buckets

    @property
    def features(self) -> int:
        """How many features there are, padding included."""
        return self.vocabulary + (self.buckets if self.longest > 1 else 0)

    def __call__(self, words_XW: Tensor) -> Tensor:
        """(…, F) ids of the features of sentences (…, W), 0 where an N-gram would reach into padding."""
        found = [words_XW]
        for n in range(2, min(self.longest, words_XW.shape[-1]) + 1):
            numbers_XW = hashed(words_XW, n=n, kind=n, buckets=self.buckets)
            found.append(torch.where(numbers_XW > 0, numbers_XW + self.vocabulary - 1, 0))
        return torch.cat(found, dim=-1)


class Bag(nn.Module):
    """U Φ: the sum of the vectors of a sentence's features.

    Args:
        features: number of features, padding (id 0) included, whose vector stays zero.
        width: of the vectors.
    """

    def __init__(self, *, features: int, width: int) -> None:
        super().__init__()
        self.table = embedding(features, width, deviation=DEVIATION)

    def forward(self, features_XF: Tensor) -> Tensor:
        """(…, E) sums of features (…, F)."""
        return summed(features_XF, self.table.weight)


class Matching(nn.Module):
    """s(x, y) = Φ_x(x)ᵀ Uᵀ U Φ_y(y), x being a question and the facts that were chosen for it.

    The features of the question, of the chosen facts and of what is compared with them are three different ones: the
    U of each, of 3|W| in all, is a table of its own. Non-linear, E(x) = tanh(W tanh(U Φ(x))) takes the place of U Φ on
    both sides.

    Ordered, the vectors of the fact that hop k has chosen are multiplied by a mask d_k, so that a sum of facts tells
    which was chosen first: the multilinear map of Weston 2015 (section 4), with diagonal matrices, over the facts of x
    in place of the words of a sentence.

    Args:
        features: number of features of a sentence.
        width: n, of the embedding.
        nonlinear: whether the embedding is.
        facts: the most facts that x can have.
        ordered: whether x tells their order.
    """

    def __init__(self, *, features: int, width: int, nonlinear: bool, facts: int, ordered: bool) -> None:
        super().__init__()
        self.question = Bag(features=features, width=width)
        self.fact = Bag(features=features, width=width) if facts else None
        self.hop_KE = nn.Parameter(1 + torch.randn(facts, width) * SPREAD) if facts and ordered else None
        self.mix = nn.Linear(width, width, bias=False) if nonlinear else None

    def joined(self, x_BE: Tensor, facts_BKF: Tensor, hop: int = 0) -> Tensor:
        """(B, E): the sums of the vectors of x, to which the K facts (B, K, F) from a hop on have been added."""
        assert self.fact is not None
        facts_BKE = self.fact(facts_BKF)
        if self.hop_KE is not None:
            facts_BKE = facts_BKE * self.hop_KE[hop : hop + facts_BKE.shape[1]]
        return x_BE + facts_BKE.sum(1)

    def embed(self, sum_XE: Tensor) -> Tensor:
        """(…, E) of sums of vectors."""
        return sum_XE if self.mix is None else torch.tanh(self.mix(torch.tanh(sum_XE)))


class FactMatching(Matching):
    """s_Ot(x, y, y') = Φ_x(x)ᵀ Uᵀ U (Φ_y(y) − Φ_y(y') + Φ_t(x, y, y')): above 0 the fact y is preferred to y'.

    Φ_t has a feature for [x is older than y] − [x is older than y'] and one for [y is older than y'] − [y' is older
    than y]. The age of x is that of the fact that was chosen last; a question alone is the most recent of all. (The
    paper has three, the brackets without what is subtracted. Of two facts that differ in age alone, its score prefers
    none where y is the newer one, and is not −s_Ot(x, y', y). Here it is, and what is true wins either way or not.)

    The fact m_∅ that ends the choice (a feature of its own) stands behind all others: it is number M of M + 1.

    Time is no sentence: where the embedding is non-linear, E takes the place of U Φ_x and U Φ_y, and U Φ_t stays.
    """

    def __init__(self, *, features: int, width: int, nonlinear: bool, facts: int, ordered: bool) -> None:
        super().__init__(features=features, width=width, nonlinear=nonlinear, facts=facts, ordered=ordered)
        self.candidate = Bag(features=features, width=width)
        self.end_E = nn.Parameter(torch.randn(width) * DEVIATION)
        self.time_2E = nn.Parameter(torch.randn(2, width) * DEVIATION)

    def candidates(self, story_BMF: Tensor) -> Tensor:
        """(B, M + 1, E): every fact (B, M, F), and m_∅."""
        end_B1E = self.end_E.expand(len(story_BMF), 1, -1)
        return self.embed(torch.cat([self.candidate(story_BMF), end_B1E], dim=1))

    def forward(self, x_BKE: Tensor, place_BK: Tensor, candidates_BCE: Tensor) -> tuple[Tensor, Tensor]:
        """s_Ot in parts, for K different x at once.

        Args:
            x_BKE: sums of the vectors of x.
            place_BK: place of x in time: that of its last fact; anything above M for a question alone.
            candidates_BCE: all C = M + 1 candidates, the oldest first.

        Returns:
            a (B, K, C) and r (B, K), with s_Ot(x, y, y') = a_y − a_y' + r where y is older than y', − r elsewhere.
        """
        e_BKE = self.embed(x_BKE)
        x_older_BK, r_BK = (e_BKE @ self.time_2E.t()).unbind(2)
        older_BKC = place_BK.unsqueeze(2) < torch.arange(candidates_BCE.shape[1], device=place_BK.device)
        return e_BKE @ candidates_BCE.mT + x_older_BK.unsqueeze(2) * older_BKC, r_BK


class Response(Matching):
    """Answers word by word, until the word w_∅ is chosen that ends a list (Weston 2015, section 4):

        r_1 = arg max s_R([x, m_o1, …], w), r_2 = arg max s_R([x, m_o1, …, r_1], w) …

    An answered word is a feature of its own in x, and another one as what is compared. Where no answer of the training
    set is a list, there is one word and no w_∅.

    Answers are ranked by the smallest lead of their words, s_R(…, w_k) − max_{w ≠ w_k} s_R(…, w) over the places k:
    that of what would be chosen is above 0, that of all others is not.

    Args:
        features: number of features of a sentence.
        width: n, of the embedding.
        nonlinear: whether the embedding is.
        facts: the most facts that x can have.
        ordered: whether x tells their order.
        answers: all of them; the words of a list are joined by commas.
    """

    def __init__(
        self, *, features: int, width: int, nonlinear: bool, facts: int, ordered: bool, answers: Sequence[str]
    ) -> None:
        super().__init__(features=features, width=width, nonlinear=nonlinear, facts=facts, ordered=ordered)
        lists = [answer.split(",") for answer in answers]
        number = {word: n for n, word in enumerate(sorted({word for words in lists for word in words}))}
        several = max(map(len, lists)) > 1
        chosen = [[number[word] for word in words] + [len(number)] * several for words in lists]
        begun = sorted({tuple(words[:k]) for words in chosen for k in range(len(words))})
        R = len(number) + several
        self.words_RE = nn.Parameter(torch.randn(R, width) * DEVIATION)
        self.said_WE = nn.Parameter(torch.randn(len(number), width) * DEVIATION) if several else None
        counts_PW = torch.zeros(len(begun), len(number))
        for row, words in zip(counts_PW, begun, strict=True):
            for word in words:
                row[word] += 1.0
        place = {words: R * n for n, words in enumerate(begun)}
        steps = [[place[tuple(words[:k])] + word for k, word in enumerate(words)] for words in chosen]
        longest = max(map(len, steps))
        self.steps_AK: Tensor  # of each answer where its words are among those of all P beginnings, the last one again
        self.counts_PW: Tensor
        self.register_buffer("counts_PW", counts_PW, persistent=False)
        padded = [words + words[-1:] * (longest - len(words)) for words in steps]
        self.register_buffer("steps_AK", torch.tensor(padded), persistent=False)

    def forward(self, x_BE: Tensor) -> Tensor:
        """(B, P, R): s_R of every word behind every beginning of an answer, of the sums x of questions and facts."""
        x_BPE = x_BE.unsqueeze(1)
        if self.said_WE is not None:
            x_BPE = x_BPE + self.counts_PW @ self.said_WE
        return self.embed(x_BPE) @ self.embed(self.words_RE).t()

    def ranked(self, scores_BPR: Tensor) -> Tensor:
        """(B, A): the smallest lead of each answer's words."""
        first_BP2 = scores_BPR.topk(min(2, scores_BPR.shape[2]), dim=2).values
        is_first_BPR = scores_BPR == first_BP2[..., :1]
        lead_BPR = scores_BPR - torch.where(is_first_BPR, first_BP2[..., -1:], first_BP2[..., :1])
        return lead_BPR.flatten(1)[:, self.steps_AK].amin(2)

    def loss(self, scores_BPR: Tensor, answers_B: Tensor, margin: float) -> Tensor:
        """(B,): Σ_w̄ max(0, γ − s_R(…, w_k) + s_R(…, w̄)) over the words w_k of the answers, each behind those before."""
        R = scores_BPR.shape[2]
        steps_BK = self.steps_AK[answers_B]
        first_BK = F.pad(steps_BK[:, 1:] != steps_BK[:, :-1], (1, 0), value=True)
        of_word_BKR = scores_BPR.gather(1, (steps_BK // R).unsqueeze(2).expand(-1, -1, R))
        word_BK1 = (steps_BK % R).unsqueeze(2)
        short_BKR = F.relu(margin - of_word_BKR.gather(2, word_BK1) + of_word_BKR).scatter(2, word_BK1, 0.0)
        return (short_BKR.sum(2) * first_BK).sum(1)


class MemNN(nn.Module):
    """Chooses facts one after another, and then the answer.

    o_1 = arg max s_Ot(x, m), o_2 = arg max s_Ot([x, m_o1], m) …, where the most preferred is found by a pass from the
    oldest fact to the newest which keeps the winner of each comparison, until m_∅ is chosen; and then the answer, see
    `Response`. No fact is chosen twice.

    Args:
        ngrams: what the features of a sentence are.
        answers: those of the training set; the words of a list are joined by commas.
        width: n, of the embeddings.
        hops: the most facts that are chosen.
        nonlinear: see `Matching`.
        ordered: see `Matching`.
        margin: γ, by which a true fact or answer is to win.
    """

    def __init__(
        self,
        *,
        ngrams: NGrams,
        answers: Sequence[str],
        width: int,
        hops: int,
        nonlinear: bool,
        ordered: bool,
        margin: float,
    ) -> None:
        super().__init__()
        self.ngrams, self.hops, self.margin = ngrams, hops, margin
        both: dict[str, Any] = {
            "features": ngrams.features,
            "width": width,
            "nonlinear": nonlinear,
            "ordered": ordered,
        }
        self.facts = FactMatching(facts=hops - 1, **both)  # the last one is chosen knowing the others
        self.response = Response(facts=hops, answers=answers, **both)

    def forward(self, story_BMW: Tensor, question_BW: Tensor) -> Tensor:
        """(B, A) scores of the answers to questions (B, W) on stories (B, M, W)."""
        return self.read(story_BMW, question_BW)[0]

    def read(self, story_BMW: Tensor, question_BW: Tensor) -> tuple[Tensor, Tensor]:
        """The scores (B, A), and the facts that were chosen, (B, K, M): 1 for the one that hop k chose, 0 elsewhere.

        Where fewer facts were chosen than for another question of the batch, the last one is there again.
        """
        with torch.autocast(story_BMW.device.type, enabled=False):  # what differs by a margin is near in bfloat16
            return self._read(story_BMW, question_BW)

    def _read(self, story_BMW: Tensor, question_BW: Tensor) -> tuple[Tensor, Tensor]:
        story_BMF, question_BF = self.ngrams(story_BMW), self.ngrams(question_BW)
        real_BM = story_BMF[..., 0] != 0
        M = real_BM.shape[1]
        number_M = torch.arange(M, device=real_BM.device)
        candidates_BCE = self.facts.candidates(story_BMF)
        x_BE, answer_x_BE = self.facts.question(question_BF), self.response.question(question_BF)
        left_BM, goes_on_B = real_BM, real_BM[:, 0]
        last_B, chosen = torch.full_like(question_BF[:, 0], M + 1), []
        for hop in range(self.hops):
            a, r = self.facts(x_BE.unsqueeze(1), last_B.unsqueeze(1), candidates_BCE)
            may_end_B1 = torch.full_like(real_BM[:, :1], hop > 0)
            winner_B = _tournament(a[:, 0], r[:, 0], torch.cat([left_BM, may_end_B1], dim=1))
            goes_on_B = goes_on_B & (winner_B < M)
            if hop and not goes_on_B.any():
                break
            last_B = winner_B.where(goes_on_B, last_B)
            chosen.append(last_B)
            left_BM = left_BM & (last_B.unsqueeze(1) != number_M)
            fact_B1F = _at(story_BMF, winner_B.clamp(max=M - 1).masked_fill(~goes_on_B, -1).unsqueeze(1))
            if hop + 1 < self.hops:
                x_BE = self.facts.joined(x_BE, fact_B1F, hop)
            answer_x_BE = self.response.joined(answer_x_BE, fact_B1F, hop)
        # An empty story leaves the place that no fact has.
        hops_BKM = (torch.stack(chosen, dim=1).unsqueeze(2) == number_M).to(x_BE.dtype)
        return self.response.ranked(self.response(answer_x_BE)), hops_BKM

    def learn(self, batch: AnsweringBatch, *, smoothing: float) -> tuple[Tensor, Tensor]:
        """The margin ranking loss, a sum over questions whose answer is known, and the scores (B, A).

        Every hop is given true facts, those of the hops before it, and the answer all of them: the scores are those of
        a network that chose rightly. Which of the true facts comes first is not known: the true one of a hop is the
        most preferred of those that are left, and m_∅ when none is. All false facts and answers count, where the paper
        draws one of each.

        Args:
            batch: questions; of one without supporting facts only the answer is learnt.
            smoothing: nothing is smoothed, as there is no distribution.
        """
        with torch.autocast(batch.story.device.type, enabled=False):
            story_BMF, question_BF = self.ngrams(batch.story), self.ngrams(batch.question)
            loss_B, chosen_BK = self._fact_loss(story_BMF, question_BF, batch.supports)
            x_BE = self.response.joined(self.response.question(question_BF), _at(story_BMF, chosen_BK))
            scores_BPR = self.response(x_BE)
            loss_B = loss_B + self.response.loss(scores_BPR, batch.answers.clamp(min=0), self.margin)
        return (loss_B * (batch.answers >= 0)).sum(), self.response.ranked(scores_BPR.detach())

    def _fact_loss(self, story_BMF: Tensor, question_BF: Tensor, supports_BK: Tensor) -> tuple[Tensor, Tensor]:
        """(B,): Σ_f̄ max(0, γ − s_Ot(x, m_o, f̄)) over the hops and their false facts; (B, K) true facts, -1 at m_∅."""
        real_BC = F.pad(story_BMF[..., 0] != 0, (0, 1), value=True)
        number_C = torch.arange(real_BC.shape[1], device=real_BC.device)
        M = int(number_C[-1])
        left_BC = (supports_BK.unsqueeze(2) == number_C).any(1)
        candidates_BCE, x_BE = self.facts.candidates(story_BMF), self.facts.question(question_BF)
        place_B, asked_B = torch.full_like(question_BF[:, 0], M + 1), left_BC.any(1)
        loss_B, chosen = x_BE.new_zeros(len(x_BE)), []
        for hop in range(min(self.hops, supports_BK.shape[1] + 1)):
            a_BC, r_B = (part[:, 0] for part in self.facts(x_BE.unsqueeze(1), place_B.unsqueeze(1), candidates_BCE))
            is_left_B = left_BC.any(1)
            true_B = _tournament(a_BC.detach(), r_B.detach(), left_BC).masked_fill(~is_left_B, M)
            true_B1 = true_B.unsqueeze(1)
            false_BC = real_BC & ~left_BC & asked_B.unsqueeze(1) & (number_C != true_B1)
            if hop == 0:  # one fact at least
                false_BC[:, M] = False
            r_BC = r_B.unsqueeze(1) * (number_C - true_B1).sign()
            loss_B = loss_B + (F.relu(self.margin - a_BC.gather(1, true_B1) + a_BC - r_BC) * false_BC).sum(1)
            chosen.append(true_B.masked_fill(~is_left_B, -1))
            if hop + 1 < self.hops:
                x_BE = self.facts.joined(x_BE, _at(story_BMF, chosen[-1].unsqueeze(1)), hop)
            other_BC = number_C != true_B1
            left_BC, real_BC = left_BC & other_BC, real_BC & (other_BC | (number_C == M))
            place_B, asked_B = true_B, is_left_B
        return loss_B, torch.stack(chosen, dim=1)


def _at(story_BMF: Tensor, places_BK: Tensor) -> Tensor:
    """(B, K, F) features of the sentences at some places; none (0) at place -1."""
    index_BKF = places_BK.clamp(min=0).unsqueeze(2).expand(-1, -1, story_BMF.shape[2])
    return story_BMF.gather(1, index_BKF).masked_fill(places_BK.unsqueeze(2) < 0, 0)


def _tournament(a_BC: Tensor, r_B: Tensor, may_BC: Tensor) -> Tensor:
    """(B,): the winners of passes from the oldest candidate that may win to the newest; 0 where none may."""
    winner_B, best_B = torch.zeros_like(r_B, dtype=torch.long), torch.full_like(r_B, -torch.inf)
    challengers = zip(a_BC.unbind(1), (a_BC + r_B.unsqueeze(1)).unbind(1), may_BC.unbind(1), strict=True)
    for number, (a_B, to_beat_B, may_B) in enumerate(challengers):
        wins_B = may_B & (a_B > best_B)
        winner_B = winner_B.masked_fill(wins_B, number)
        best_B = to_beat_B.where(wins_B, best_B)
    return winner_B
