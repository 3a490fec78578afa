"""A sequence classifier on a recurrent reader."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from seqtrain.layers.dropout import Dropout
from seqtrain.layers.embedding import embedding as make_embedding
from seqtrain.layers.output import OutputLayer
from seqtrain.layers.recurrent import Recurrent


class Classifier(nn.Module):
    """Reads a sequence and classifies it from the last states of the top layer's directions.

    Args:
        vocabulary: number of input tokens.
        embedding: width E of the embeddings.
        recurrent: the stack that reads them.
        classes: number of classes C.
        dropout: rate on embeddings and on the last states.
    """

    def __init__(self, *, vocabulary: int, embedding: int, recurrent: Recurrent, classes: int, dropout: float) -> None:
        super().__init__()
        self.embedding = make_embedding(vocabulary, embedding)
        self.dropout = Dropout(dropout)
        self.recurrent = recurrent
        self.output = OutputLayer(inputs=recurrent.outputs, vocabulary=classes)

    def forward(self, tokens_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """(B, C) logits of (B, T) ids of (B,) lengths."""
        _, last_LBH = self.recurrent(self.dropout(self.embedding(tokens_BT)), lengths_B)
        end_BD = torch.cat(list(last_LBH[-self.recurrent.directions :]), dim=-1)
        return self.output(self.dropout(end_BD))

    def recurrent_blocks(self) -> Iterator[tuple[str, Tensor]]:
        """Every recurrent matrix as a named (H, H) view."""
        yield from self.recurrent.recurrent_blocks()
