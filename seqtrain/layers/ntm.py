"""The neural Turing machine (Graves, Wayne & Danihelka 2014, arXiv:1410.5401), in the paper's notation.

Beside the legend of `seqtrain.tasks.base`: N slots of a memory, D numbers in each (the paper's M), P heads.
"""

from dataclasses import dataclass, fields
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtrain.errors import UserError
from seqtrain.layers.lstm import LSTMLayer
from seqtrain.layers.output import working_dtype
from seqtrain.layers.stepped import OverTime, SteppedLayer

SMALLEST = 1e-8
"""What is added to a weight before its logarithm is taken."""
SHORTEST = 1e-3
"""ε of a length √(‖u‖² + ε²): the cosine of slots that were never written to would have gradients of 10⁵."""
CONSTANT = 1e-6
"""What a memory with a constant start holds everywhere."""

Memory = Literal["constant", "learned", "random"]
Weighting = Literal["first", "learned", "uniform"]


def by_content(k_BPD: Tensor, beta_BP: Tensor, memory_BND: Tensor) -> Tensor:
    """(B, P, N) w^c(i) = softmax_i(β K[k, M(i)]), K being the cosine (equations 5 and 6), of lengths above 0."""
    lengths_BPN = _length(k_BPD).unsqueeze(2) * _length(memory_BND).unsqueeze(1)
    return torch.softmax(beta_BP.unsqueeze(2) * (k_BPD @ memory_BND.mT) / lengths_BPN, dim=2)


def _length(u_XD: Tensor) -> Tensor:
    """(…) √(‖u‖² + ε²) of vectors (…, D)."""
    return (u_XD.square().sum(-1) + SHORTEST**2).sqrt()


def interpolated(content_BPN: Tensor, g_BP: Tensor, before_BPN: Tensor) -> Tensor:
    """(B, P, N) w^g = g w^c + (1 − g) w_{t−1} (equation 7)."""
    return torch.lerp(before_BPN, content_BPN, g_BP.unsqueeze(2))


def shifted(w_BPN: Tensor, s_BPJ: Tensor) -> Tensor:
    """(B, P, N) w̃(i) = Σ_j w(j) s(i − j), indices modulo N (equation 8).

    Args:
        w_BPN: weightings.
        s_BPJ: shares of the shifts −J//2 … J//2; that of 1 moves what is at slot i to slot i + 1.
    """
    reach = s_BPJ.shape[2] // 2
    around = torch.cat([w_BPN[..., -reach:], w_BPN, w_BPN[..., :reach]], dim=2) if reach else w_BPN
    # The slots that each slot is reached from, the one of the largest shift first.
    return (around.unfold(2, s_BPJ.shape[2], 1) @ s_BPJ.flip(2).unsqueeze(3)).squeeze(3)


def sharpened(w_BPN: Tensor, gamma_BP: Tensor) -> Tensor:
    """(B, P, N) w(i) = w̃(i)^γ / Σ_j w̃(j)^γ (equation 9), as softmax(γ log w̃), which does not underflow."""
    return torch.softmax(gamma_BP.unsqueeze(2) * (w_BPN + SMALLEST).log(), dim=2)


@dataclass
class Address:
    """What P heads emit to say where they look, already within its ranges.

    Attributes:
        k: (B, P, D) keys.
        beta: (B, P) how sharply they are compared.
        g: (B, P) how much the content counts, and not the weighting before.
        s: (B, P, J) shares of the shifts −J//2 … J//2.
        gamma: (B, P) how much the result is sharpened.
    """

    k: Tensor
    beta: Tensor
    g: Tensor
    s: Tensor
    gamma: Tensor

    def __call__(self, memory_BND: Tensor, before_BPN: Tensor) -> Tensor:
        """(B, P, N) weightings: by content, then the gate, the shift, and sharpening (figure 2)."""
        content_BPN = by_content(self.k, self.beta, memory_BND)
        moved_BPN = shifted(interpolated(content_BPN, self.g, before_BPN), self.s)
        return sharpened(moved_BPN, self.gamma)

    def split(self, first: int) -> tuple["Address", "Address"]:
        """Those of the first heads, and those of the others."""
        parts = [getattr(self, field.name) for field in fields(self)]
        return Address(*(part[:, :first] for part in parts)), Address(*(part[:, first:] for part in parts))


