"""The GRU (Cho et al. 2014, arXiv:1406.1078) as an encoder–decoder and as a classifier."""

from typing import Any, Literal

from torch import nn

from seqtrain.config.types import Positive, Probability
from seqtrain.layers.classifier import Classifier
from seqtrain.layers.encoder_decoder import Decoder, Encoder, EncoderDecoder
from seqtrain.layers.recurrent import Recurrent
from seqtrain.models.base import SequenceModel
from seqtrain.tasks.base import Task
from seqtrain.tasks.labelling import Labelling
from seqtrain.tasks.translation import Translation


class GRU(SequenceModel):
    """Gated recurrent units: translates as encoder–decoder, labels from the last states.

    Args:
        task: what the network is built for.
        embedding: width of the embeddings.
        hidden: width of the recurrent state of each direction.
        layers: recurrent layers of the encoder, and of the decoder.
        bidirectional: whether the encoder, or the classifier, reads both ways.
        reset: `before` multiplies the reset gate into the state before the recurrent product, as the lecture and
            Cho 2014 do; `after` multiplies it into the product, as `torch.nn.GRU` does.
        dropout: rate on embeddings, between layers and before the output layer.
        tie_embeddings: whether the output layer shares the target embeddings (Press & Wolf 2017); with a joint
            vocabulary the source embeddings are the same matrix too.
        options: `label_smoothing`, see `SequenceModel`.
    """

    tasks = ("translation", "labelling")

    def __init__(
        self,
        *,
        task: Task,
        embedding: Positive = 256,
        hidden: Positive = 512,
        layers: Positive = 1,
        bidirectional: bool = True,
        reset: Literal["before", "after"] = "before",
        dropout: Probability = 0.3,
        tie_embeddings: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(task=task, **options)
        cell = "gru" if reset == "before" else "gru_reset_after"

        def recurrent(inputs: int, both: bool) -> Recurrent:
            return Recurrent(
                cell=cell, inputs=inputs, hidden=hidden, layers=layers, bidirectional=both, dropout=dropout
            )

        reader = recurrent(embedding, bidirectional)
        if isinstance(task, Labelling):
            self.network: nn.Module = Classifier(
                vocabulary=task.vocabulary,
                embedding=embedding,
                recurrent=reader,
                classes=len(task.labels),
                dropout=dropout,
            )
        elif isinstance(task, Translation):
            encoder = Encoder(
                vocabulary=task.source_vocabulary,
                embedding=embedding,
                recurrent=reader,
                summary=hidden,
                dropout=dropout,
            )
            decoder = Decoder(
                vocabulary=task.target_vocabulary,
                embedding=embedding,
                recurrent=recurrent(embedding + hidden, False),
                summary=hidden,
                dropout=dropout,
                tie=tie_embeddings,
                weight=encoder.embedding.weight if tie_embeddings and task.shared else None,
            )
            self.network = EncoderDecoder(encoder=encoder, decoder=decoder)
        else:
            raise TypeError(f"GRU does {', '.join(self.tasks)}, not {task.name}")
