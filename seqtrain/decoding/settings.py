"""How hypotheses are searched for."""

from dataclasses import dataclass
from typing import Annotated, Literal

from seqtrain.config.types import NonNegative, NonNegativeFloat, Positive, PositiveFloat, Range
from seqtrain.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Settings of the search, or of sampling.

    Attributes:
        beam: hypotheses kept at every step; 1 is greedy search.
        n_best: hypotheses returned for each sentence: of a beam at most `beam`, of samples any number.
        length_penalty: α in score = log p(y) / |y|^α; 0 leaves the log-probability as it is, 1 divides by the length.
        max_length: tokens after which a hypothesis is ended.
        early_stopping: whether a sentence is done as soon as `beam` hypotheses have ended; without it, only when no
            open one has a better score.
        sample: whether tokens are drawn from the model's distribution, and nothing is searched for.
        temperature: what logits are divided by before a token is drawn.
        top_k: how many of the most probable tokens are drawn from; 0 is all.
        top_p: only the most probable tokens that together reach this probability are drawn from (Holtzman 2020).
        seed: where the draws come from; a sentence's depend on its own number besides, and on nothing else.
        too_long: what happens to text with more tokens than the model has positions: it is refused, or split into
            pieces that are translated one by one.
    """

    beam: Positive = 1
    n_best: Positive = 1
    length_penalty: NonNegativeFloat = 1.0
    max_length: Positive = 100
    early_stopping: bool = False
    sample: bool = False
    temperature: PositiveFloat = 1.0
    top_k: NonNegative = 0
    top_p: Annotated[float, Range(above=0.0, high=1.0)] = 1.0
    seed: Annotated[int, Range(low=0, high=2**32 - 1)] = 1
    too_long: Literal["refuse", "split"] = "refuse"

    def __post_init__(self) -> None:
        if self.sample and self.beam > 1:
            raise UserError(
                f"decoding.sample=true draws, but decoding.beam={self.beam} searches", "Set one: decoding.beam=1."
            )
        if not self.sample and self.n_best > self.beam:
            raise UserError(
                f"decoding.n_best={self.n_best} is more than decoding.beam={self.beam}",
                f"A beam of {self.beam} finds at most {self.beam} hypotheses: set decoding.beam={self.n_best}.",
            )
        drawn = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
        for name in () if self.sample else (name for name in drawn if getattr(self, name) != drawn[name]):
            raise UserError(
                f"decoding.{name}={getattr(self, name)} says how to draw, but nothing is drawn",
                "Choose decoding=sampling.",
            )


@dataclass(frozen=True)
class Hypothesis:
    """A decoded sentence.

    Attributes:
        tokens: ids without special tokens.
        log_probability: log p(y), the end of the sentence included.
        score: the log-probability after the length penalty; hypotheses of a search are ranked by it.
    """

    tokens: list[int]
    log_probability: float
    score: float
