"""Attention over a source sentence: which of its states a decoder reads at a step."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from seqtrain.layers.output import state_dtype
from seqtrain.layers.recurrent import within_lengths
from seqtrain.layers.sentences import OfSentences, numbered
from seqtrain.layers.stepped import OverTime

PIECE = 2**18
"""Elements of sums of queries and keys that are worked on at a time on a CPU: about a megabyte."""


@dataclass
class Source(OfSentences):
    """A batch of source sentences, ready to be attended to.

    Attributes:
        keys: (B, S, A) what queries are held against.
        values: (B, S, D) the encoder's states.
        padding: (B, S), -inf at padding, else 0.
    """

    keys: Tensor
    values: Tensor
    padding: Tensor


class SourceAttention(nn.Module):
    """Weights over source states h_j for a query s, and the context that they make of them:

        a_j = softmax_j(score(s, h_j))      c = sum_j a_j h_j

        additive    v^T tanh(W s + U h)         (Bahdanau et al. 2014, arXiv:1409.0473, appendix A.1.2)
        dot         s^T h                       (Luong et al. 2015, arXiv:1508.04025, equation 8)
        general     s^T W h                     (the same)
        scaled_dot  (W s)^T (U h) / sqrt(A)     (Vaswani et al. 2017, arXiv:1706.03762, equation 1, one head)

    What depends on the source alone is computed once a sentence, by `prepare`. Scores and weights are kept in float32
    under autocast.

    Args:
        score: one of the above.
        queries: width H of queries.
        states: width D of source states.
        hidden: width A of the sums and of the scaled products.

    Raises:
        ValueError: `dot` with queries that are not as wide as states.
    """

    def __init__(self, *, score: str, queries: int, states: int, hidden: int) -> None:
        super().__init__()
        if score == "dot" and queries != states:
            raise ValueError(f"score=dot multiplies queries of width {queries} with states of width {states}")
        self.score, self.states = score, states
        projected = score in ("additive", "scaled_dot")
        self.query = nn.Linear(queries, hidden, bias=False) if projected else None
        keys = hidden if projected else queries
        self.key = None if score == "dot" else nn.Linear(states, keys, bias=False)
        self.v = nn.Parameter(torch.empty(hidden).uniform_(-(hidden**-0.5), hidden**-0.5))
        if score != "additive":
            del self.v
        self.scale = hidden**-0.5 if score == "scaled_dot" else 1.0

    def prepare(self, states_BSD: Tensor, lengths_B: Tensor) -> Source:
        """Makes the (B, S, D) states of sentences of (B,) lengths ready for any number of queries."""
        dtype = state_dtype(states_BSD)
        keys = states_BSD if self.key is None else self.key(states_BSD)
        real_SB = within_lengths(states_BSD.shape[1], lengths_B)
        padding = torch.zeros(real_SB.shape, dtype=dtype, device=lengths_B.device).masked_fill_(~real_SB, -torch.inf)
        return Source(numbered(lengths_B), keys.to(dtype).contiguous(), states_BSD.to(dtype).contiguous(), padding.t())

    def forward(self, queries_BTH: Tensor, source: Source) -> tuple[Tensor, Tensor]:
        """Contexts (B, T, D) and weights (B, T, S) of (B, T, H) queries, all at once."""
        if self.score == "additive":  # sums of all queries with all keys would be A times as large as the weights
            attend = Attending(self, source)
            contexts, weights = zip(*(attend(query) for query in queries_BTH.unbind(1)), strict=True)
            return torch.stack(contexts, dim=1), torch.stack(weights, dim=1)
        queries = queries_BTH if self.query is None else self.query(queries_BTH)
        with torch.autocast(queries.device.type, enabled=False):
            queries = queries.to(source.keys.dtype) * self.scale
            scores_BTS = queries @ source.keys.mT + source.padding.unsqueeze(1)
            weights_BTS = scores_BTS.softmax(-1)
            return weights_BTS @ source.values, weights_BTS


class Attending:
    """One pass of a decoder over its steps, whose queries come one after the other.

    Args:
        attention: whose scores.
        source: what it attends to.
    """

    def __init__(self, attention: SourceAttention, source: Source) -> None:
        dtype = source.keys.dtype
        self._source, self._scale = source, attention.scale
        self._query = None if attention.query is None else OverTime(attention.query.weight, dtype)
        self._scores: Any = _AdditiveScores(source.keys, attention.v) if attention.score == "additive" else None
        self._products = None if self._scores is not None else OverTime(source.keys, dtype)
        self._context = OverTime(source.values.mT, dtype)

    def __call__(self, query_BH: Tensor) -> tuple[Tensor, Tensor]:
        """The context (B, D) and the weights (B, S) of a (B, H) query."""
        # Autocast would round what is kept in float32; small products gain nothing by it.
        with torch.autocast(query_BH.device.type, enabled=False):
            query = query_BH if self._query is None else self._query(query_BH)
            if self._products is None:
                scores_BS = self._scores(query)
            else:
                scores_BS = self._products((query * self._scale).unsqueeze(1))[:, 0]
            weights_BS = F.softmax(scores_BS + self._source.padding, dim=1)
            return self._context(weights_BS.unsqueeze(1))[:, 0], weights_BS


class _AdditiveScores:
    """v^T tanh(q + k_j) for one query after the other, with the gradients of k and v taken once, behind the last one.

    Autograd would make a gradient as large as all keys for every query, and keep the tanh of every one.
    """

    def __init__(self, keys_BSA: Tensor, v_A: Tensor) -> None:
        self._sums = _Sums()
        self._keys, self._v = _Shared.apply(keys_BSA, v_A, self._sums)

    def __call__(self, query_BA: Tensor) -> Tensor:
        """(B, S) scores of a (B, A) query."""
        return _Score.apply(query_BA, self._keys, self._v, self._sums)


class _Sums:
    """What the steps of one backward pass add up; a pass finds nothing of another, which may have failed.

    Over all steps: of d_j, of d_j t_j^2 and, over the source too, of d_j t_j.
    """

    def __init__(self) -> None:
        self._pass = -1
        self._sums: tuple[Tensor, Tensor, Tensor] | None = None

    def of_pass(self, keys_BSA: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The sums (B, S), (B, S, A) and (A,) of the pass that is under way, to be added to."""
        sums = self.take()
        if sums is None:
            B, S, A = keys_BSA.shape
            sums = keys_BSA.new_zeros(B, S), torch.zeros_like(keys_BSA), keys_BSA.new_zeros(A)
        self._pass, self._sums = torch._C._current_graph_task_id(), sums
        return sums

    def take(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """The sums of the pass that is under way, if there are any, to be kept elsewhere."""
        sums, self._sums = self._sums, None
        return sums if self._pass == torch._C._current_graph_task_id() else None


class _Shared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, keys_BSA: Tensor, v_A: Tensor, sums: _Sums) -> tuple[Tensor, Tensor]:
        ctx.sums = sums
        ctx.save_for_backward(v_A)
        ctx.set_materialize_grads(False)
        return keys_BSA.view_as(keys_BSA), v_A.to(keys_BSA.dtype, copy=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *_: Any) -> tuple[Tensor | None, Tensor | None, None]:
        (v_A,), sums = ctx.saved_tensors, ctx.sums.take()
        if sums is None:
            return None, None, None
        d_BS, squares_BSA, dv_A = sums
        return (d_BS.unsqueeze(2) - squares_BSA).mul_(v_A), dv_A.to(v_A.dtype), None


