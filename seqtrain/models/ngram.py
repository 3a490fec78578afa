"""The n-gram baseline of the bAbI tasks (Weston et al. 2015, arXiv:1502.05698, section 4)."""

from typing import Any

from seqtrain.config.types import Positive
from seqtrain.layers.answerers import NGramClassifier
from seqtrain.models.base import SequenceModel
from seqtrain.tasks.answering import Answering


class NGram(SequenceModel):
    """A linear classifier of the n-grams of all sentences that share a word with the question.

    Args:
        task: what the network is built for.
        n: words of the longest n-grams.
        buckets: rows of weights, which n-grams are hashed to.
        options: `label_smoothing`, see `SequenceModel`.
    """

    tasks = ("answering",)

    def __init__(self, *, task: Answering, n: Positive = 3, buckets: Positive = 16384, **options: Any) -> None:
        super().__init__(task=task, **options)
        self.network = NGramClassifier(vocabulary=task.vocabulary, n=n, buckets=buckets, answers=len(task.answers))
