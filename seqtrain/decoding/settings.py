"""How hypotheses are searched for."""

from dataclasses import dataclass

from seqtrain.config.types import NonNegativeFloat, Positive
from seqtrain.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Settings of the search.

    Attributes:
        beam: hypotheses kept at every step; 1 is greedy search.
        n_best: hypotheses returned for each sentence, at most `beam`.
        length_penalty: α in score = log p(y) / |y|^α; 0 leaves the log-probability as it is, 1 divides by the length.
        max_length: tokens after which a hypothesis is ended.
    """

    beam: Positive = 1
    n_best: Positive = 1
    length_penalty: NonNegativeFloat = 1.0
    max_length: Positive = 100

    def __post_init__(self) -> None:
        if self.n_best > self.beam:
            raise UserError(
                f"decoding.n_best={self.n_best} is more than decoding.beam={self.beam}",
                f"A beam of {self.beam} finds at most {self.beam} hypotheses: set decoding.beam={self.n_best}.",
            )


@dataclass(frozen=True)
class Hypothesis:
    """A decoded sentence.

    Attributes:
        tokens: ids without special tokens.
        log_probability: log p(y), the end of the sentence included.
        score: the log-probability after the length penalty; hypotheses are ranked by it.
    """

    tokens: list[int]
    log_probability: float
    score: float
