"""Networks on a recurrent stack that answer with a class, a number, or a class at every step."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from seqtrain.layers.dropout import Dropout
from seqtrain.layers.embedding import embedding as make_embedding
from seqtrain.layers.embedding import input_embedding
from seqtrain.layers.output import OutputLayer
from seqtrain.layers.recurrent import Recurrent


def in_a_row(words_BP: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Words in their order with all padding behind the last one.

    Args:
        words_BP: (B, P) word ids with padding (0) anywhere; P is 1 or more.

    Returns:
        (B, T) ids, T being the largest number of words, and 1 where there are none; (B,) numbers of words; and the
        (B, T) places of the ids in `words_BP`.
    """
    real_BP = words_BP != 0
    order_BP = torch.argsort((~real_BP).to(torch.uint8), dim=1, stable=True)
    lengths_B = real_BP.sum(1)
    order_BT = order_BP[:, : max(1, int(lengths_B.max()))]
    return words_BP.gather(1, order_BT), lengths_B, order_BT


class OnRecurrent(nn.Module):
    """What has one recurrent stack.

    Args:
        recurrent: the stack.
        dropout: on what goes into the stack and what comes out of it.
    """

    def __init__(self, *, recurrent: Recurrent, dropout: Dropout) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.dropout = dropout

    def recurrent_blocks(self) -> Iterator[tuple[str, Tensor]]:
        """Every recurrent matrix as a named (H, H) view."""
        yield from self.recurrent.recurrent_blocks()

    def forget_biases(self) -> Iterator[tuple[str, Tensor]]:
        """Every forget gate's bias as a named (H,) view."""
        yield from self.recurrent.forget_biases()


class Classifier(OnRecurrent):
    """Reads tokens and classifies them from the last states of the top layer's directions.

    Args:
        vocabulary: number of input tokens.
        embedding: width E of the embeddings.
        recurrent: the stack that reads them.
        classes: number of classes C.
        dropout: on embeddings and, at the same rate, on the last states.
    """

    def __init__(
        self, *, vocabulary: int, embedding: int, recurrent: Recurrent, classes: int, dropout: Dropout
    ) -> None:
        super().__init__(recurrent=recurrent, dropout=dropout)
        self.embedding = input_embedding(vocabulary, embedding)
        self.last_dropout = Dropout(dropout.rate)  # the last states have no steps
        self.output = OutputLayer(inputs=recurrent.outputs, vocabulary=classes)

    def forward(self, tokens_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """(B, C) logits of (B, T) ids of (B,) lengths."""
        _, last_LBS = self.recurrent(self.dropout(self.embedding(tokens_BT)), lengths_B)
        return self.output(self.last_dropout(self.recurrent.top(last_LBS)))


class QuestionReader(Classifier):
    """Reads a story and then a question as one text, and classifies it: its classes are the answers."""

    def forward(self, story_BMW: Tensor, question_BW: Tensor) -> Tensor:
        """(B, A) logits of stories (B, M, W) with questions (B, W), padded with 0."""
        words_BT, lengths_B, _ = in_a_row(torch.cat([story_BMW.flatten(1), question_BW], dim=1))
        return super().forward(words_BT, lengths_B)


class Regressor(OnRecurrent):
    """Reads vectors and answers with a number from the last states of the top layer's directions.

    Args:
        recurrent: the stack that reads them.
        dropout: on the last states.
    """

    def __init__(self, *, recurrent: Recurrent, dropout: Dropout) -> None:
        super().__init__(recurrent=recurrent, dropout=dropout)
        self.output = nn.Linear(recurrent.outputs, 1)

    def forward(self, inputs_BTI: Tensor, lengths_B: Tensor) -> Tensor:
        """(B,) numbers of (B, T, I) vectors of (B,) lengths."""
        _, last_LBS = self.recurrent(inputs_BTI, lengths_B)
        return self.output(self.dropout(self.recurrent.top(last_LBS))).squeeze(1)


class BitWriter(OnRecurrent):
    """Reads vectors and writes bits at every step, from what it has read by then.

    Args:
        recurrent: the stack that reads them, in one direction.
        outputs: bits O a step.
        dropout: on the states.
    """

    def __init__(self, *, recurrent: Recurrent, outputs: int, dropout: Dropout) -> None:
        super().__init__(recurrent=recurrent, dropout=dropout)
        self.output = nn.Linear(recurrent.outputs, outputs)

    def forward(self, inputs_BTI: Tensor, lengths_B: Tensor) -> Tensor:
        """(B, T, O) logits of (B, T, I) vectors of (B,) lengths."""
        h_BTH, _ = self.recurrent(inputs_BTI, lengths_B)
        return self.output(self.dropout(h_BTH))


class Transducer(OnRecurrent):
    """Reads tokens and answers at every step, from what it has read by then.

    Args:
        vocabulary: number of input tokens.
        embedding: width E of the embeddings.
        recurrent: the stack that reads them, in one direction.
        classes: number of output tokens C.
        dropout: on embeddings and on the states.
    """

    def __init__(
        self, *, vocabulary: int, embedding: int, recurrent: Recurrent, classes: int, dropout: Dropout
    ) -> None:
        super().__init__(recurrent=recurrent, dropout=dropout)
        self.embedding = make_embedding(vocabulary, embedding)
        self.output = OutputLayer(inputs=recurrent.outputs, vocabulary=classes)

    def forward(self, tokens_BT: Tensor, lengths_B: Tensor, state_LBS: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, T, C) logits of (B, T) ids of (B,) lengths from a state on, and the state behind them."""
        h_BTH, last_LBS = self.recurrent(self.dropout(self.embedding(tokens_BT)), lengths_B, state_LBS)
        return self.output(self.dropout(h_BTH)), last_LBS
