"""The recurrent entity network (Henaff et al. 2017, arXiv:1612.03969)."""

from typing import Any

from seqtrain.config.types import Positive
from seqtrain.layers.entnet import EntNet as Network
from seqtrain.models.base import SequenceModel
from seqtrain.tasks.answering import Answering


class EntNet(SequenceModel):
    """Reads a story once, into memories that follow what it is about, and answers from them.

    Args:
        task: what the network is built for.
        embedding: width of words and memories.
        slots: number of memories.
        places: words of a sentence that have a mask of their own; words further back share the last one.
        options: `label_smoothing`, see `SequenceModel`.
    """

    tasks = ("answering",)

    def __init__(
        self,
        *,
        task: Answering,
        embedding: Positive = 100,
        slots: Positive = 20,
        places: Positive = 32,
        **options: Any,
    ) -> None:
        super().__init__(task=task, **options)
        self.network = Network(
            vocabulary=task.vocabulary, answers=len(task.answers), width=embedding, slots=slots, places=places
        )
