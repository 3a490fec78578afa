"""The one recurrent engine: layers, directions, dropout and variable lengths around any cell."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from seqtrain.layers.dropout import Dropout
from seqtrain.layers.output import state_dtype
from seqtrain.layers.stepped import RecurrentLayer

Cell = Callable[..., RecurrentLayer]
"""Makes a layer in one direction from the keywords `inputs` and `hidden`."""


STATE_SIZE = 0.5
"""About the root mean square of a state's elements, which lie between -1 and 1."""


def within_lengths(T: int, lengths_B: Tensor) -> Tensor:
    """(T, B), true where step t is a real one."""
    return torch.arange(T, device=lengths_B.device).unsqueeze(1) < lengths_B


def reverse_within(x_TBI: Tensor, lengths_B: Tensor) -> Tensor:
    """Every sequence turned round in its own length; the padding stays behind."""
    t = torch.arange(x_TBI.shape[0], device=x_TBI.device).unsqueeze(1)
    turned = torch.where(t < lengths_B, lengths_B - 1 - t, t)
    return x_TBI.gather(0, turned.unsqueeze(-1).expand_as(x_TBI))


@dataclass
class Steps:
    """What one layer in one direction went through in one reading.

    Attributes:
        states: the states (B, S) after each step, in the order of reading; those behind a sequence's end are that at
            its end.
        lengths: (B,) real steps; `None` where every step is real.
    """

    states: list[Tensor]
    lengths: Tensor | None


