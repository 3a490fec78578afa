"""The best ways to go on: an exact selection of the largest out of many, and how a beam uses it."""

from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 64
"""Values whose maximum stands for them. Of blocks of √(V / 2), 63 at V = 8,000, as many are compared as values in those
that are chosen.
"""


class Candidates(NamedTuple):
    """The ways for each of R sentences to go on or to end, best first; all (R, C).

    Attributes:
        scores: log-probabilities with the next token.
        parents: which of the sentence's open hypotheses they go on from.
        tokens: the next tokens.
    """

    scores: Tensor
    parents: Tensor
    tokens: Tensor


def best(log_p_NV: Tensor, scores_RK: Tensor, *, beam: int) -> Candidates:
    """The 2 beam best of all ways for a sentence to go on.

    At most `beam` of them end a hypothesis, so as many are left to go on with. Greedy search needs the best only: if
    that ends, nothing open can be better.

    Args:
        log_p_NV: (R * K, V) log-probabilities of the next token, a row an open hypothesis.
        scores_RK: (R, K) log-probabilities of the open hypotheses.
        beam: hypotheses that are kept, K or more of them.
    """
    (R, K), V = scores_RK.shape, log_p_NV.shape[1]
    count = 1 if beam == 1 else min(2 * beam, K * V)
    scores_RC, at_RC = largest(log_p_NV.view(R, K, V), scores_RK, count)
    return Candidates(scores_RC, at_RC // V, at_RC % V)


def ending(log_p_NV: Tensor, scores_RK: Tensor, eos: int) -> Candidates:
    """The only ways that are left at the last step: every open hypothesis ends."""
    total_RK = scores_RK + log_p_NV[:, eos].view(scores_RK.shape)
    scores_RK, parents_RK = total_RK.sort(dim=1, descending=True, stable=True)
    return Candidates(scores_RK, parents_RK, torch.full_like(parents_RK, eos))


def largest(x_RKV: Tensor, offset_RK: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest values of offset + x in each of R rows, best first, and their places in K * V; (R, count).

    The same as `topk` over all K * V values. That is slow on a processor, so here the maxima of blocks choose the
    blocks first: the `count` largest values lie in the `count` blocks of the largest maxima, or behind the last block.
    """
    R, K, V = x_RKV.shape
    blocks = V // BLOCK
    if K * blocks < 2 * count:
        return (x_RKV + offset_RK.unsqueeze(-1)).view(R, K * V).topk(count, dim=1)
    whole = x_RKV[..., : blocks * BLOCK].unflatten(-1, (blocks, BLOCK))
    maxima = (whole.amax(-1) + offset_RK.unsqueeze(-1)).flatten(1)
    chosen_RC = maxima.topk(count, dim=1, sorted=False).indices
    k_RC, block_RC = chosen_RC // blocks, chosen_RC % blocks
    row_R1 = torch.arange(R, device=x_RKV.device).unsqueeze(1)
    values = whole[row_R1, k_RC, block_RC] + offset_RK.gather(1, k_RC).unsqueeze(-1)
    places = (k_RC * V + block_RC * BLOCK).unsqueeze(-1) + torch.arange(BLOCK, device=x_RKV.device)
    values, places = values.flatten(1), places.flatten(1)
    if V % BLOCK:
        behind = (x_RKV[..., blocks * BLOCK :] + offset_RK.unsqueeze(-1)).flatten(1)
        k_K1 = torch.arange(K, device=x_RKV.device).unsqueeze(1)
        there = (k_K1 * V + torch.arange(blocks * BLOCK, V, device=x_RKV.device)).flatten()
        values, places = torch.cat([values, behind], 1), torch.cat([places, there.expand(R, -1)], 1)
    found, at = values.topk(count, dim=1)
    return found, places.gather(1, at)
