"""Recurrent entity networks (Henaff, Weston, Szlam, Bordes & LeCun 2017, arXiv:1612.03969), section 2."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from seqtrain.layers.embedding import embedding, summed

DEVIATION = 0.1
"""Of the start of all matrices, and of the masks of stories."""
SMALLEST = 1e-12
"""The norm that a memory is divided by at least."""


class Masked(nn.Module):
    """The input encoder s = Σ_i f_i ⊙ e_i: a sum of word vectors, each multiplied by the mask of its place.

    Args:
        places: number of masks; words further back have the last one.
        width: E, of the vectors.
    """

    def __init__(self, *, places: int, width: int) -> None:
        super().__init__()
        self.mask = nn.Parameter(torch.ones(places, width))  # a bag of words at first

    def forward(self, table_VE: Tensor, words_XW: Tensor) -> Tensor:
        """(…, E) of sentences (…, W); padding (id 0) has the vector zero."""
        V, W = len(table_VE), words_XW.shape[-1]
        place_W = torch.arange(W, device=words_XW.device)
        mask_WE = self.mask[place_W.clamp(max=len(self.mask) - 1)]
        # A batch has more words than there are pairs of a place and a word: their products are made once.
        product_NE = (mask_WE.unsqueeze(1) * table_VE).flatten(0, 1)
        return summed((words_XW + V * place_W).masked_fill(words_XW == 0, 0), product_NE)


class EntityMemory(nn.Module):
    """Memories h_j with keys w_j, all of which take in one sentence after another (equations 2 to 5).

        g_j = σ(sᵀ h_j + sᵀ w_j)
        h̃_j = φ(U h_j + V w_j + W s)
        h_j ← h_j + g_j h̃_j
        h_j ← h_j / ‖h_j‖

    Memories start as their keys. φ is a rectifier with a slope for each unit, which starts at 1.

    Args:
        slots: number J of memories.
        width: E, of memories, keys and sentences.
    """

    def __init__(self, *, slots: int, width: int) -> None:
        super().__init__()
        self.keys_JE = nn.Parameter(torch.empty(slots, width))
        self.U_EE = nn.Parameter(torch.empty(width, width))
        self.V_EE = nn.Parameter(torch.empty(width, width))
        self.W_EE = nn.Parameter(torch.empty(width, width))
        self.slope_E = nn.Parameter(torch.ones(width))
        for parameter in (self.keys_JE, self.U_EE, self.V_EE, self.W_EE):
            nn.init.normal_(parameter, std=DEVIATION)

    def forward(self, s_BME: Tensor, lengths_B: Tensor) -> Tensor:
        """(B, J, E): the memories after (B,) sentences of each story (B, M, E)."""
        # The longest first: the stories that still go on at a time step are the first ones, and nothing is masked.
        order_B = torch.argsort(lengths_B, descending=True, stable=True)
        step_M1 = torch.arange(s_BME.shape[1], device=lengths_B.device).unsqueeze(1)
        counts = (lengths_B > step_M1).sum(1).tolist()
        s_MBE = s_BME.transpose(0, 1).index_select(1, order_B)
        with torch.autocast(s_BME.device.type, enabled=False):  # small differences add up over a story
            h_BJE = Reading.apply(
                s_MBE,
                s_MBE @ self.W_EE.t(),
                s_MBE @ self.keys_JE.t(),
                self.keys_JE,
                self.keys_JE @ self.V_EE.t(),
                self.U_EE,
                self.slope_E,
                [count for count in counts if count],
                torch.is_grad_enabled(),
            )
        return h_BJE[torch.argsort(order_B)]


class Reading(torch.autograd.Function):
    """The loop over sentences, with its own backward pass, which makes the gradient of U in one product over time."""

    @staticmethod
    def forward(
        ctx: Any,
        s_MBE: Tensor,
        Ws_MBE: Tensor,
        sw_MBJ: Tensor,
        keys_JE: Tensor,
        Vw_JE: Tensor,
        U_EE: Tensor,
        slope_E: Tensor,
        counts: list[int],
        learns: bool,
    ) -> Tensor:
        """(B, J, E) memories after all sentences.

        Args:
            ctx: autograd's.
            s_MBE: sentences of stories, the longest story first.
            Ws_MBE: W s.
            sw_MBJ: sᵀ w.
            keys_JE: w, what the memories start as.
            Vw_JE: V w.
            U_EE: U.
            slope_E: slope of φ below 0.
            counts: how many stories have a first sentence, a second …
            learns: whether there may be a backward pass, for which all of every step is kept.
        """
        B, (J, E) = s_MBE.shape[1], keys_JE.shape
        last_BJE = keys_JE.repeat(B, 1, 1)
        # h_j that a sentence finds: of all stories that have a first sentence, of those that have a second …
        if learns:
            before = s_MBE.new_empty(sum(counts), J, E)
            found = list(before.split(counts))
        else:  # what a sentence finds and what it leaves
            before = s_MBE.new_empty(2, max(counts, default=0), J, E)
            found = [before[t % 2, :n] for t, n in enumerate(counts)]
        steps: list[tuple[Tensor, ...]] = []
        for t, (n, rest) in enumerate(zip(counts, [*counts, 0][1:], strict=True)):
            p = found[t] if t else found[t].copy_(last_BJE[:n])
            a = (Vw_JE + Ws_MBE[t, :n].unsqueeze(1)).view(-1, E).addmm_(p.view(-1, E), U_EE.t())
            c = F.prelu(a, slope_E).view(n, J, E)
            z = torch.baddbmm(sw_MBJ[t, :n].unsqueeze(2), p, s_MBE[t, :n].unsqueeze(2))
            g = z.sigmoid_()
            v = torch.addcmul(p, g, c)
            norm = torch.linalg.vector_norm(v, dim=2, keepdim=True).clamp_min_(SMALLEST)
            if rest:
                torch.div(v[:rest], norm[:rest], out=found[t + 1])
            torch.div(v[rest:], norm[rest:], out=last_BJE[rest:n])
            if learns:
                steps.append((a, c, g, norm))
        ctx.counts = counts
        ctx.save_for_backward(s_MBE, U_EE, slope_E, before, last_BJE, *(kept for step in steps for kept in step))
        return last_BJE

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_BJE: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of all tensors."""
        s_MBE, U_EE, slope_E, before, last_BJE, *kept = ctx.saved_tensors
        counts, (B, J, E), M = ctx.counts, last_BJE.shape, len(s_MBE)
        da_all, dslope_E = torch.empty_like(before), torch.zeros_like(slope_E)
        ds_MBE, dWs_MBE, dsw_MBJ = torch.zeros_like(s_MBE), torch.zeros_like(s_MBE), s_MBE.new_zeros(M, B, J)
        found, da_found = before.split(counts), da_all.split(counts)
        d, h = d_BJE[:0], last_BJE[:0]  # of the stories that go on, after the sentence
        for t in range(len(counts) - 1, -1, -1):
            n, rest = counts[t], len(h)
            if n > rest:
                d, h = torch.cat([d, d_BJE[rest:n]]), torch.cat([h, last_BJE[rest:n]])
            p, da, s, (a, c, g, norm) = found[t], da_found[t], s_MBE[t, :n].unsqueeze(1), kept[4 * t : 4 * t + 4]
            dv = torch.addcmul(d, h, (h * d).sum(2, keepdim=True), value=-1.0).div_(norm)
            dz = (dv * c).sum(2, keepdim=True) * (g * (1 - g))
            dc_NE = (dv * g).view(-1, E)
            da_NE = torch.where(a > 0, dc_NE, dc_NE * slope_E)
            da.copy_(da_NE.view(n, J, E))
            dslope_E += dc_NE.mul_(a.clamp(max=0)).sum(0)
            dsw_MBJ[t, :n] = dz.squeeze(2)
            torch.sum(da, 1, out=dWs_MBE[t, :n])
            torch.bmm(dz.mT, p, out=ds_MBE[t, :n].unsqueeze(1))
            d, h = dv.addcmul_(dz, s), p
            d.view(-1, E).addmm_(da_NE, U_EE)
        dkeys_JE = d.sum(0) + d_BJE[len(d) :].sum(0)  # a story without a sentence leaves the memories as they start
        dU_EE = da_all.view(-1, E).t() @ before.view(-1, E)
        return ds_MBE, dWs_MBE, dsw_MBJ, dkeys_JE, da_all.sum(0), dU_EE, dslope_E, None, None


