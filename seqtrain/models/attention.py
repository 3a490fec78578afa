"""Recurrent translation with attention (Bahdanau et al. 2014, arXiv:1409.0473; Luong et al. 2015, arXiv:1508.04025).

And answering with it (Hermann et al. 2015, arXiv:1506.03340).
"""

import logging
from typing import Any, Literal

from torch import nn

from seqtrain.errors import UserError
from seqtrain.layers.answerers import AttentiveReader
from seqtrain.layers.attentive import AttendedEncoder, AttentiveDecoder, AttentiveEncoderDecoder
from seqtrain.layers.source_attention import SourceAttention
from seqtrain.models.translator import RecurrentTranslator
from seqtrain.tasks.answering import Answering
from seqtrain.tasks.base import Task
from seqtrain.tasks.translation import Translation

log = logging.getLogger(__name__)

TRANSLATORS = {"query": "previous", "readout": "current", "input_feeding": False, "tie_embeddings": True}
"""Options that nothing but a translator has, with their defaults."""


class Attention(RecurrentTranslator):
    """An encoder whose decoder looks back, at every step, at the source states that it needs.

    Where a question is to be answered, the question looks at the states of the story's words, once: see
    `AttentiveReader`. `query`, `readout`, `input_feeding` and `tie_embeddings` are a translator's alone.

    Args:
        task: what the network is built for.
        score: how a query is held against a source state: `additive` (Bahdanau 2014), `dot` or `general` (Luong 2015),
            `scaled_dot` (Vaswani 2017).
        query: the decoder's state that asks: the `previous` one, and the context enters the cell (Bahdanau 2014), or
            the `current` one, and the context joins the state before the output layer (Luong 2015).
        readout: the state that the output layer reads beside the context, with `query=previous`: the `current` one
            (Bahdanau 2014, equation 4) or the `previous` one (the paper's appendix A.2.2).
        input_feeding: whether each step reads what the output layer read at the one before (Luong 2015, section 3.3);
            with `query=current`.
        options: see `RecurrentTranslator`.

    Raises:
        UserError: in a translator, `input_feeding` with `query=previous`, `readout=previous` with `query=current`, or
            `score=dot` where states differ in width.
    """

    tasks = ("translation", "answering")

    def __init__(
        self,
        *,
        task: Task,
        score: Literal["additive", "dot", "general", "scaled_dot"] = "additive",
        query: Literal["previous", "current"] = "previous",
        readout: Literal["current", "previous"] = "current",
        input_feeding: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(task=task, **options)
        steps = {"query": query, "readout": readout, "input_feeding": input_feeding}
        if isinstance(task, Answering):
            given = steps | {"tie_embeddings": self.tie_embeddings}
            if unused := [f"model.{key}" for key, default in TRANSLATORS.items() if given[key] != default]:
                log.warning("%s: a translator's alone, without effect on answering", ", ".join(unused))
            self.network = self._question_reader(task, score)
        else:
            assert isinstance(task, Translation)
            self.network = self._translator(task, score, **steps)

    def _question_reader(self, task: Answering, score: str) -> nn.Module:
        story, question = (self.stack(both=self.bidirectional) for _ in range(2))
        return AttentiveReader(
            vocabulary=task.vocabulary,
            embedding=self.embedding,
            story=story,
            question=question,
            attention=SourceAttention(score=score, queries=question.outputs, states=story.outputs, hidden=self.hidden),
            answers=len(task.answers),
            dropout=self.dropout,
        )

    def _translator(self, task: Translation, score: str, **steps: Any) -> nn.Module:
        if steps["input_feeding"] and steps["query"] == "previous":
            raise UserError(
                "model.input_feeding=true goes with model.query=current",
                "With query=previous the context is fed to the cell already: set model.query=current, or leave it out.",
            )
        if steps["readout"] == "previous" and steps["query"] == "current":
            raise UserError(
                "model.readout=previous goes with model.query=previous",
                "With query=current the state that has asked is read: leave model.readout as it is.",
            )
        encoder = AttendedEncoder(**self.reading(task))
        states = encoder.recurrent.outputs
        if score == "dot" and states != self.hidden:
            raise UserError(
                f"model.score=dot multiplies decoder states of width {self.hidden} with others of width {states}",
                "Set model.bidirectional=false, or model.score=general, which has a matrix between them.",
            )
        attention = SourceAttention(score=score, queries=self.hidden, states=states, hidden=self.hidden)
        decoder = AttentiveDecoder(**self.writing(task, encoder), attention=attention, **steps)
        return AttentiveEncoderDecoder(encoder=encoder, decoder=decoder)
