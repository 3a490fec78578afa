"""Facts about films and people as a data module: questions that take one or two of them."""

from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from seqtrain.config.types import NonNegative, Positive, Range, Share
from seqtrain.data.answering import AnsweringData
from seqtrain.data.corpora.base import Split
from seqtrain.data.corpora.questions import Question
from seqtrain.data.knowledge.questions import World, generate

Count = Annotated[int, Range(low=10, high=2000)]


class Facts(AnsweringData):
    """Questions about an invented world, each with a memory of facts: subject, relation and object, a word each.

    Args:
        size: training questions.
        val_size: validation questions.
        test_size: test questions.
        films: films in the world; there is a studio for every ten of them.
        people: people in it.
        cities: cities in it; there is a country for every five of them.
        two_hops: share of the questions that take two facts.
        hashing: whether a memory are the facts that share a rare word with the question (where some questions take two
            facts, also those that share the object of one of these); otherwise what it takes, and any other facts.
        rare: words that are in so many facts or more are not rare.
        split_by: `question`: of what is asked in one split, nothing is asked in another, with whatever words; `entity`:
            nothing is asked in another about the same subject.
        corpus_seed: which world and which questions; the same for runs that are to be compared.
        sentences: the most facts of a memory.
        options: `batch_size`, `num_workers` and `seed`, see `AnsweringData`.
    """

    nominal: ClassVar[frozenset[str]] = frozenset({"hops"})

    def __init__(
        self,
        *,
        size: Positive = 8000,
        val_size: Positive = 500,
        test_size: Positive = 1000,
        films: Count = 120,
        people: Count = 120,
        cities: Count = 40,
        two_hops: Share = 0.5,
        hashing: bool = True,
        rare: Positive = 100,
        split_by: Literal["question", "entity"] = "question",
        corpus_seed: NonNegative = 1,
        sentences: Positive = 50,
        **options: Any,
    ) -> None:
        super().__init__(sentences=sentences, **options)
        self.sizes_asked = {"train": size, "val": val_size, "test": test_size}
        self.world = World(
            films=films,
            people=people,
            cities=cities,
            seed=corpus_seed,
            two_hops=two_hops,
            hashing=hashing,
            rare=rare,
            sentences=sentences,
            split_by=split_by,
        )
        self._hops: dict[Split, np.ndarray] = {}

    def questions(self, split: Split) -> list[Question]:
        """The generator's questions; a story is a memory of facts, three words each, in random order."""
        asked = generate(self.world, split=split, size=self.sizes_asked[split])
        self._hops[split] = np.array([len(question.used) for question in asked])
        return [
            Question(story=q.facts, question=q.words, answer=q.answer, supports=q.used, line=line)
            for line, q in enumerate(asked, start=1)
        ]

    def attributes(self, split: str) -> dict[str, np.ndarray]:
        """Facts of the memory (sentences), and how many of them the answer takes (hops)."""
        return {**super().attributes(split), "hops": self._hops[split]}
