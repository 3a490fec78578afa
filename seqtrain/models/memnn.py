"""Memory networks with strong supervision (Weston 2014, arXiv:1410.3916; on bAbI Weston 2015, arXiv:1502.05698)."""

from typing import Any

from seqtrain.config.types import Positive, PositiveFloat
from seqtrain.errors import UserError
from seqtrain.layers.memnn import MemNN as Network
from seqtrain.layers.memnn import NGrams
from seqtrain.models.base import SequenceModel
from seqtrain.tasks.answering import Answering


class MemNN(SequenceModel):
    """Chooses the sentences that an answer follows from, one after another, and is told in training which they are.

    Args:
        task: what the network is built for.
        embedding: width of the embeddings.
        hops: the most sentences that are chosen; it may end before.
        ngrams: words of the longest N-gram that is a feature; with 1 a sentence is a bag of words.
        buckets: how many different N-grams of two words and more there are; those that share one are one feature.
        nonlinear: whether the embedding of a sentence is a network of two layers instead of a sum.
        ordered: whether what was chosen tells which sentence was chosen first.
        margin: by which true sentences and answers are to win over false ones.
    """

    tasks = ("answering",)

    def __init__(
        self,
        *,
        task: Answering,
        embedding: Positive = 50,
        hops: Positive = 10,
        ngrams: Positive = 3,
        buckets: Positive = 4096,
        nonlinear: bool = True,
        ordered: bool = True,
        margin: PositiveFloat = 0.1,
    ) -> None:
        super().__init__(task=task)
        self.network = Network(
            ngrams=NGrams(vocabulary=task.vocabulary, longest=ngrams, buckets=buckets),
            answers=task.answers,
            width=embedding,
            hops=hops,
            nonlinear=nonlinear,
            ordered=ordered,
            margin=margin,
        )

    def on_fit_start(self) -> None:
        """Looks whether there is something to learn choosing from.

        Raises:
            UserError: no training question says which sentences its answer follows from.
        """
        data: Any = getattr(self.trainer, "datamodule", None)
        if data is not None and not data.supported("train"):
            raise UserError(
                "model=memnn learns which sentences an answer follows from, and the data does not say",
                "Choose data with supporting sentences, or model=memn2n, which finds them itself.",
            )