class EntNet(nn.Module):
    """Reads a story into memories, and answers from those that fit the question (equation 6).

        p = softmax(qᵀ h_j),  u = Σ_j p_j h_j,  y = R φ(q + H u)

    The question q has masks of its own. All masks start as ones, as in the paper.

    Args:
        vocabulary: number of words, padding (id 0) included.
        answers: number of answers A.
        width: E, of words, memories and keys.
        slots: number J of memories.
        places: number of masks of the words of a sentence.
    """

    def __init__(self, *, vocabulary: int, answers: int, width: int, slots: int, places: int) -> None:
        super().__init__()
        self.embedding = embedding(vocabulary, width, deviation=DEVIATION)
        self.sentence = Masked(places=places, width=width)
        self.question = Masked(places=places, width=width)
        self.memory = EntityMemory(slots=slots, width=width)
        self.H_EE = nn.Parameter(torch.randn(width, width) * DEVIATION)
        self.slope_E = nn.Parameter(torch.ones(width))
        self.R_AE = nn.Parameter(torch.randn(answers, width) * DEVIATION)

    def forward(self, story_BMW: Tensor, question_BW: Tensor) -> Tensor:
        """(B, A) logits of questions (B, W) on stories (B, M, W), padded with 0."""
        table_VE = self.embedding.weight
        q_BE = self.question(table_VE, question_BW)
        h_BJE = self.memory(self.sentence(table_VE, story_BMW), (story_BMW[..., 0] != 0).sum(1))
        p_BJ = (h_BJE @ q_BE.unsqueeze(2)).squeeze(2).softmax(1)
        u_BE = (p_BJ.unsqueeze(1) @ h_BJE).squeeze(1)
        return F.prelu(q_BE + u_BE @ self.H_EE.t(), self.slope_E) @ self.R_AE.t()