@dataclass
class Trace:
    """What heads did, step by step, for pictures.

    Attributes:
        reads: (B, T, R, N) weightings of the read heads.
        writes: (B, T, K, N) of the write heads.
    """

    reads: Tensor
    writes: Tensor


class FeedForward(SteppedLayer):
    """A controller without a state of its own: h_t = tanh(W x_t + b), x_t being what goes in and what was read.

    Args:
        inputs: width I of what goes in.
        hidden: width H of h.
    """

    def __init__(self, *, inputs: int, hidden: int) -> None:
        super().__init__(hidden=hidden, state_size=hidden, read_size=hidden)
        self.linear = nn.Linear(inputs, hidden)

    def read(self, x_TBI: Tensor) -> Tensor:
        """W x_t + b for all steps."""
        return self.linear(x_TBI)

    def begin(self, dtype: torch.dtype) -> None:
        """There is nothing to multiply a state with."""

    def step(self, x_BG: Tensor, state_BS: Tensor, products: None, kept_BH: Tensor | None) -> Tensor:
        """See `SteppedLayer`."""
        return torch.tanh(x_BG)


class NeuralTuringMachine(nn.Module):
    """A controller that reads a memory and writes to it through heads, all of it differentiable.

    At step t the controller sees x_t and r_{t−1}, all that the read heads found at the step before. What its output
    h_t says, each write head does one after the other, where its weighting w over the memory of the step before is

        M_t(i) = M_{t−1}(i) [1 − w(i) e] + w(i) a        (equations 3 and 4)

    and each read head finds r_t = Σ_i w(i) M_t(i) (equation 2). The output is W [h_t; r_t] + b. With
    `read="before"` heads read the memory before it is written to, as many implementations do.

    A head's numbers are linear in h_t, and brought into their ranges so: β by softplus, g by sigmoid, s by softmax,
    γ by 1 + softplus, e by sigmoid. Keys and add vectors are as they are, within ±`clamp`.

    Args:
        inputs: width I of x_t.
        outputs: width O of the output.
        controller: `feedforward` or `lstm`.
        hidden: width H of the controller.
        slots: N.
        width: D, of a slot.
        reads: read heads R.
        writes: write heads K.
        reach: the farthest shift, in slots.
        memory: the start of the memory: `constant`, all numbers 10⁻⁶; `learned`; or `random`, N(0, 1/D), another one
            for every sequence in training, the same for all in evaluation.
        weighting: the start of every head's weighting: `first`, all on the first slot; `learned`; or `uniform`.
        read: whether heads read `after` or `before` the memory is written to.
        clamp: the largest absolute value of what the controller emits for the heads; `None` for none.
        compile: whether what the heads do is compiled by `torch.compile`, at the first step.
    """

    def __init__(
        self,
        *,
        inputs: int,
        outputs: int,
        controller: str,
        hidden: int,
        slots: int,
        width: int,
        reads: int,
        writes: int,
        reach: int,
        memory: Memory,
        weighting: Weighting,
        read: str,
        clamp: float | None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self._move = torch.compile(self.move) if compile else self.move
        self.controller: SteppedLayer = (
            LSTMLayer(inputs=inputs, hidden=hidden)
            if controller == "lstm"
            else FeedForward(inputs=inputs, hidden=hidden)
        )
        self.slots, self.width, self.reads, self.writes, self.reach = slots, width, reads, writes, reach
        self.read_before, self.clamp = read == "before", clamp
        self.start_memory, self.start_weighting = memory, weighting
        found, heads, shifts = reads * width, reads + writes, 2 * reach + 1
        self.from_found = nn.Linear(found, self.controller.read_size, bias=False)
        # Of all heads k, β, g, s, γ; of write heads e and a.
        self.sizes = [heads * width, heads, heads, heads * shifts, heads, writes * width, writes * width]
        self.to_heads = nn.Linear(hidden, sum(self.sizes))
        self.output = nn.Linear(hidden + found, outputs)
        self.memory_ND = nn.Parameter(torch.randn(slots, width) * width**-0.5) if memory == "learned" else None
        self.weighting_PN = nn.Parameter(torch.randn(heads, slots)) if weighting == "learned" else None

    def forward(self, inputs_BTI: Tensor, lengths_B: Tensor) -> Tensor:
        """(B, T, O) logits of (B, T, I) vectors of (B,) lengths; no step sees what comes after it."""
        return self.run(inputs_BTI)[0]

    def run(self, inputs_BTI: Tensor) -> tuple[Tensor, Trace]:
        """Outputs, and what the heads did."""
        B, dtype = len(inputs_BTI), working_dtype(inputs_BTI)
        products, feed = self.controller.begin(dtype), OverTime(self.from_found.weight, dtype)
        to_heads = OverTime(self.to_heads.weight, dtype)
        memory_BND, w_BPN = self._start(inputs_BTI)
        r_BF = self._find(w_BPN, memory_BND)
        state_BS = inputs_BTI.new_zeros(B, self.controller.state_size)
        hs, founds, weightings = [], [], []
        for x_BG in self.controller.read(inputs_BTI.transpose(0, 1)).unbind(0):
            state_BS = self.controller.step(feed(r_BF, x_BG), state_BS, products, None)
            h_BH = state_BS[:, : self.controller.hidden]
            y_BY = to_heads(h_BH, self.to_heads.bias.expand(B, -1))
            with torch.autocast(y_BY.device.type, enabled=False):  # a head's place is lost in fewer digits
                w_BPN, memory_BND, r_BF = self._move(y_BY.to(memory_BND.dtype), w_BPN, memory_BND)
            hs.append(h_BH)
            founds.append(r_BF)
            weightings.append(w_BPN)
        h_BTH, r_BTF = torch.stack(hs, dim=1), torch.stack(founds, dim=1)
        w_BTPN = torch.stack(weightings, dim=1)
        if self.training:
            self._check(w_BTPN)
        trace = Trace(reads=w_BTPN[:, :, : self.reads], writes=w_BTPN[:, :, self.reads :])
        return self.output(torch.cat([h_BTH, r_BTF], dim=2)), trace

    def _check(self, w_BTPN: Tensor) -> None:
        """Stops at a weighting that is not finite: all that comes after it is not, either."""
        wrong_BTPN = ~torch.isfinite(w_BTPN)
        if not wrong_BTPN.any():
            return
        step = int(wrong_BTPN.flatten(2).any(2).any(0).nonzero()[0])
        row, head, slot = wrong_BTPN[:, step].nonzero()[0].tolist()
        name = f"read head {head + 1}" if head < self.reads else f"write head {head + 1 - self.reads}"
        raise UserError(
            f"the weighting of {name} is {w_BTPN[row, step, head, slot].item()} at step {step + 1} of a sequence",
            "Try a smaller learning rate, a smaller callbacks.clipping.norm, or model.clamp=10.",
            code=1,
        )

    def _start(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """The memory (B, N, D) and the weightings (B, P, N) before the first step."""
        B, (N, D), P = len(like), (self.slots, self.width), self.reads + self.writes
        if self.memory_ND is not None:
            memory_BND = self.memory_ND.expand(B, N, D)
        elif self.start_memory == "random":
            draw = None if self.training else torch.Generator(like.device).manual_seed(0)
            rows = B if self.training else 1
            memory_BND = torch.randn(rows, N, D, dtype=like.dtype, device=like.device, generator=draw) * D**-0.5
            memory_BND = memory_BND.expand(B, N, D)
        else:
            memory_BND = like.new_full((B, N, D), CONSTANT)
        if self.weighting_PN is not None:
            w_BPN = self.weighting_PN.softmax(1).expand(B, P, N)
        elif self.start_weighting == "uniform":
            w_BPN = like.new_full((B, P, N), 1 / N)
        else:
            w_BPN = like.new_zeros(B, P, N).index_fill(2, torch.zeros(1, dtype=torch.long, device=like.device), 1.0)
        return memory_BND, w_BPN

    def move(self, y_BY: Tensor, before_BPN: Tensor, memory_BND: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What all heads do in a step: weightings (B, P, N), the memory then, and what was read (B, R · D).

        Args:
            y_BY: what the controller emits for them.
            before_BPN: their weightings at the step before.
            memory_BND: the memory of the step before.
        """
        address, e_BKD, a_BKD = self._emitted(y_BY)
        w_BPN, after_BND = self._act(address, e_BKD, a_BKD, before_BPN, memory_BND)
        return w_BPN, after_BND, self._find(w_BPN, memory_BND if self.read_before else after_BND)

    def _emitted(self, y_BY: Tensor) -> tuple[Address, Tensor, Tensor]:
        """Addresses of all heads, read heads first, and the erase and add vectors (B, K, D) of the write heads."""
        y_BY = y_BY if self.clamp is None else y_BY.clamp(-self.clamp, self.clamp)
        k, beta_BP, g_BP, s, gamma_BP, e, a = y_BY.split(self.sizes, dim=1)
        P, D = self.reads + self.writes, self.width
        address = Address(
            k=k.unflatten(1, (P, D)),
            beta=F.softplus(beta_BP),
            g=torch.sigmoid(g_BP),
            s=torch.softmax(s.unflatten(1, (P, -1)), dim=2),
            gamma=1 + F.softplus(gamma_BP),
        )
        return address, torch.sigmoid(e.unflatten(1, (self.writes, D))), a.unflatten(1, (self.writes, D))

    def _act(
        self, address: Address, e_BKD: Tensor, a_BKD: Tensor, before_BPN: Tensor, memory_BND: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Weightings of all heads, and the memory that write heads leave."""
        if self.read_before:
            w_BPN = address(memory_BND, before_BPN)
            return w_BPN, written(memory_BND, w_BPN[:, self.reads :], e_BKD, a_BKD)
        reading, writing = address.split(self.reads)
        w_BKN = writing(memory_BND, before_BPN[:, self.reads :])
        memory_BND = written(memory_BND, w_BKN, e_BKD, a_BKD)
        w_BRN = reading(memory_BND, before_BPN[:, : self.reads])
        return torch.cat([w_BRN, w_BKN], dim=1), memory_BND

    def _find(self, w_BPN: Tensor, memory_BND: Tensor) -> Tensor:
        """(B, R · D) what the read heads find (equation 2), side by side."""
        return (w_BPN[:, : self.reads] @ memory_BND).flatten(1)


def written(memory_BND: Tensor, w_BKN: Tensor, e_BKD: Tensor, a_BKD: Tensor) -> Tensor:
    """(B, N, D) the memory after K write heads: every one erases, then every one adds (equations 3 and 4)."""
    if w_BKN.shape[1] == 1:  # one product of two vectors is as good as none
        w_BN1 = w_BKN.transpose(1, 2)
        return memory_BND * (1 - w_BN1 * e_BKD) + w_BN1 * a_BKD
    kept_BND = torch.prod(1 - w_BKN.unsqueeze(3) * e_BKD.unsqueeze(2), dim=1)
    return memory_BND * kept_BND + w_BKN.mT @ a_BKD
