"""Recurrent layers in one direction: what they have in common, and those that are written as one step."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from seqtrain.layers.dropout import Dropout
from seqtrain.layers.output import working_dtype


class RecurrentLayer(nn.Module):
    """One layer in one direction.

    A state is one (B, S) tensor: h in its first H columns, and behind it whatever else a cell remembers (an LSTM's c,
    a hypernetwork's own state).

    Attributes:
        hidden: width H of h.
        state_size: width S of the state.
    """

    hidden: int
    state_size: int

    def forward(self, x_TBI: Tensor, state_BS: Tensor, lengths_B: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Reads (T, B, I) inputs from a state (B, S) on.

        Returns:
            h_1 … h_T, (T, B, H); and the state after each sequence's last real step (B, S), the last of all where
            no lengths (B,) are given.
        """
        raise NotImplementedError

    @property
    def parts(self) -> list[int]:
        """The widths of what a state consists of: h, and whatever else a cell remembers, H wide if it does not say."""
        return [self.hidden] * (self.state_size // self.hidden)

    def expect(self, size: float) -> None:
        """Told, when a network is built, how large inputs are: the root mean square of an element. For layers whose
        start depends on it.
        """

    def recurrent_blocks(self) -> Iterator[tuple[str, Tensor]]:
        """The recurrent matrices by the name of their gate, as (H, H) views of the parameters."""
        yield from ()

    def input_blocks(self) -> Iterator[tuple[str, Tensor]]:
        """The input matrices by name, as (H, I) views of the parameters: those of `weight_ih`, if a layer has one.

        A layer whose input matrices have other names, or whose gates are not H wide, tells its own.
        """
        weight = getattr(self, "weight_ih", None)
        if weight is not None:
            yield from ((f"weight_ih[{n}]", block) for n, block in enumerate(weight.detach().split(self.hidden)))

    def forget_biases(self) -> Iterator[tuple[str, Tensor]]:
        """The biases of forget gates, as (H,) views of the parameters; none where there is no such gate."""
        yield from ()


def at_ends(states_TBS: Tensor, lengths_B: Tensor | None) -> Tensor:
    """(B, S): of the states (T, B, S) after each step, those after each sequence's last real one."""
    if lengths_B is None:
        return states_TBS[-1]
    end = (lengths_B - 1).view(1, -1, 1).expand(1, -1, states_TBS.shape[-1])
    return states_TBS.gather(0, end)[0]


class OverTime:
    """Products of one matrix with something at every step, whose weight gradient is one product over all steps.

    Autograd would make and add a gradient as large as the matrix at every step. Here each step's backward pass leaves
    its rows behind, and the matrix's own, which comes after the last of them, multiplies them all at once. Gradients
    of these gradients are refused.

    Args:
        weight: (G, K) matrix W, or (N, G, K) matrices for N products at once, of (N, B, K) with (N, B, G), to which
            nothing can be added.
        dtype: precision of the products.
    """

    def __init__(self, weight: Tensor, dtype: torch.dtype) -> None:
        self._rows = _Rows()
        # Without a gradient to wait for, the matrix needs no copy of its own.
        wanted = weight.requires_grad and torch.is_grad_enabled()
        self._weight: Tensor = _Weight.apply(weight, dtype, self._rows) if wanted else weight.to(dtype)

    def __call__(self, s_BK: Tensor, add_BG: Tensor | None = None) -> Tensor:
        """W s, and what is to be added to it: (B, G)."""
        return _Product.apply(s_BK.to(self._weight.dtype), self._weight, add_BG, self._rows)


class _Rows:
    """What the steps of one backward pass have left behind.

    A pass that does not ask for the weight's gradient, or fails, never takes its rows away: the next one must not find
    them.
    """

    def __init__(self) -> None:
        self._pass = -1
        self._rows: list[tuple[Tensor, Tensor]] = []

    def add(self, s_BK: Tensor, d_BG: Tensor) -> None:
        if self._pass != torch._C._current_graph_task_id():
            self.take()
        self._rows.append((s_BK, d_BG))

    def take(self) -> list[tuple[Tensor, Tensor]]:
        before, self._pass = self._pass, torch._C._current_graph_task_id()
        rows, self._rows = self._rows, []
        return rows if before == self._pass else []


class _Weight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, dtype: torch.dtype, rows: _Rows) -> Tensor:
        ctx.rows, ctx.dtype = rows, weight.dtype
        ctx.set_materialize_grads(False)
        return weight.to(dtype, copy=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Any) -> tuple[Tensor | None, None, None]:
        rows = ctx.rows.take()
        if not rows:
            return None, None, None
        s, d = (torch.cat(parts, dim=-2) for parts in zip(*rows, strict=True))
        return (d.mT @ s).to(ctx.dtype), None, None


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, s_BK: Tensor, weight_GK: Tensor, add_BG: Tensor | None, rows: _Rows) -> Tensor:
        ctx.save_for_backward(s_BK, weight_GK)
        ctx.rows, ctx.adds = rows, add_BG is not None
        if add_BG is None:
            return s_BK @ weight_GK.mT
        return torch.addmm(add_BG.to(weight_GK.dtype), s_BK, weight_GK.t())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_BG: Tensor) -> tuple[Tensor | None, ...]:
        s_BK, weight_GK = ctx.saved_tensors
        if ctx.needs_input_grad[1]:
            ctx.rows.add(s_BK, d_BG)
        ds = d_BG @ weight_GK if ctx.needs_input_grad[0] else None
        return ds, None, d_BG if ctx.adds else None, None


