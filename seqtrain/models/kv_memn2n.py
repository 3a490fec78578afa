"""The key-value memory network (Miller et al. 2016, arXiv:1606.03126)."""

from typing import Any, Literal

from seqtrain.config.types import Positive, PositiveFloat
from seqtrain.layers.key_value import KeyValueNetwork
from seqtrain.models.base import SequenceModel
from seqtrain.tasks.answering import Answering


class KeyValueMemN2N(SequenceModel):
    """Finds sentences, windows or facts by their keys, reads their values, and answers after several hops.

    Args:
        task: what the network is built for.
        embedding: width of the embeddings.
        hops: times that the memory is read.
        memories: what is a key and what is a value: `sentence`, a sentence is both; `window`, every word of the story
            is the value of the words around it; `triple`, a sentence's last word is the value of those before it.
        window: words of a window, the one in the middle included.
        encoding: what a question or a sentence is a sum of: its words as they are, or weighted by where they stand, as
            Sukhbaatar et al. 2015 write (`position`), or as their code has it (`position_code`).
        temporal: whether a memory also says how many sentences ago it was.
        tie_answers: whether answers share the embeddings of words.
        deviation: of the normal distribution that embeddings begin from.
        options: `label_smoothing`, see `SequenceModel`.
    """

    tasks = ("answering",)

    def __init__(
        self,
        *,
        task: Answering,
        embedding: Positive = 50,
        hops: Positive = 2,
        memories: Literal["sentence", "window", "triple"] = "sentence",
        window: Positive = 7,
        encoding: Literal["bag", "position", "position_code"] = "bag",
        temporal: bool = True,
        tie_answers: bool = False,
        deviation: PositiveFloat = 0.1,
        **options: Any,
    ) -> None:
        super().__init__(task=task, **options)
        self.network = KeyValueNetwork(
            task=task,
            embedding=embedding,
            hops=hops,
            memories=memories,
            window=window,
            encoding=encoding,
            temporal=temporal,
            tie_answers=tie_answers,
            deviation=deviation,
        )
