"""End-to-end memory networks (Sukhbaatar et al. 2015, arXiv:1503.08895), several of them side by side.

Shapes, in addition to the legend of `seqtrain.tasks.base`:

    K  hops                      R  replicas: networks of the same sizes, each with weights of its own
    D  terms of the encoding     X  D times V: what words contribute by each term
    U  X, and behind it times
"""

import math
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtrain.layers.memory import weigh
from seqtrain.layers.word_bags import Encoding, WordBag
from seqtrain.tasks.answering import AnsweringBatch

DEVIATION = 0.1
"""Of what weights are drawn from: N(0, 0.1²)."""


class MemoryNetworks(nn.Module):
    """R end-to-end memory networks that are trained on the same batches; the best one in training answers.

    With the sentences x_i of a story, i = 1 the most recent, and the question q, each hop k of every network is

        m_i = Σ_j l_j ∘ A_k x_ij + T_A,k(i)          c_i = Σ_j l_j ∘ C_k x_ij + T_C,k(i)
        p = softmax(uᵀ m)        o = Σ_i p_i c_i     u ← u + o,  or H u + o with layer-wise tying

    from u = Σ_j l_j ∘ B q_j; the answers' logits are W u. T is part of A and C, as rows behind the words'.

    Nothing as large as a memory is made: uᵀ Σ_j l_j ∘ A x_ij = Σ_j (A (l_j ∘ u))_{x_ij}, so u is compared with the
    vocabulary, and what the words of a sentence got is added; likewise p is added up by words before it meets C. The
    weights l of a position encoding are sums of D terms of this kind (`WordBag`).

    Args:
        vocabulary: number of words V, padding (id 0) included.
        sentences: the most sentences of a story.
        answer_words: the answers' words. With adjacent tying their rows of C_K are W.
        embedding: width d.
        hops: K.
        tying: `adjacent`: B = A_1, A_{k+1} = C_k, Wᵀ = C_K. `layerwise`: all A are one matrix, all C another.
        encoding: l.
        temporal: whether there are T_A and T_C.
        noise: in training, up to so many empty memories per sentence are thought in between, which moves times.
        relu: whether u is made positive after each hop.
        mask: whether empty memories are left out of the softmax; else there are `sentences` memories always.
        replicas: R.

    Attributes:
        linear: whether hops are without softmax.
        batches: of all training, by which noise is drawn.
        errors: share of wrong answers of each replica in the last epoch that ended.
        losses: mean loss of each in that epoch; not finite where a gradient was not.
        counted: (3, R) wrong answers, losses and questions of the epoch that goes on, on this rank. No buffers: of
            those every rank is given the first one's.
    """

    tables: Tensor
    question: Tensor
    H: Tensor
    answers: Tensor
    answer_words: Tensor
    streams: Tensor

    def __init__(
        self,
        *,
        vocabulary: int,
        sentences: int,
        answer_words: tuple[int, ...],
        embedding: int,
        hops: int,
        tying: Literal["adjacent", "layerwise"],
        encoding: Encoding,
        temporal: bool,
        noise: float,
        relu: bool,
        mask: bool,
        replicas: int,
    ) -> None:
        super().__init__()
        self.vocabulary, self.sentences, self.hops = vocabulary, sentences, hops
        self.adjacent, self.temporal, self.noise, self.relu, self.mask = (
            tying == "adjacent",
            temporal,
            noise,
            relu,
            mask,
        )
        self.bag = WordBag(encoding)
        rows = vocabulary + sentences * temporal
        shapes: dict[str, tuple[int, ...]] = {"tables": (hops + 1 if self.adjacent else 2, rows, embedding)}
        if not self.adjacent:
            shapes |= {"question": (vocabulary, embedding), "H": (embedding, embedding)}
            shapes |= {"answers": (len(answer_words), embedding)}
        self.register_buffer("streams", torch.randint(2**62, (replicas,)))
        drawn = [_normal(int(stream), shapes) for stream in self.streams]
        for name in shapes:
            # Tables, if there are several, in front of replicas: (tables, R, U, E).
            parameter = nn.Parameter(torch.stack([weights[name] for weights in drawn], dim=-3))
            setattr(parameter, "matrices", parameter.ndim - 2)  # noqa: B010  # each is one to `GradientClipping`
            self.register_parameter(name, parameter)
        with torch.no_grad():
            for table in [self.tables, *([] if self.adjacent else [self.question])]:
                table[..., 0, :] = 0.0  # padding; it has no gradient, as nothing counts it
        self.register_buffer("answer_words", torch.tensor(answer_words), persistent=False)
        self.linear = False
        self.batches = 0
        self.counted = torch.zeros(3, replicas, dtype=torch.float64)
        self.errors, self.losses = torch.zeros(2, replicas, dtype=torch.float64)

    def get_extra_state(self) -> Tensor:
        """What is kept with the weights beside them, as bits: so nothing averages it, or makes less precise."""
        numbers = torch.tensor([self.linear, self.batches], dtype=torch.float64)
        return torch.cat([numbers, self.errors, self.losses]).view(torch.int64)

    def set_extra_state(self, state: Tensor) -> None:
        """Takes it back."""
        replicas = len(self.errors)
        numbers, self.errors, self.losses = state.cpu().view(torch.float64).split([2, replicas, replicas])
        self.linear, self.batches = bool(numbers[0]), int(numbers[1])

    def forward(self, story_BMW: Tensor, question_BW: Tensor) -> Tensor:
        """(B, A) logits of the replica that answers, of stories (B, M, W) with questions (B, W), padded with 0."""
        return self.read(story_BMW, question_BW)[0]

    def read(self, story_BMW: Tensor, question_BW: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and what each hop looked at: (B, K, M), a softmax over the sentences even where hops have none."""
        best = self.best
        logits_RBA, scores = self.run(story_BMW, question_BW, slice(best, best + 1))
        real_BM = story_BMW[:, :, 0] != 0
        return logits_RBA[0], torch.stack([weigh(scores_RBM[0], real_BM) for scores_RBM in scores], 1)

    def learn(self, batch: AnsweringBatch, *, smoothing: float) -> tuple[Tensor, Tensor]:
        """The loss, a sum over questions and a mean over replicas, and (B, A) logits of the one that answers."""
        self.batches += 1
        logits_RBA, _ = self.run(batch.story, batch.question, slice(None), times_RBM=self.noisy(batch.story))
        logits_RBA = logits_RBA.float()
        answers_N = batch.answers.repeat(len(logits_RBA))  # -1: never seen in training
        losses_N = F.cross_entropy(
            logits_RBA.flatten(0, 1), answers_N, ignore_index=-1, label_smoothing=smoothing, reduction="none"
        )
        losses_R = losses_N.view(len(logits_RBA), -1).sum(1)
        wrong_R = (logits_RBA.argmax(2) != batch.answers).sum(1)
        counted = torch.stack([wrong_R, losses_R.detach(), torch.full_like(wrong_R, len(batch))])
        self.counted = self.counted.to(counted.device) + counted
        return losses_R.mean(), logits_RBA[self.best].detach()

    def end_epoch(self) -> None:
        """Takes what was counted since the last call as the training errors and losses."""
        wrong_R, lost_R, asked_R = self.counted.cpu()
        self.errors, self.losses = wrong_R / asked_R, lost_R / asked_R
        self.counted = torch.zeros_like(self.counted)

    @torch.no_grad()
    def keep_apart(self) -> None:
        """Takes gradients that are not finite away, with all of their replica: so the others go on as they would alone.

        In this epoch the replica is out, its loss infinite. Where no replica has finite gradients, they are left.
        """
        gradients = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
        finite_R = torch.stack([g.isfinite().movedim(-3, 0).flatten(1).all(1) for g in gradients]).all(0)
        out_R = ~finite_R & finite_R.any()
        for gradient in gradients:
            gradient.masked_fill_(out_R[:, None, None], 0.0)
        self.counted[1].masked_fill_(out_R, torch.inf)

    @property
    def best(self) -> int:
        """The replica with the lowest training error in the last epoch, of several the one with the lowest loss.

        One whose loss is not finite only where there is no other.
        """
        errors, losses = self.errors.tolist(), self.losses.tolist()
        return min(range(len(errors)), key=lambda r: (not math.isfinite(losses[r]), errors[r], losses[r]))

    def run(
        self, story_BMW: Tensor, question_BW: Tensor, replicas: slice, times_RBM: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """(R, B, A) logits of some replicas, and the scores (R, B, M) of the sentences by each hop.

        Args:
            story_BMW: sentences of word ids.
            question_BW: word ids.
            replicas: which.
            times_RBM: how many memories are more recent; without it those of the story.
        """
        memory_BMX = self.bag.counts(story_BMW, self.vocabulary, self.tables.dtype).flatten(2)
        asked_BX = self.bag.counts(question_BW, self.vocabulary, self.tables.dtype).flatten(1)
        real_BM = story_BMW[:, :, 0] != 0
        tables = self._weighted(self.tables[:, replicas]).unbind(0)
        if times_RBM is None:
            times_RBM = self.times(real_BM).expand(len(tables[0]), -1, -1)
        if self.adjacent:
            asked_BU = F.pad(asked_BX, (0, tables[0].shape[1] - asked_BX.shape[1]))
            u_RBE = torch.matmul(asked_BU, tables[0])
        else:
            u_RBE = torch.matmul(asked_BX, self._weighted(self.question[replicas]))
        scores = []
        for k in range(self.hops):
            keys_RUE, values_RUE = (tables[k], tables[k + 1]) if self.adjacent else tables
            scores_RBM = self._compare(u_RBE, keys_RUE, memory_BMX, times_RBM)
            o_RBE = self._sum(self._weigh(scores_RBM, real_BM), values_RUE, memory_BMX, times_RBM)
            u_RBE = o_RBE + (u_RBE if self.adjacent else torch.matmul(u_RBE, self.H[replicas].transpose(1, 2)))
            u_RBE = torch.relu(u_RBE) if self.relu else u_RBE
            scores.append(scores_RBM.detach())
        # The first term's factor is 1: its rows are the words' own.
        answers_RAE = tables[-1][:, self.answer_words] if self.adjacent else self.answers[replicas]
        return torch.matmul(u_RBE, answers_RAE.transpose(1, 2)), scores

    def times(self, real_BM: Tensor) -> Tensor:
        """(B, M) how many sentences of its story are more recent than each."""
        places_M = torch.arange(1, real_BM.shape[1] + 1, device=real_BM.device)
        return (real_BM.sum(1, keepdim=True) - places_M).clamp(0, self.sentences - 1)

    def noisy(self, story_BMW: Tensor) -> Tensor:
        """(R, B, M) the same, with empty memories thought in between: times move, those beyond the last one to it.

        A story of n sentences gets 0 to ⌈noise · n⌉ of them, each number as likely, and every way of placing them.
        """
        real_BM = story_BMW[:, :, 0] != 0
        times_BM = self.times(real_BM)
        if not self.noise or not self.temporal:
            return times_BM.expand(len(self.streams), -1, -1)
        most = int(np.ceil(self.noise * real_BM.shape[1]))
        drawn = [_stream(stream, self.batches) for stream in self.streams.tolist()]
        draws_RDB = np.stack([draws.random((most + 1, len(real_BM)), dtype=np.float32) for draws in drawn])
        n_B = real_BM.sum(1).cpu().numpy()
        empty_RB = (draws_RDB[:, 0] * (np.ceil(self.noise * n_B) + 1)).astype(np.int16)
        times_RBM = np.tile(times_BM.cpu().numpy().astype(np.int16), (len(drawn), 1, 1))
        for i in range(most):
            # One by one, each before, behind or between all that are there. So each choice of places is as likely.
            before_RB = (draws_RDB[:, i + 1] * (n_B + i + 1)).astype(np.int16)
            before_RB[empty_RB <= i] = np.iinfo(np.int16).max
            times_RBM += times_RBM >= before_RB[..., None]
        times_RBM = np.minimum(times_RBM, self.sentences - 1).astype(np.int64)
        return torch.from_numpy(times_RBM).to(real_BM.device)

    def _weighted(self, table_XVE: Tensor) -> Tensor:
        """(…, U, E) the words' rows by each term, weighted by its factors; behind them those of times as they are."""
        factors_DE = self.bag.factors(table_XVE.shape[-1], table_XVE)
        words_XVE, times_XVE = table_XVE.split([self.vocabulary, table_XVE.shape[-2] - self.vocabulary], -2)
        weighted_XDVE = words_XVE.unsqueeze(-3) * factors_DE.unsqueeze(1)
        return torch.cat([weighted_XDVE.flatten(-3, -2), times_XVE], -2)

    def _compare(self, u_RBE: Tensor, keys_RUE: Tensor, memory_BMX: Tensor, times_RBM: Tensor) -> Tensor:
        """(R, B, M) uᵀ m of every sentence."""
        found_RBU = torch.matmul(u_RBE, keys_RUE.transpose(1, 2))
        X = memory_BMX.shape[2]
        words_RBX, times_RBU = found_RBU.split([X, found_RBU.shape[2] - X], 2)
        scores_RBM = torch.bmm(words_RBX.transpose(0, 1), memory_BMX.transpose(1, 2)).transpose(0, 1)
        return scores_RBM + times_RBU.gather(2, times_RBM) if self.temporal else scores_RBM

    def _weigh(self, scores_RBM: Tensor, real_BM: Tensor) -> Tensor:
        """(R, B, M) weights of sentences, float32 at least, 0 of what there is none of."""
        if self.linear or self.mask:
            return weigh(scores_RBM, real_BM, linear=self.linear)
        # An empty memory is the zero vector: u likes it by 0, and nothing comes back.
        M = scores_RBM.shape[2]
        all_RBM = F.pad(scores_RBM.masked_fill(~real_BM, 0.0), (0, max(0, self.sentences - M)))
        return weigh(all_RBM)[..., :M].masked_fill(~real_BM, 0.0)

    def _sum(self, weights_RBM: Tensor, values_RUE: Tensor, memory_BMX: Tensor, times_RBM: Tensor) -> Tensor:
        """(R, B, E) Σ_i p_i c_i."""
        weights_RBM = weights_RBM.to(memory_BMX.dtype)
        found_RBU = torch.bmm(weights_RBM.transpose(0, 1), memory_BMX).transpose(0, 1)
        if self.temporal:
            times_RBU = weights_RBM.new_zeros(*weights_RBM.shape[:2], self.sentences)
            found_RBU = torch.cat([found_RBU, times_RBU.scatter_add(2, times_RBM, weights_RBM)], 2)
        return torch.matmul(found_RBU, values_RUE)


def _stream(stream: int, number: int) -> np.random.Generator:
    """A replica's random numbers for one training batch, counted from 1, or, with 0, for its weights."""
    return np.random.Generator(np.random.Philox(key=np.array([stream, number], dtype=np.uint64)))


def _normal(stream: int, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Tensors of these shapes from N(0, 0.1²)."""
    draws = _stream(stream, 0)
    return {
        name: torch.from_numpy(draws.standard_normal(shape, dtype=np.float32)) * DEVIATION
        for name, shape in shapes.items()
    }
