"""Questions about stories, wherever they come from."""

from dataclasses import dataclass
from typing import Annotated

from seqtrain.config.types import Range

TaskNumber = Annotated[int, Range(low=1, high=20)]
"""One of the twenty tasks of bAbI."""


@dataclass(frozen=True)
class Question:
    """A question with its story.

    Attributes:
        story: the sentences before it, the oldest first, each a tuple of words.
        question: its words.
        answer: a word, or several that are one answer, joined by commas.
        supports: places in `story` of the sentences that the answer follows from, in the order of the file, not
            always in that of the inference.
        line: of the file, from 1; 0 where there is none.
        task: 1 to 20; 0 where there is none.
    """

    story: tuple[tuple[str, ...], ...]
    question: tuple[str, ...]
    answer: str
    supports: tuple[int, ...] = ()
    line: int = 0
    task: int = 0
