"""Gated convolutions, and the encoder that is made of them (Gehring et al. 2017, arXiv:1705.03122)."""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from seqtrain.layers.dropout import Dropout
from seqtrain.layers.embedding import embedding as make_embedding
from seqtrain.layers.positions import Learned
from seqtrain.layers.sentences import OfSentences, numbered

HALF = math.sqrt(0.5)
"""What the sum of two terms of equal variance is multiplied by, to have that variance too (section 3.4)."""
EMBEDDING_DEVIATION = 0.1
"""Of the start of the embeddings (section 3.5)."""


def normed_linear(inputs: int, outputs: int, *, dropout: float = 0.0, gated: bool = False) -> nn.Linear:
    """W x + b whose rows are w_i = g_i v_i / |v_i| (Salimans & Kingma 2016, arXiv:1602.07868, equation 2).

    It starts from N(0, p / n), n inputs of which dropout keeps a share p, and zero biases; N(0, 4 p / n) before a gated
    linear unit, which leaves about a quarter of the variance (Gehring et al. 2017, section 3.5 and appendix A).

    Args:
        inputs: number of inputs n.
        outputs: number of outputs.
        dropout: 1 − p, the rate of the dropout on its input.
        gated: whether a gated linear unit follows.
    """
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=math.sqrt((4 if gated else 1) * (1 - dropout) / inputs))
    nn.init.zeros_(layer.bias)
    normed: nn.Linear = weight_norm(layer)
    return normed


class Embedding(nn.Module):
    """The sum of a token's and its position's vector, e_j = w_j + p_j (section 3.1).

    Args:
        vocabulary: number of tokens.
        width: width E.
        positions: how many positions have a vector.
        dropout: rate on the sum.
    """

    def __init__(self, *, vocabulary: int, width: int, positions: int, dropout: float) -> None:
        super().__init__()
        self.tokens = make_embedding(vocabulary, width, deviation=EMBEDDING_DEVIATION)
        self.positions = Learned(width=width, max_positions=positions, deviation=EMBEDDING_DEVIATION)
        self.dropout = Dropout(dropout)

    def forward(self, tokens_BT: Tensor, start: int = 0) -> Tensor:
        """(B, T, E) for tokens (B, T) at the positions from `start` on.

        Raises:
            UserError: there are more tokens than positions.
        """
        end = start + tokens_BT.shape[1]
        steps_T = torch.arange(start, end, device=tokens_BT.device)
        e_BTE: Tensor = self.dropout(self.positions(self.tokens(tokens_BT), steps_T, end))
        return e_BTE


class Convolution(nn.Module):
    """A gated convolution: v_j = GLU(W [x_{j−a}; …; x_j; …; x_{j+b}] + β), a + b + 1 = k (section 3.2).

    The k inputs of every position are laid side by side, so that the convolution is one matrix product, with no change
    of layout before or behind it.

    Args:
        hidden: width H of inputs and outputs.
        kernel: inputs k that an output sees.
        dropout: rate on the inputs, which whoever calls it draws by `dropout`, before padding.
    """

    def __init__(self, *, hidden: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.kernel = kernel
        self.dropout = Dropout(dropout)
        self.product = normed_linear(kernel * hidden, 2 * hidden, dropout=dropout, gated=True)

    @property
    def weight(self) -> Tensor:
        """(2H, kH) W, made anew whenever it is asked for."""
        return self.product.weight

    def forward(self, x_BPH: Tensor, weight: Tensor | None = None) -> Tensor:
        """(B, P − k + 1, H) gated outputs of (B, P, H) inputs: those all of whose inputs are there.

        Args:
            x_BPH: the inputs.
            weight: W, where it has been made already.
        """
        weight = self.weight if weight is None else weight
        T = x_BPH.shape[1] - self.kernel + 1
        windows = torch.cat([x_BPH[:, place : place + T] for place in range(self.kernel)], dim=-1)
        return F.glu(F.linear(windows, weight, self.product.bias), dim=-1)


@dataclass
class Memory(OfSentences):
    """What the encoder hands to the decoder.

    Attributes:
        keys: (B, S, E) outputs z.
        values: (B, S, E) outputs with the embeddings, √0.5 (z + e).
        real: (B, S) whether there is a token.
    """

    keys: Tensor
    values: Tensor
    real: Tensor


class ConvolutionalEncoder(nn.Module):
    """Reads a sentence with a stack of convolutions around every position.

        h⁰ = W e;  hˡ = √0.5 (vˡ + hˡ⁻¹);  z = W' hᴸ

    Padding is set to zero before each convolution, and so is what stands outside of the sentence. An even kernel sees
    one more input behind than before.

    Args:
        embedding: the input's embeddings, E wide.
        width: E.
        hidden: width H.
        layers: number of convolutions.
        kernel: inputs that each of them sees.
        dropout: rate before each of them.
        attentions: decoder layers that attend to this encoder: what comes back from them through z is divided by twice
            their number, as in the authors' program (section 3.4).
    """

    def __init__(
        self,
        *,
        embedding: Embedding,
        width: int,
        hidden: int,
        layers: int,
        kernel: int,
        dropout: float,
        attentions: int,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.widen = normed_linear(width, hidden, dropout=dropout)
        self.stack = nn.ModuleList(Convolution(hidden=hidden, kernel=kernel, dropout=dropout) for _ in range(layers))
        self.narrow = normed_linear(hidden, width)
        self.gradient = 1 / (2 * attentions)
        self.around = ((kernel - 1) // 2, kernel // 2)

    def forward(self, source_BS: Tensor, lengths_B: Tensor) -> Memory:
        """Encodes (B, S) ids of (B,) lengths."""
        e_BSE = self.embedding(source_BS)
        real_BS = torch.arange(source_BS.shape[1], device=source_BS.device) < lengths_B.unsqueeze(1)
        h_BSH = self.widen(e_BSE)
        kept_BS1 = real_BS.unsqueeze(-1).to(h_BSH.dtype)
        stack: Any = self.stack
        for layer in stack:
            x_BPH = F.pad(layer.dropout(h_BSH) * kept_BS1, (0, 0, *self.around))
            h_BSH = (layer(x_BPH) + h_BSH) * HALF
        z_BSE = scaled_gradient(self.narrow(h_BSH), self.gradient)
        return Memory(numbered(z_BSE), z_BSE, (z_BSE + e_BSE.to(z_BSE.dtype)) * HALF, real_BS)


def scaled_gradient(x: Tensor, factor: float) -> Tensor:
    """`x`, whose gradient is multiplied by `factor`."""
    if not x.requires_grad:
        return x
    same = x.view_as(x)
    same.register_hook(lambda gradient: gradient * factor)
    return same
