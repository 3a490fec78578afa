"""The types of constructor parameters that a configuration can set, with the values that they allow.

A constructor's signature is both its documentation and its configuration's schema: `seqtrain.config` reads it from the
source, without importing the module that it stands in, and refuses what the types below do not allow.
"""

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; `None` leaves an end open; `above` and `below` are ends that are not allowed."""

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None


@dataclass(frozen=True)
class Pattern:
    """Texts that a regular expression matches as a whole; `words` say which these are."""

    regex: str
    words: str


Positive = Annotated[int, Range(low=1)]
NonNegative = Annotated[int, Range(low=0)]
PositiveFloat = Annotated[float, Range(above=0.0)]
NonNegativeFloat = Annotated[float, Range(low=0.0)]
Probability = Annotated[float, Range(low=0.0, below=1.0)]
"""A dropout or smoothing rate: from 0 up to, but not including, 1."""
Share = Annotated[float, Range(low=0.0, high=1.0)]
Word = Annotated[str, Pattern(r"[^\s'\"]+", "a text without spaces and quotes")]
Hours = Annotated[
    str, Pattern(r"\d+-\d+(:\d+){0,2}|\d+:\d+(:\d+)?", "a time as 02:30:00 or 1-12:00:00 (a day and a half), in quotes")
]
Memory = Annotated[str, Pattern(r"\d+[KMGT]", "an amount of memory, as 16G")]
Gpus = Annotated[str, Pattern(r"\w+:\d+", "a kind of GPUs and their number, as a100:2")]
