"""Greedy and beam search: one loop for every decoder."""

import math
from typing import Any, Protocol

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
    open_R = torch.arange(sentences, device=device)  # the sentences that are still searched
    tokens_RKT = torch.full((sentences, K, 1), bos, device=device)
    scores_RK = torch.full((sentences, K), -torch.inf, device=device)
    scores_RK[:, 0] = 0.0  # all beams start equal: only the first counts
    for length in range(1, settings.max_length + 1):
        logits, state = decoder.step(tokens_RKT[:, :, -1].reshape(-1), state)
        logits = logits.float()
        log_p = logits.log_softmax(-1)
        log_p[:, never] = -torch.inf
        if length == settings.max_length:
            log_p[:, torch.arange(log_p.shape[1], device=device) != eos] = -torch.inf
        R, V = len(open_R), log_p.shape[1]
        total_RKV = scores_RK.unsqueeze(-1) + log_p.view(R, K, V)
        # At most K of the best 2K end a hypothesis, so K are left to go on with.
        best_RC, at_RC = total_RKV.view(R, K * V).topk(min(2 * K, K * V), dim=1)
        parent_RC, token_RC = at_RC // V, at_RC % V
        ends_RC = (token_RC == eos) & torch.isfinite(best_RC)
        _collect(found, open_R, tokens_RKT, ends_RC, best_RC, parent_RC, settings)
        if length == settings.max_length:
            break
        # The K best that go on, in their order: ended ones are sorted behind.
        order_RK = torch.argsort(ends_RC.to(torch.uint8), dim=1, stable=True)[:, :K]
        parent_RK, token_RK, scores_RK = (x.gather(1, order_RK) for x in (parent_RC, token_RC, best_RC))
        going = _going(found, open_R, scores_RK[:, 0] / length**settings.length_penalty, K)
        if not going.any():
            break
        rows_RK = torch.arange(R, device=device).unsqueeze(1) * K + parent_RK
        tokens_RKT = torch.cat(
            [tokens_RKT.gather(1, parent_RK.unsqueeze(-1).expand(-1, -1, length)), token_RK.unsqueeze(-1)], -1
        )
        if K > 1 or not going.all():
            state = decoder.reorder_state(state, rows_RK[going].view(-1))
        open_R, tokens_RKT, scores_RK = open_R[going], tokens_RKT[going], scores_RK[going]
    nothing = [Hypothesis([], -math.inf, -math.inf)]
    return [(hypotheses or nothing)[: settings.n_best] for hypotheses in found]


def _collect(
    found: list[list[Hypothesis]],
    open_R: Tensor,
    tokens_RKT: Tensor,
    ends_RC: Tensor,
    best_RC: Tensor,
    parent_RC: Tensor,
    settings: Decoding,
) -> None:
    """Adds the hypotheses that end among the best K candidates of each sentence, and keeps its best K."""
    K = settings.beam
    for r, c in (ends_RC[:, :K]).nonzero().tolist():
        ended = found[int(open_R[r])]
        tokens = tokens_RKT[r, int(parent_RC[r, c]), 1:].tolist()
        log_probability = float(best_RC[r, c])
        score = log_probability / (len(tokens) + 1) ** settings.length_penalty
        ended.append(Hypothesis(tokens, log_probability, score))
        ended.sort(key=lambda h: -h.score)
        del ended[K:]


def _going(found: list[list[Hypothesis]], open_R: Tensor, best_R: Tensor, K: int) -> Tensor:
    """(R,) whether a sentence is searched on, by the score of its best open hypothesis."""
    best = zip(open_R.tolist(), best_R.tolist(), strict=True)
    going = [score > -math.inf and (len(found[r]) < K or score > found[r][-1].score) for r, score in best]
    return torch.tensor(going, device=best_R.device)
