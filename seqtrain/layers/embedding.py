"""Token embeddings."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def embedding(vocabulary: int, width: int, *, deviation: float | None = None) -> nn.Embedding:
    """(vocabulary, width) vectors from N(0, deviation²), that of padding (id 0) being zero and staying so.

    Without a deviation, from N(0, 1/width): the scale that an output layer needs which shares them, for logits of about
    unit variance.
    """
    table = nn.Embedding(vocabulary, width, padding_idx=0)
    _draw(table, width**-0.5 if deviation is None else deviation)
    return table


def _draw(table: nn.Embedding, deviation: float) -> None:
    nn.init.normal_(table.weight, std=deviation)
    table.weight.data[0] = 0.0


class TiedEmbedding(nn.Embedding):
    """√E · W_y, where W (V, E) is an output layer's matrix too (Press & Wolf 2017, arXiv:1608.05859).

    W begins with N(0, 1/E), as in `embedding`; what is read has unit variance (Vaswani 2017, section 3.4).

    Attributes:
        scale: √E, kept with the weights, so that those of a network without it are refused.
    """

    scale: Tensor

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__(vocabulary, width, padding_idx=0)
        self.register_buffer("scale", torch.tensor(math.sqrt(width)))

    def reset_parameters(self) -> None:
        """Draws W; the vector of padding is zero."""
        _draw(self, self.embedding_dim**-0.5)

    def forward(self, ids: Tensor) -> Tensor:
        """(…, E) vectors of ids (…)."""
        return super().forward(ids) * self.scale


def input_embedding(vocabulary: int, width: int, *, tied: bool = False) -> nn.Embedding:
    """Embeddings of unit variance, whose matrix an output layer shares, if `tied`, or nothing does.

    A recurrent network that reads smaller ones has next to nothing to learn from, and stays at chance for long.
    """
    return TiedEmbedding(vocabulary, width) if tied else embedding(vocabulary, width, deviation=1.0)


def summed(ids_XF: Tensor, table_VE: Tensor) -> Tensor:
    """(…, E) sums of the table's rows of ids (…, F); row 0, that of padding, counts nothing, nor learns."""
    flat_NE = F.embedding_bag(ids_XF.flatten(0, -2), table_VE, mode="sum", padding_idx=0)
    return flat_NE.view(*ids_XF.shape[:-1], table_VE.shape[1])
