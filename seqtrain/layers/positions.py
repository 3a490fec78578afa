"""Where a token stands: sinusoids and learned vectors, added to embeddings, and rotations of queries and keys."""

import torch
from torch import Tensor, nn

from seqtrain.errors import UserError


def _angles(steps_N: Tensor, width: int) -> Tensor:
    """(N, width / 2) angles t / 10000^(2i / width) of Vaswani 2017, section 3.5."""
    i = torch.arange(0, width, 2, device=steps_N.device, dtype=torch.float32)
    return steps_N.unsqueeze(1) * 10000.0 ** (-i / width)


def sinusoids(steps_N: Tensor, width: int) -> Tensor:
    """PE(t, 2i) = sin(t / 10000^(2i / width)), PE(t, 2i + 1) its cosine (Vaswani 2017, section 3.5).

    Args:
        steps_N: (N,) steps t, counted from 0.
        width: an even number of columns.
    """
    angles = _angles(steps_N, width)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


class Sinusoidal(nn.Module):
    """Adds the sinusoids of Vaswani 2017 to vectors of any number of steps.

    Args:
        width: of the vectors, even.
    """

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.width = width
        # No buffer: those have one size on all ranks, and a precision that is the model's.
        self._table_TD = torch.empty(0, width)

    def forward(self, x_ND: Tensor, steps_N: Tensor, end: int) -> Tensor:
        """(…, N, D) vectors of tokens at (N,) steps, with their positions.

        Args:
            x_ND: the vectors.
            steps_N: where they stand.
            end: a number that is larger than all steps.
        """
        if len(self._table_TD) < end or self._table_TD.device != x_ND.device:
            size = max(end, 2 * len(self._table_TD))  # decoding asks for one more each time
            self._table_TD = sinusoids(torch.arange(size, device=x_ND.device), self.width)
        return x_ND + self._table_TD.index_select(0, steps_N).to(x_ND.dtype)


class Learned(nn.Module):
    """Adds a learned vector for each step.

    Args:
        width: of the vectors.
        max_positions: number of steps that there are vectors for.
        deviation: the vectors start from N(0, deviation²).
    """

    def __init__(self, *, width: int, max_positions: int, deviation: float) -> None:
        super().__init__()
        self.table = nn.Embedding.from_pretrained(torch.randn(max_positions, width) * deviation, freeze=False)

    def forward(self, x_ND: Tensor, steps_N: Tensor, end: int) -> Tensor:
        """(…, N, D) vectors of tokens at (N,) steps, with their positions.

        Args:
            x_ND: the vectors.
            steps_N: where they stand.
            end: the first step behind them.

        Raises:
            UserError: a step has no vector.
        """
        if end > self.table.num_embeddings:
            raise UserError(
                f"a sentence of {end} tokens is longer than model.max_positions={self.table.num_embeddings}",
                "Split it, or train with more positions.",
            )
        return x_ND + self.table(steps_N)


class Rotary(nn.Module):
    """Turns each pair of a head's columns by an angle that grows with the step (Su 2021, arXiv:2104.09864, eq. 34).

    Column i is paired with column i + E/2. The product of a turned query and a turned key depends on the difference of
    their steps alone.

    Args:
        width: columns E of a head, even.
    """

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x_NHE: Tensor, steps_N: Tensor) -> Tensor:
        """(N, H, E) queries or keys at (N,) steps, turned."""
        angles = _angles(steps_N, self.width).unsqueeze(1)
        cos, sin = angles.cos().to(x_NHE.dtype), angles.sin().to(x_NHE.dtype)
        a, b = x_NHE.chunk(2, -1)
        return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)
