"""Greedy and beam search: one loop for every decoder."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from seqtrain.decoding.settings import Decoding, Hypothesis


class StepDecoder(Protocol):
    """What search needs of a decoder. A state's rows are hypotheses."""

    def init_state(self, memory: Any) -> Any: ...

    def step(self, tokens_B: Tensor, state: Any) -> tuple[Tensor, Any]: ...

    def reorder_state(self, state: Any, index: Tensor) -> Any: ...


@torch.no_grad()
def search(
    decoder: StepDecoder,
    memory: Any,
    *,
    sentences: int,
    device: torch.device,
    settings: Decoding,
    bos: int,
    eos: int,
    never: list[int],
) -> list[list[Hypothesis]]:
    """The best hypotheses of every sentence, best first.

    A sentence leaves the batch once `beam` of its hypotheses have ended and no open one has, as it stands, a better
    score than the worst of these. So what is found for it depends on nothing else in the batch, and no time is spent on
    finished rows. A hypothesis that reaches `max_length` is ended there, and the end counts with its probability. Where
    nothing has a probability, as in a model that diverged to NaN, the only hypothesis is the empty one, of score -inf.

    Args:
        decoder: see `StepDecoder`.
        memory: what the decoder starts from.
        sentences: number of sentences R in `memory`.
        device: where the decoder computes.
        settings: beam, number of results, length penalty, longest hypothesis.
        bos: the token that starts a hypothesis.
        eos: the token that ends it.
        never: tokens that are never written.
    """
    K = settings.beam
    state = decoder.init_state(memory)
    if K > 1:
        state = decoder.reorder_state(state, torch.arange(sentences, device=device).repeat_interleave(K))
    found: list[list[Hypothesis]] = [[] for _ in range(sentences)]
    beams = _Beams.first(sentences, K, bos, device)
    for length in range(1, settings.max_length + 1):
        last = length == settings.max_length
        logits, state = decoder.step(beams.tokens[:, :, -1].reshape(-1), state)
        candidates = _candidates(beams, _log_probabilities(logits, never, only=eos if last else None), eos)
        _collect(found, beams, candidates, settings)
        if last:
            break
        beams, rows_RK = _grown(beams, candidates)
        going = _going(found, beams.sentences, beams.scores[:, 0] / length**settings.length_penalty, K)
        if not going.any():
            break
        if K > 1 or not going.all():
            state = decoder.reorder_state(state, rows_RK[going].view(-1))
        beams = beams.of(going)
    nothing = [Hypothesis([], -math.inf, -math.inf)]
    return [(hypotheses or nothing)[: settings.n_best] for hypotheses in found]


@dataclass
class _Beams:
    """The open hypotheses of the R sentences that are still searched, K each.

    Attributes:
        sentences: (R,) the sentences' numbers.
        tokens: (R, K, T) what has been written, the start included.
        scores: (R, K) log-probabilities, best first.
    """

    sentences: Tensor
    tokens: Tensor
    scores: Tensor

    @classmethod
    def first(cls, sentences: int, beam: int, bos: int, device: torch.device) -> "_Beams":
        scores_RK = torch.full((sentences, beam), -torch.inf, device=device)
        scores_RK[:, 0] = 0.0  # all beams start equal: only the first counts
        tokens_RKT = torch.full((sentences, beam, 1), bos, device=device)
        return cls(torch.arange(sentences, device=device), tokens_RKT, scores_RK)

    def of(self, going: Tensor) -> "_Beams":
        """Those of the sentences that `going` (R,) is true for."""
        return _Beams(self.sentences[going], self.tokens[going], self.scores[going])


class _Candidates(NamedTuple):
    """The best C ways for each sentence to go on or to end, best first; all (R, C).

    Attributes:
        scores: log-probabilities with the next token.
        parents: the beams that they go on from.
        tokens: the next tokens.
        ends: whether that ends the hypothesis.
    """

    scores: Tensor
    parents: Tensor
    tokens: Tensor
    ends: Tensor


def _log_probabilities(logits: Tensor, never: list[int], only: int | None) -> Tensor:
    """(R * K, V) without the tokens that are never written, or with nothing but the one that must be."""
    log_p = logits.float().log_softmax(-1)
    log_p[:, never] = -torch.inf
    if only is not None:
        log_p[:, torch.arange(log_p.shape[1], device=log_p.device) != only] = -torch.inf
    return log_p


def _candidates(beams: _Beams, log_p: Tensor, eos: int) -> _Candidates:
    """At most K of the best 2K end a hypothesis, so K are left to go on with."""
    (R, K), V = beams.scores.shape, log_p.shape[1]
    total_RKV = beams.scores.unsqueeze(-1) + log_p.view(R, K, V)
    best_RC, at_RC = total_RKV.view(R, K * V).topk(min(2 * K, K * V), dim=1)
    tokens_RC = at_RC % V
    return _Candidates(best_RC, at_RC // V, tokens_RC, (tokens_RC == eos) & torch.isfinite(best_RC))


def _collect(found: list[list[Hypothesis]], beams: _Beams, candidates: _Candidates, settings: Decoding) -> None:
    """Adds the hypotheses that end among the best K candidates of each sentence, and keeps its best K."""
    K = settings.beam
    for r, c in candidates.ends[:, :K].nonzero().tolist():
        ended = found[int(beams.sentences[r])]
        tokens = beams.tokens[r, int(candidates.parents[r, c]), 1:].tolist()
        log_probability = float(candidates.scores[r, c])
        score = log_probability / (len(tokens) + 1) ** settings.length_penalty
        ended.append(Hypothesis(tokens, log_probability, score))
        ended.sort(key=lambda h: -h.score)
        del ended[K:]


def _grown(beams: _Beams, candidates: _Candidates) -> tuple[_Beams, Tensor]:
    """The K best that go on, each a token longer, and the rows (R, K) of the decoder's state that they come from."""
    R, K, T = beams.tokens.shape
    # In their order: ended ones are sorted behind.
    order_RK = torch.argsort(candidates.ends.to(torch.uint8), dim=1, stable=True)[:, :K]
    scores_RK, parents_RK, tokens_RK = (x.gather(1, order_RK) for x in candidates[:3])
    before_RKT = beams.tokens.gather(1, parents_RK.unsqueeze(-1).expand(-1, -1, T))
    tokens_RKT = torch.cat([before_RKT, tokens_RK.unsqueeze(-1)], -1)
    rows_RK = torch.arange(R, device=tokens_RK.device).unsqueeze(1) * K + parents_RK
    return _Beams(beams.sentences, tokens_RKT, scores_RK), rows_RK


def _going(found: list[list[Hypothesis]], sentences_R: Tensor, best_R: Tensor, K: int) -> Tensor:
    """(R,) whether a sentence is searched on, by the score of its best open hypothesis."""
    best = zip(sentences_R.tolist(), best_R.tolist(), strict=True)
    going = [score > -math.inf and (len(found[r]) < K or score > found[r][-1].score) for r, score in best]
    return torch.tensor(going, device=best_R.device)
