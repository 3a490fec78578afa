"""Token embeddings."""

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


def summed(ids_XF: Tensor, table_VE: Tensor) -> Tensor:
    """(…, E) sums of the table's rows of ids (…, F); row 0, that of padding, counts nothing, nor learns."""
    flat_NE = F.embedding_bag(ids_XF.flatten(0, -2), table_VE, mode="sum", padding_idx=0)
    return flat_NE.view(*ids_XF.shape[:-1], table_VE.shape[1])