def _pieces(keys_BSA: Tensor) -> tuple[list[slice], Tensor]:
    """Few sentences at a time on a CPU, so that what is between two operations stays in its cache, and room for it."""
    B, S, A = keys_BSA.shape
    rows = max(1, min(B, PIECE // (S * A)) if keys_BSA.device.type == "cpu" else B)
    return [slice(start, start + rows) for start in range(0, B, rows)], keys_BSA.new_empty(2, rows, S, A)


class _Score(torch.autograd.Function):
    """With t = tanh(q + k_j), the gradient of q + k_j is d_j (1 - t^2) v: sums of d_j and of d_j t^2 are all it takes,
    over keys for q and over queries for k. t is made a second time, as to keep it for all steps takes as long.
    """

    @staticmethod
    def forward(ctx: Any, query_BA: Tensor, keys_BSA: Tensor, v_A: Tensor, sums: _Sums) -> Tensor:
        scores_BS = keys_BSA.new_empty(keys_BSA.shape[:2])
        pieces, (room, _) = _pieces(keys_BSA)
        for rows in pieces:
            keys = keys_BSA[rows]
            t = torch.add(keys, query_BA[rows].unsqueeze(1), out=room[: len(keys)]).tanh_()
            torch.mv(t.view(-1, len(v_A)), v_A, out=scores_BS[rows].view(-1))
        ctx.save_for_backward(query_BA, keys_BSA, v_A)
        ctx.sums = sums
        return scores_BS

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_BS: Tensor) -> tuple[Tensor | None, None, None, None]:
        query_BA, keys_BSA, v_A = ctx.saved_tensors
        sums_BS, squares_BSA, dv_A = ctx.sums.of_pass(keys_BSA)
        sums_BS += d_BS
        squares_BA = torch.empty_like(query_BA)
        pieces, (room, more) = _pieces(keys_BSA)
        for rows in pieces:
            keys = keys_BSA[rows]
            t = torch.add(keys, query_BA[rows].unsqueeze(1), out=room[: len(keys)]).tanh_()
            dt = torch.mul(t, d_BS[rows].unsqueeze(2), out=more[: len(keys)])
            dv_A += dt.sum((0, 1))
            torch.sum(dt.mul_(t), 1, out=squares_BA[rows])
            squares_BSA[rows] += dt
        return (d_BS.sum(1, keepdim=True) - squares_BA).mul_(v_A), None, None, None