class SteppedLayer(RecurrentLayer):
    """A layer that is written as one step, in `step`; the loop over time is here.

    What depends on inputs alone is computed for all steps at once, in `read`; what depends on the state goes through
    `OverTime` products, which `begin` makes.

    Args:
        hidden: width H of h.
        state_size: width S of the state.
        read_size: width G of what `read` makes.
        recurrent_dropout: rate at which units of h are left out of the recurrent products, the same ones at every step
            of a sequence (Gal & Ghahramani 2016, arXiv:1512.05287).
    """

    def __init__(self, *, hidden: int, state_size: int, read_size: int, recurrent_dropout: float = 0.0) -> None:
        super().__init__()
        self.hidden, self.state_size, self.read_size = hidden, state_size, read_size
        self.recurrent_dropout = Dropout(recurrent_dropout)

    def read(self, x_TBI: Tensor) -> Tensor:
        """(T, B, G): everything that depends on the inputs (T, B, I) alone."""
        raise NotImplementedError

    def begin(self, dtype: torch.dtype) -> Any:
        """The products of one pass over a sequence, in the working precision."""
        raise NotImplementedError

    def step(self, x_BG: Tensor, state_BS: Tensor, products: Any, kept_BH: Tensor | None) -> Tensor:
        """The next state (B, S).

        Args:
            x_BG: what `read` made of this step's input.
            state_BS: the state before.
            products: what `begin` made.
            kept_BH: what h is multiplied by before recurrent products: 0 for units that dropout leaves out; `None`
                without dropout.
        """
        raise NotImplementedError

    def forward(self, x_TBI: Tensor, state_BS: Tensor, lengths_B: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `RecurrentLayer`."""
        products = self.begin(working_dtype(x_TBI))
        kept_BH = None
        if self.training and self.recurrent_dropout.rate:
            kept_BH = self.recurrent_dropout(torch.ones_like(state_BS[:, : self.hidden]))
        states = []
        for x_BG in self.read(x_TBI).unbind(0):
            state_BS = self.step(x_BG, state_BS, products, kept_BH)
            states.append(state_BS)
        states_TBS = torch.stack(states)
        return states_TBS[..., : self.hidden], at_ends(states_TBS, lengths_B)
