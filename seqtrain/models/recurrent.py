"""What the recurrent architectures share: one cell in every role that a task has for it."""

from collections.abc import Callable
from typing import Any

from torch import nn

from seqtrain.config.types import Positive, Probability
from seqtrain.layers.dropout import Dropout
from seqtrain.layers.embedding import input_embedding
from seqtrain.layers.encoder_decoder import Decoder, Encoder, EncoderDecoder
from seqtrain.layers.readers import BitWriter, Classifier, QuestionReader, Regressor, Transducer
from seqtrain.layers.recurrent import STATE_SIZE, Cell, Recurrent
from seqtrain.models.base import SequenceModel
from seqtrain.models.translator import target_embedding
from seqtrain.tasks.answering import Answering
from seqtrain.tasks.base import Task
from seqtrain.tasks.bits import Bits
from seqtrain.tasks.labelling import Labelling
from seqtrain.tasks.regression import Regression
from seqtrain.tasks.transduction import Transduction
from seqtrain.tasks.translation import Translation


class RecurrentModel(SequenceModel):
    """Translates as encoder–decoder; labels, answers and adds up from the last states; transduces and writes bits from
    every state.

    A subclass names its cell in `cell`.

    Args:
        task: what the network is built for.
        embedding: width of the embeddings.
        hidden: width of the recurrent state of each direction.
        layers: recurrent layers of the encoder, and of the decoder.
        bidirectional: whether the encoder, or the reader of a text that is there as a whole, reads both ways; decoders
            and transducers, whose outputs must not see what comes, always read forwards.
        dropout: rate on embeddings, between layers and before the output layer.
        variational: whether dropout leaves out the same units at every step of a sequence (Gal & Ghahramani 2016).
        tie_embeddings: whether a translator's output layer shares the target embeddings (Press & Wolf 2017); with a
            joint vocabulary the source embeddings are the same matrix too.
        options: `label_smoothing`, see `SequenceModel`.
    """

    tasks = ("translation", "labelling", "answering", "transduction", "regression", "bits")

    def __init__(
        self,
        *,
        task: Task,
        embedding: Positive = 256,
        hidden: Positive = 512,
        layers: Positive = 1,
        bidirectional: bool = True,
        dropout: Probability = 0.3,
        variational: bool = False,
        tie_embeddings: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(task=task, **options)
        self.embedding, self.hidden, self.layers = embedding, hidden, layers
        self.bidirectional, self.tie_embeddings = bidirectional, tie_embeddings
        self.dropout, self.variational = dropout, variational

    def build(self, cell: Cell) -> None:
        """Makes `network` for the task, of one cell; subclasses call it when they know theirs."""
        roles: dict[type[Task], Callable[[Any, Cell], nn.Module]] = {
            Translation: self._translator,
            Labelling: self._classifier,
            Answering: self._question_reader,
            Transduction: self._transducer,
            Regression: self._regressor,
            Bits: self._bit_writer,
        }
        build = roles.get(type(self.task))
        if build is None:
            raise TypeError(f"{type(self).__name__} does {', '.join(self.tasks)}, not {self.task.name}")
        self.network = build(self.task, cell)

    def _stack(self, cell: Cell, inputs: int, *, both: bool, input_size: float | None = None) -> Recurrent:
        return Recurrent(
            cell=cell,
            inputs=inputs,
            hidden=self.hidden,
            layers=self.layers,
            bidirectional=both,
            dropout=self.dropout,
            variational=self.variational,
            input_size=input_size,
        )

    def _dropout(self) -> Dropout:
        return Dropout(self.dropout, time=1 if self.variational else None)

    def _translator(self, task: Translation, cell: Cell) -> nn.Module:
        E, C, tied = self.embedding, self.hidden, self.tie_embeddings
        encoder = Encoder(
            embedding=input_embedding(task.source_vocabulary, E, tied=tied and task.shared),
            recurrent=self._stack(cell, E, both=self.bidirectional, input_size=1.0),
            summary=C,
            dropout=self._dropout(),
        )
        # What the decoder's layers read is [e; c], and c is as large as a state.
        size = ((E + C * STATE_SIZE**2) / (E + C)) ** 0.5
        decoder = Decoder(
            embedding=target_embedding(task, encoder.embedding, tied=tied),
            recurrent=self._stack(cell, E + C, both=False, input_size=size),
            summary=C,
            dropout=self._dropout(),
        )
        return EncoderDecoder(encoder=encoder, decoder=decoder)

    def _classifier(self, task: Labelling, cell: Cell) -> nn.Module:
        return Classifier(
            vocabulary=task.vocabulary,
            embedding=self.embedding,
            recurrent=self._stack(cell, self.embedding, both=self.bidirectional, input_size=1.0),
            classes=len(task.labels),
            dropout=self._dropout(),
        )

    def _question_reader(self, task: Answering, cell: Cell) -> nn.Module:
        return QuestionReader(
            vocabulary=task.vocabulary,
            embedding=self.embedding,
            recurrent=self._stack(cell, self.embedding, both=self.bidirectional, input_size=1.0),
            classes=len(task.answers),
            dropout=self._dropout(),
        )

    def _transducer(self, task: Transduction, cell: Cell) -> nn.Module:
        return Transducer(
            vocabulary=task.vocabulary,
            embedding=self.embedding,
            recurrent=self._stack(cell, self.embedding, both=False),
            classes=task.classes,
            dropout=self._dropout(),
        )

    def _regressor(self, task: Regression, cell: Cell) -> nn.Module:
        return Regressor(
            recurrent=self._stack(cell, task.inputs, both=self.bidirectional), dropout=Dropout(self.dropout)
        )

    def _bit_writer(self, task: Bits, cell: Cell) -> nn.Module:
        return BitWriter(
            recurrent=self._stack(cell, task.inputs, both=False), outputs=task.outputs, dropout=self._dropout()
        )