class Recurrent(nn.Module):
    """A stack of recurrent layers over padded sequences.

    No padding enters a state that is used: a cell computes padded steps, but they come behind the last real one of
    their sequence, outputs there are set to 0, and the last state is taken at the sequence's own end. The backward
    direction reads every sequence turned round in its own length.

    Args:
        cell: makes each layer in each direction.
        inputs: width I of the input.
        hidden: width H of each direction's state.
        layers: number of layers L.
        bidirectional: whether a second set of layers reads the sequence backwards (Schuster & Paliwal 1997); each
            layer then reads both directions' states of the layer below, and outputs are 2H wide.
        dropout: rate between layers.
        variational: whether dropout leaves out the same units at every step of a sequence (Gal & Ghahramani 2016).
        input_size: root mean square of an input's elements at the start; without it, vectors have length 1.

    Attributes:
        steps: `None`. As a list it makes every layer read one step at a time, with the same result in evaluation mode,
            only slower, and takes up what each layer in each direction went through, in the order of the last states.
            Everything that follows is computed from those states, so that they can be derived by; where no parameter
            asks for gradients, the graph begins at the state before the first step.
    """

    def __init__(
        self,
        *,
        cell: Cell,
        inputs: int,
        hidden: int,
        layers: int,
        bidirectional: bool,
        dropout: float,
        variational: bool = False,
        input_size: float | None = None,
    ) -> None:
        super().__init__()
        self.directions = 2 if bidirectional else 1
        self.hidden = hidden
        self.outputs = hidden * self.directions
        self.dropout = Dropout(dropout, time=0 if variational else None)
        self.stack = nn.ModuleList(
            nn.ModuleList(
                cell(inputs=inputs if layer == 0 else self.outputs, hidden=hidden) for _ in range(self.directions)
            )
            for layer in range(layers)
        )
        for depth, layer in enumerate(self.cells()):
            for one in layer:
                one.expect(STATE_SIZE if depth else inputs**-0.5 if input_size is None else input_size)
        self.state_size = self.cells()[0][0].state_size
        self.steps: list[Steps] | None = None

    def forward(
        self, x_BTI: Tensor, lengths_B: Tensor | None = None, state_LBS: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Outputs of the top layer and the last state of every layer.

        Args:
            x_BTI: (B, T, I) inputs, padded behind.
            lengths_B: (B,) real steps; without it every step is real.
            state_LBS: (L · directions, B, S) states before the first step; zero without it.

        Returns:
            (B, T, H · directions) outputs, 0 at padding, and (L · directions, B, S) states after the last real step,
            layer by layer, forward before backward; h is their first H columns.
        """
        x_TBI = x_BTI.transpose(0, 1)
        T, B, _ = x_TBI.shape
        padded_TB1 = None if lengths_B is None else ~within_lengths(T, lengths_B).unsqueeze(-1)
        if state_LBS is None:
            rows = len(self.stack) * self.directions
            state_LBS = torch.zeros(rows, B, self.state_size, dtype=state_dtype(x_BTI), device=x_BTI.device)
        last: list[Tensor] = []
        for depth, layer in enumerate(self.cells()):
            if depth:
                x_TBI = self.dropout(x_TBI)
            h_TBH = []
            for direction, cell in enumerate(layer):
                first = state_LBS[depth * self.directions + direction]
                h, end = self._read(cell, x_TBI, first, lengths_B, backwards=direction == 1)
                h_TBH.append(h)
                last.append(end)
            x_TBI = torch.cat(h_TBH, dim=-1) if self.directions == 2 else h_TBH[0]
            if padded_TB1 is not None:
                x_TBI = x_TBI.masked_fill(padded_TB1, 0.0)
        return x_TBI.transpose(0, 1), torch.stack(last)

    def _read(
        self, cell: RecurrentLayer, x_TBI: Tensor, first: Tensor, lengths_B: Tensor | None, *, backwards: bool
    ) -> tuple[Tensor, Tensor]:
        read = cell if self.steps is None else partial(_step_by_step, cell, self.steps)
        if not backwards:
            return read(x_TBI, first, lengths_B)
        if lengths_B is None:
            h_TBH, end = read(x_TBI.flip(0), first, None)
            return h_TBH.flip(0), end
        h_TBH, end = read(reverse_within(x_TBI, lengths_B), first, lengths_B)
        return reverse_within(h_TBH, lengths_B), end

    def top(self, last_LBS: Tensor) -> Tensor:
        """(B, H · directions): h of the top layer's directions, of the states of all layers."""
        return torch.cat([state[:, : self.hidden] for state in last_LBS[-self.directions :]], dim=-1)

    def cells(self) -> list[list[RecurrentLayer]]:
        """The layers, from the bottom up, each in its directions."""
        stack: Any = self.stack
        return [list(directions) for directions in stack]

    def recurrent_blocks(self) -> Iterator[tuple[str, Tensor]]:
        """Every recurrent matrix, gate by gate, as a named (H, H) view of the parameters."""
        for depth, layer in enumerate(self.cells()):
            for cell, direction in zip(layer, ("forward", "backward"), strict=False):
                for gate, block in cell.recurrent_blocks():
                    yield f"layer{depth}.{direction}.{gate}", block

    def forget_biases(self) -> Iterator[tuple[str, Tensor]]:
        """Every forget gate's bias, as a named (H,) view of the parameters."""
        for depth, layer in enumerate(self.cells()):
            for cell, direction in zip(layer, ("forward", "backward"), strict=False):
                for gate, bias in cell.forget_biases():
                    yield f"layer{depth}.{direction}.{gate}", bias


def _step_by_step(
    cell: RecurrentLayer, steps: list[Steps], x_TBI: Tensor, state_BS: Tensor, lengths_B: Tensor | None
) -> tuple[Tensor, Tensor]:
    if not state_BS.requires_grad:
        state_BS = state_BS.detach().requires_grad_()
    states = []
    for t, x_1BI in enumerate(x_TBI.split(1)):
        before_BS = state_BS
        _, state_BS = cell(x_1BI, before_BS)
        if lengths_B is not None:
            state_BS = torch.where((t < lengths_B).unsqueeze(1), state_BS, before_BS)
        states.append(state_BS)
    steps.append(Steps(states, lengths_B))
    return torch.stack(states)[..., : cell.hidden], state_BS
