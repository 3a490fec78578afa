"""The convolutional sequence to sequence model (Gehring et al. 2017, arXiv:1705.03122)."""

from typing import Any

from seqtrain.config.types import Positive, Probability
from seqtrain.layers.convolution import ConvolutionalEncoder, Embedding
from seqtrain.layers.convolutional import ConvolutionalDecoder, ConvolutionalEncoderDecoder
from seqtrain.models.base import SequenceModel
from seqtrain.tasks.translation import Translation


class Conv(SequenceModel):
    """Gated convolutions, with attention in every layer of the decoder.

    Args:
        task: what the network is built for.
        embedding: width of the embeddings, and of keys and values.
        hidden: width of the convolutions.
        layers: convolutions of the encoder, and of the decoder.
        kernel: inputs that a convolution sees: those around a source token, and a target token with those before it.
        max_positions: tokens that a sentence can have, its end included: each position has a vector of its own.
        dropout: rate on embeddings, before convolutions and before the output layer.
        tie_embeddings: whether the output layer shares the target embeddings (Press & Wolf 2017); with a joint
            vocabulary the source embeddings are the same matrix too. Positions are never shared.
        options: `label_smoothing`, see `SequenceModel`.
    """

    tasks = ("translation",)

    def __init__(
        self,
        *,
        task: Translation,
        embedding: Positive = 256,
        hidden: Positive = 256,
        layers: Positive = 4,
        kernel: Positive = 3,
        max_positions: Positive = 512,
        dropout: Probability = 0.3,
        tie_embeddings: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(task=task, **options)
        source = Embedding(vocabulary=task.source_vocabulary, width=embedding, positions=max_positions, dropout=dropout)
        target = Embedding(vocabulary=task.target_vocabulary, width=embedding, positions=max_positions, dropout=dropout)
        if tie_embeddings and task.shared:
            target.tokens = source.tokens
        encoder = ConvolutionalEncoder(
            embedding=source,
            width=embedding,
            hidden=hidden,
            layers=layers,
            kernel=kernel,
            dropout=dropout,
            attentions=layers,
        )
        decoder = ConvolutionalDecoder(
            vocabulary=task.target_vocabulary,
            embedding=target,
            width=embedding,
            hidden=hidden,
            layers=layers,
            kernel=kernel,
            dropout=dropout,
            tie=tie_embeddings,
        )
        self.network = ConvolutionalEncoderDecoder(encoder=encoder, decoder=decoder)
