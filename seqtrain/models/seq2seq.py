"""Sequence to sequence learning (Sutskever et al. 2014, arXiv:1409.3215)."""

from typing import Any, Literal

from seqtrain.config.types import Positive
from seqtrain.errors import UserError
from seqtrain.layers.encoder_decoder import EncoderDecoder
from seqtrain.layers.seq2seq import StateDecoder, StateEncoder
from seqtrain.models.translator import RecurrentTranslator
from seqtrain.tasks.translation import Translation


class Seq2Seq(RecurrentTranslator):
    """A deep encoder whose last states start a decoder, which sees nothing else of the source.

    Args:
        task: what the network is built for.
        cell: the unit, as in `model=CELL`, with that model's default options.
        layers: recurrent layers of the encoder, and of the decoder.
        bidirectional: whether the encoder reads both ways. Each direction is then half as wide as `hidden` says, and
            the decoder starts from both directions' states side by side.
        reverse_source: whether the encoder reads the words last to first (section 3.3 of the paper).
        options: see `RecurrentTranslator`.

    Raises:
        UserError: both directions are to share an odd width.
    """

    def __init__(
        self,
        *,
        task: Translation,
        cell: Literal["rnn", "gru", "lstm", "mrnn", "mlstm", "hyperlstm"] = "lstm",
        layers: Positive = 2,
        bidirectional: bool = False,
        reverse_source: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(task=task, cell=cell, layers=layers, bidirectional=bidirectional, **options)
        if bidirectional and self.hidden % 2:
            raise UserError(f"model.hidden={self.hidden} cannot be shared by two directions", "Choose an even width.")
        encoder = StateEncoder(**self.reading(task, halved=bidirectional), reverse=reverse_source)
        self.network = EncoderDecoder(encoder=encoder, decoder=StateDecoder(**self.writing(task, encoder)))
