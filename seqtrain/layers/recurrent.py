"""The one recurrent engine: layers, directions, dropout and variable lengths around any cell."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from seqtrain.layers.dropout import Dropout
from seqtrain.layers.gru import GRULayer


class RecurrentLayer(Protocol):
    """One layer in one direction: inputs (T, B, I) and a first state (B, H) to the states (T, B, H)."""

    hidden: int

    def __call__(self, x_TBI: Tensor, state_BH: Tensor) -> Tensor: ...

    def recurrent_blocks(self) -> Iterator[tuple[str, Tensor]]: ...


CELLS: dict[str, Callable[..., nn.Module]] = {
    "gru": partial(GRULayer, reset="before"),
    "gru_reset_after": partial(GRULayer, reset="after"),
}
"""Cell name to the constructor of its layer, which takes `inputs` and `hidden`."""


def within_lengths(T: int, lengths_B: Tensor) -> Tensor:
    """(T, B), true where step t is a real one."""
    return torch.arange(T, device=lengths_B.device).unsqueeze(1) < lengths_B


def reverse_within(x_TBI: Tensor, lengths_B: Tensor) -> Tensor:
    """Every sequence turned round in its own length; the padding stays behind."""
    t = torch.arange(x_TBI.shape[0], device=x_TBI.device).unsqueeze(1)
    turned = torch.where(t < lengths_B, lengths_B - 1 - t, t)
    return x_TBI.gather(0, turned.unsqueeze(-1).expand_as(x_TBI))


class Recurrent(nn.Module):
    """A stack of recurrent layers over padded sequences.

    No padding enters a state that is used: a cell computes padded steps, but they come behind the last real one of
    their sequence, outputs there are set to 0, and the last state is taken at the sequence's own end. The backward
    direction reads every sequence turned round in its own length.

    Args:
        cell: a name of `CELLS`.
        inputs: width I of the input.
        hidden: width H of each direction's state.
        layers: number of layers L.
        bidirectional: whether a second set of layers reads the sequence backwards (Schuster & Paliwal 1997); each
            layer then reads both directions' states of the layer below, and outputs are 2H wide.
        dropout: rate between layers.
    """

    def __init__(
        self, *, cell: str, inputs: int, hidden: int, layers: int, bidirectional: bool, dropout: float
    ) -> None:
        super().__init__()
        self.directions = 2 if bidirectional else 1
        self.hidden = hidden
        self.outputs = hidden * self.directions
        self.dropout = Dropout(dropout)
        self.stack = nn.ModuleList(
            nn.ModuleList(
                CELLS[cell](inputs=inputs if layer == 0 else self.outputs, hidden=hidden)
                for _ in range(self.directions)
            )
            for layer in range(layers)
        )

    def forward(
        self, x_BTI: Tensor, lengths_B: Tensor | None = None, state_LBH: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Outputs of the top layer and the last state of every layer.

        Args:
            x_BTI: (B, T, I) inputs, padded behind.
            lengths_B: (B,) real steps; without it every step is real.
            state_LBH: (L · directions, B, H) states before the first step; zero without it.

        Returns:
            (B, T, H · directions) outputs, 0 at padding, and (L · directions, B, H) states after the last real step,
            layer by layer, forward before backward.
        """
        x_TBI = x_BTI.transpose(0, 1)
        T, B, _ = x_TBI.shape
        real_TB1 = None if lengths_B is None else within_lengths(T, lengths_B).unsqueeze(-1)
        if state_LBH is None:
            state_LBH = torch.zeros(len(self.stack) * self.directions, B, self.hidden, device=x_BTI.device)
        last: list[Tensor] = []
        for depth, layer in enumerate(self._cells()):
            if depth:
                x_TBI = self.dropout(x_TBI)
            h_TBH = []
            for direction, cell in enumerate(layer):
                first = state_LBH[depth * self.directions + direction]
                h, end = self._read(cell, x_TBI, first, lengths_B, backwards=direction == 1)
                h_TBH.append(h)
                last.append(end)
            x_TBI = torch.cat(h_TBH, dim=-1) if self.directions == 2 else h_TBH[0]
            if real_TB1 is not None:
                x_TBI = x_TBI * real_TB1
        return x_TBI.transpose(0, 1), torch.stack(last)

    @staticmethod
    def _read(
        cell: RecurrentLayer, x_TBI: Tensor, first: Tensor, lengths_B: Tensor | None, *, backwards: bool
    ) -> tuple[Tensor, Tensor]:
        if lengths_B is None:
            h_TBH = cell(x_TBI.flip(0) if backwards else x_TBI, first)
            return (h_TBH.flip(0) if backwards else h_TBH), h_TBH[-1]
        h_TBH = cell(reverse_within(x_TBI, lengths_B) if backwards else x_TBI, first)
        end = (lengths_B - 1).view(1, -1, 1).expand(1, -1, h_TBH.shape[-1])
        return (reverse_within(h_TBH, lengths_B) if backwards else h_TBH), h_TBH.gather(0, end)[0]

    def _cells(self) -> list[list[RecurrentLayer]]:
        stack: Any = self.stack
        return [list(directions) for directions in stack]

    def recurrent_blocks(self) -> Iterator[tuple[str, Tensor]]:
        """Every recurrent matrix, gate by gate, as a named (H, H) view of the parameters."""
        for depth, layer in enumerate(self._cells()):
            for cell, direction in zip(layer, ("forward", "backward"), strict=False):
                for gate, block in cell.recurrent_blocks():
                    yield f"layer{depth}.{direction}.{gate}", block
