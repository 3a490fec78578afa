"""What a decoder knows of its source sentences, and how it follows the rows of its state."""

from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor


@dataclass
class OfSentences:
    """Tensors (B, …), a row of each for every row of a decoder's state.

    Attributes:
        sentence: (B,) which sentence of the batch a row belongs to.
    """

    sentence: Tensor

    def rows(self, index: Tensor) -> Self:
        """Those of the rows `index`, in that order; they may be dropped or repeated.

        Hypotheses most often change places within their own sentence: then there is nothing to copy.
        """
        if torch.equal(self.sentence[index], self.sentence):
            return self
        return type(self)(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


def numbered(rows: Tensor) -> Tensor:
    """(B,) 0 to B − 1: every row of (B, …) is a sentence of its own."""
    return torch.arange(len(rows), device=rows.device)
