"""The Transformer (Vaswani et al. 2017, arXiv:1706.03762)."""

from typing import Any, Literal

from torch import nn

from seqtrain.config.types import Positive, Probability
from seqtrain.errors import UserError
from seqtrain.layers.answerers import TransformerReader
from seqtrain.layers.embedding import embedding
from seqtrain.layers.output import OutputLayer
from seqtrain.layers.positions import Learned, Rotary, Sinusoidal
from seqtrain.layers.transformer import (
    BitTransformer,
    Decoder,
    DecoderLayer,
    Embedded,
    Encoder,
    EncoderLayer,
    Projected,
    Transformer,
)
from seqtrain.models.base import SequenceModel
from seqtrain.tasks.answering import Answering
from seqtrain.tasks.base import Task
from seqtrain.tasks.bits import Bits
from seqtrain.tasks.translation import Translation


class TransformerModel(SequenceModel):
    """Translates, answers a question, or writes bits, by attention alone.

    Where a question is to be answered, there is an encoder alone: see `TransformerReader`; and so where bits are to be
    written, but then it sees nothing of what is to come: see `BitTransformer`.

    Args:
        task: what the network is built for.
        width: of embeddings and of every layer's states; a multiple of `heads`, even.
        layers: layers of the encoder, and of the decoder.
        heads: attention heads of a layer.
        feed_forward: width inside of the feed-forward networks.
        norm: layer norms in front of sublayers, or behind them as in the paper.
        positions: sinusoids as in the paper; a learned vector a step; or rotations of queries and keys (Su 2021).
        max_positions: tokens a sentence at most, or a question with its story and two marks, with learned positions;
            the others have no such limit.
        dropout: rate on embeddings and on what each sublayer adds.
        tie_embeddings: whether a translator's output layer shares the target embeddings (Press & Wolf 2017); with a
            joint vocabulary the source embeddings are the same matrix too.
        options: `label_smoothing`, see `SequenceModel`.
    """

    tasks = ("translation", "answering", "bits")
    blocks = ("encoder.layers", "decoder.layers")
    compiles = True

    def __init__(
        self,
        *,
        task: Task,
        width: Positive = 256,
        layers: Positive = 3,
        heads: Positive = 4,
        feed_forward: Positive = 512,
        norm: Literal["pre", "post"] = "pre",
        positions: Literal["sinusoidal", "learned", "rotary"] = "sinusoidal",
        max_positions: Positive = 512,
        dropout: Probability = 0.1,
        tie_embeddings: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(task=task, **options)
        _check(width, heads, positions)
        rotary = Rotary(width=width // heads) if positions == "rotary" else None
        sizes: dict[str, Any] = {"width": width, "heads": heads, "feed_forward": feed_forward}
        layer = {**sizes, "norm": norm, "dropout": dropout, "rotary": rotary}

        def stack(kind: Any, one: Any, table: nn.Embedding, **parts: Any) -> Any:
            embedded = Embedded(table=table, positions=_added(positions, width, max_positions), dropout=dropout)
            return kind(embedded=embedded, layers=[one(**layer) for _ in range(layers)], norm=norm, **parts)

        limit = max_positions if positions == "learned" else None
        if isinstance(task, Bits):
            projected = Projected(
                inputs=task.inputs, width=width, positions=_added(positions, width, max_positions), dropout=dropout
            )
            causal = [EncoderLayer(**layer, causal=True) for _ in range(layers)]
            encoder = Encoder(embedded=projected, layers=causal, norm=norm)
            self.network = BitTransformer(encoder=encoder, outputs=task.outputs, max_positions=limit)
            return
        if isinstance(task, Answering):
            table = embedding(task.vocabulary + TransformerReader.MARKS, width)
            self.network = TransformerReader(
                encoder=stack(Encoder, EncoderLayer, table), answers=len(task.answers), max_positions=limit
            )
            return
        assert isinstance(task, Translation)
        source = embedding(task.source_vocabulary, width)
        target = source if tie_embeddings and task.shared else embedding(task.target_vocabulary, width)
        weight = target.weight if tie_embeddings else None
        output = OutputLayer(inputs=width, vocabulary=task.target_vocabulary, weight=weight)
        self.network = Transformer(
            encoder=stack(Encoder, EncoderLayer, source),
            decoder=stack(Decoder, DecoderLayer, target, output=output),
            max_positions=limit,
        )


def _added(positions: str, width: int, max_positions: int) -> Sinusoidal | Learned | None:
    """What adds positions to embeddings."""
    if positions == "learned":
        return Learned(width=width, max_positions=max_positions, deviation=width**-0.5)
    return Sinusoidal(width=width) if positions == "sinusoidal" else None


def _check(width: int, heads: int, positions: str) -> None:
    """Raises a `UserError` where the sizes do not fit."""
    unit = 2 * heads if positions == "rotary" else heads if heads % 2 == 0 else 2 * heads
    if width % unit:
        nearest = max(unit, round(width / unit) * unit)
        raise UserError(
            f"model.width={width} is not a multiple of {unit}, which model.heads={heads} and "
            f"model.positions={positions} need",
            f"Set model.width={nearest}, or another number of heads.",
        )
