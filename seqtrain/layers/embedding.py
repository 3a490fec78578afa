"""Token embeddings."""

from torch import nn


def embedding(vocabulary: int, width: int) -> nn.Embedding:
    """(vocabulary, width) vectors from N(0, 1/width), that of padding (id 0) being zero and staying so.

    That is the scale that an output layer needs which shares them: logits of about unit variance.
    """
    table = nn.Embedding(vocabulary, width, padding_idx=0)
    nn.init.normal_(table.weight, std=width**-0.5)
    table.weight.data[0] = 0.0
    return table
