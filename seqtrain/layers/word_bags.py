"""A sentence as one vector: the sum of its words' embeddings, weighted by where they stand (Sukhbaatar et al. 2015).

Shapes, in addition to the legend of `seqtrain.tasks.base`:

    X  any number of dimensions in front of a sentence's words, as of (B, M, W) stories and (B, W) questions
    D  terms of an encoding: of each word its share by place, and of each column its factor
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Encoding = Literal["bag", "position", "position_code"]


class WordBag(nn.Module):
    """Makes vectors of sentences: Σ_j l_j ∘ e(x_j), of the words j = 1 … J of a sentence and the columns k = 1 … d.

    - `bag`: l_kj = 1.
    - `position`: l_kj = (1 − j/J) − (k/d)(1 − 2j/J) (arXiv:1503.08895, section 4.1).
    - `position_code`: l_kj = 1 + 4 (k − (d + 1)/2)(j − (J + 1)/2) / (d J), what the authors' code computes instead:
      about twice the former. There J is the data set's longest sentence, here it is always the sentence's own.

    Each is a sum of a few terms l_kj = Σ_D share_D(j) · factor_D(k), the first of which has the factor 1. So vectors of
    sentences, and products with them, can be had from matrix products with the words' embeddings alone.

    Args:
        encoding: one of the three.
    """

    def __init__(self, encoding: Encoding = "position") -> None:
        super().__init__()
        self.encoding = encoding

    def forward(self, table_VE: Tensor, words_XW: Tensor) -> Tensor:
        """(…, E) vectors of sentences of ids (…, W), padded with 0: row 0 of the table counts nothing, nor learns."""
        words_NW = words_XW.flatten(0, -2)
        factors_DE = self.factors(table_VE.shape[1], table_VE)
        sums = [
            F.embedding_bag(words_NW, table_VE, mode="sum", per_sample_weights=share_NW, padding_idx=0) * factor_E
            for share_NW, factor_E in zip(self.shares(words_NW, table_VE.dtype), factors_DE, strict=True)
        ]
        return torch.stack(sums).sum(0).view(*words_XW.shape[:-1], -1)

    def counts(self, words_XW: Tensor, vocabulary: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """(…, D, V) what each word of the vocabulary contributes to a sentence by each term: all its shares, added.

        With them, `forward` is Σ_D factors_D ∘ (counts_D @ table).
        """
        shares_XDW = self.shares(words_XW, dtype).movedim(0, -2)
        counts_XDV = torch.zeros(*shares_XDW.shape[:-1], vocabulary, dtype=dtype, device=words_XW.device)
        return counts_XDV.scatter_add_(-1, words_XW.unsqueeze(-2).expand_as(shares_XDW), shares_XDW)

    def shares(self, words_XW: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """(D, …, W) the shares of words by their places, 0 at padding."""
        real_XW = (words_XW != 0).to(dtype)
        if self.encoding == "bag":
            return real_XW.unsqueeze(0)
        lengths_X1 = real_XW.sum(-1, keepdim=True).clamp(min=1)
        places_W = torch.arange(1, words_XW.shape[-1] + 1, dtype=dtype, device=words_XW.device)
        places_XW = places_W / lengths_X1
        if self.encoding == "position":
            return torch.stack([1 - places_XW, 2 * places_XW - 1]) * real_XW
        return torch.stack([torch.ones_like(places_XW), places_XW - (lengths_X1 + 1) / (2 * lengths_X1)]) * real_XW

    def factors(self, width: int, like: Tensor) -> Tensor:
        """(D, E) the factors of columns, of the type and on the device of `like`."""
        ones_E = torch.ones(width, dtype=like.dtype, device=like.device)
        columns_E = torch.arange(1, width + 1, dtype=like.dtype, device=like.device)
        if self.encoding == "bag":
            return ones_E.unsqueeze(0)
        if self.encoding == "position":
            return torch.stack([ones_E, columns_E / width])
        return torch.stack([ones_E, 4 * (columns_E - (width + 1) / 2) / width])

    def extra_repr(self) -> str:
        """The encoding, for `print(model)`."""
        return f"encoding={self.encoding}"
