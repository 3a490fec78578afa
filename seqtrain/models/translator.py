"""What the recurrent translators share: a cell by its name, and its sizes in encoder and decoder."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal

from torch import nn

from seqtrain.config.types import Positive, Probability
from seqtrain.layers.dropout import Dropout
from seqtrain.layers.embedding import input_embedding
from seqtrain.layers.encoder_decoder import Reader
from seqtrain.layers.gru import GRULayer
from seqtrain.layers.hyper import HYPER_HIDDEN, HyperLSTMLayer
from seqtrain.layers.lstm import LSTMLayer
from seqtrain.layers.multiplicative import MLSTMLayer, MRNNLayer
from seqtrain.layers.recurrent import Cell, Recurrent
from seqtrain.layers.rnn import RNNLayer
from seqtrain.models.base import SequenceModel
from seqtrain.tasks.base import Task
from seqtrain.tasks.translation import Translation

CELLS: Mapping[str, Cell] = {
    "rnn": RNNLayer,
    "gru": GRULayer,
    "lstm": LSTMLayer,
    "mrnn": MRNNLayer,
    "mlstm": MLSTMLayer,
    "hyperlstm": HyperLSTMLayer,
}
HALVED: Mapping[str, Cell] = {**CELLS, "hyperlstm": partial(HyperLSTMLayer, hyper_hidden=HYPER_HIDDEN // 2)}
"""The same; where a width does not follow from that of `hidden`, it is half as large."""


class RecurrentTranslator(SequenceModel):
    """Translates by a recurrent encoder and a recurrent decoder of any cell.

    Args:
        task: what the network is built for.
        cell: the unit, as in `model=CELL`, with that model's default options.
        embedding: width of the embeddings.
        hidden: width of the recurrent state of each direction.
        layers: recurrent layers of the encoder, and of the decoder.
        bidirectional: whether the encoder reads both ways.
        dropout: rate on embeddings, between layers and before the output layer.
        tie_embeddings: whether the output layer shares the target embeddings (Press & Wolf 2017); with a joint
            vocabulary the source embeddings are the same matrix too.
        options: `label_smoothing`, see `SequenceModel`.
    """

    tasks: ClassVar[tuple[str, ...]] = ("translation",)

    def __init__(
        self,
        *,
        task: Task,
        cell: Literal["rnn", "gru", "lstm", "mrnn", "mlstm", "hyperlstm"] = "gru",
        embedding: Positive = 256,
        hidden: Positive = 512,
        layers: Positive = 1,
        bidirectional: bool = True,
        dropout: Probability = 0.3,
        tie_embeddings: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(task=task, **options)
        self.cell, self.embedding, self.hidden, self.layers = cell, embedding, hidden, layers
        self.bidirectional, self.dropout, self.tie_embeddings = bidirectional, dropout, tie_embeddings

    def stack(self, *, both: bool, halved: bool = False) -> Recurrent:
        """Recurrent layers over embeddings, in `both` directions or one.

        `halved`, whatever a cell remembers is half as wide: that of two directions together is as wide as that of one.
        """
        return Recurrent(
            cell=(HALVED if halved else CELLS)[self.cell],
            inputs=self.embedding,
            hidden=self.hidden // 2 if halved else self.hidden,
            layers=self.layers,
            bidirectional=both,
            dropout=self.dropout,
            input_size=1.0,
        )

    def reading(self, task: Translation, *, halved: bool = False) -> dict[str, Any]:
        """What every encoder is made of; for `halved` see `stack`."""
        tied = self.tie_embeddings and task.shared
        return {
            "embedding": input_embedding(task.source_vocabulary, self.embedding, tied=tied),
            "recurrent": self.stack(both=self.bidirectional, halved=halved),
            "dropout": Dropout(self.dropout),
        }

    def writing(self, task: Translation, encoder: Reader) -> dict[str, Any]:
        """What every decoder beside that encoder is made of."""
        return {
            "embedding": target_embedding(task, encoder.embedding, tied=self.tie_embeddings),
            "recurrent": self.stack(both=False),
            "dropout": Dropout(self.dropout),
        }


def target_embedding(task: Translation, source: nn.Embedding, *, tied: bool) -> nn.Embedding:
    """Embeddings of target tokens: those of the source's, where tied ones are of a joint vocabulary."""
    if tied and task.shared:
        return source
    return input_embedding(task.target_vocabulary, source.embedding_dim, tied=tied)
