"""Token embeddings."""

import math

import torch.nn.functional as F
from torch import Tensor, nn


def embedding(vocabulary: int, width: int, *, deviation: float | None = None) -> nn.Embedding:
    """(vocabulary, width) vectors from N(0, deviation²), that of padding (id 0) being zero and staying so.

    Without a deviation, from N(0, 1/width): the scale that an output layer needs which shares them, for logits of about
    unit variance.
    """
    table = nn.Embedding(vocabulary, width, padding_idx=0)
    nn.init.normal_(table.weight, std=width**-0.5 if deviation is None else deviation)
    table.weight.data[0] = 0.0
    return table


class TiedEmbedding(nn.Embedding):
    """√E · W_y, where W (V, E) is an output layer's matrix too (Press & Wolf 2017, arXiv:1608.05859).

    W begins with N(0, 1/E), as `embedding`; what is read has unit variance (Vaswani 2017, section 3.4). Without the
    factor a recurrent network has next to nothing to read at first, and loses hundreds of steps.
    """

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__(vocabulary, width, _weight=embedding(vocabulary, width).weight.data, padding_idx=0)

    def forward(self, ids: Tensor) -> Tensor:
        """(…, E) vectors of ids (…)."""
        return super().forward(ids) * math.sqrt(self.embedding_dim)


def read_embedding(vocabulary: int, width: int, *, tied: bool) -> nn.Embedding:
    """Embeddings of unit variance, of a matrix that an output layer shares or of one that nothing else uses."""
    return TiedEmbedding(vocabulary, width) if tied else embedding(vocabulary, width, deviation=1.0)


def summed(ids_XF: Tensor, table_VE: Tensor) -> Tensor:
    """(…, E) sums of the table's rows of ids (…, F); row 0, that of padding, counts nothing, nor learns."""
    flat_NE = F.embedding_bag(ids_XF.flatten(0, -2), table_VE, mode="sum", padding_idx=0)
    return flat_NE.view(*ids_XF.shape[:-1], table_VE.shape[1])
