"""Facts, and which of them share a word with a question."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from seqtrain.data.generating import Draws
from seqtrain.data.knowledge.names import invented
from seqtrain.data.knowledge.relations import KINDS, RELATIONS, Relation


class Fact(NamedTuple):
    """Three words."""

    subject: str
    relation: str
    object: str


def knowledge(*, films: int, people: int, cities: int, seed: int) -> list[Fact]:
    """All facts: a subject has one object by a relation, at most.

    Args:
        films: how many; there is a studio for every ten of them, two at least.
        people: how many.
        cities: how many; there is a country for every five of them, two at least.
        seed: which names and which facts.
    """
    counts = {"film": films, "person": people, "city": cities, "year": 90}
    counts |= {"studio": max(2, films // 10), "country": max(2, cities // 5)}
    names = {kind: invented(kind, counts[kind], seed) for kind in KINDS}
    return [
        Fact(subject, relation.name, found)
        for relation in RELATIONS
        for subject, found in _pairs(relation, names, Draws("facts", relation.name, seed))
    ]


def _pairs(relation: Relation, names: dict[str, list[str]], draws: Draws) -> list[tuple[str, str]]:
    """Subjects with their objects."""
    subjects, objects = names[relation.subject], names[relation.object]
    if relation.order == "even":
        rounds = -(-len(subjects) // len(objects))
        even = [objects[i] for _ in range(rounds) for i in shuffled(len(objects), draws)]
        return list(zip(subjects, even, strict=False))
    order = [subjects[i] for i in shuffled(len(subjects), draws)]
    pairs = list(zip(order[1:], order, strict=False))
    return [*pairs, (order[0], order[-1])] if relation.order == "ring" else pairs


def shuffled(count: int, draws: Draws) -> np.ndarray:
    """(count,) the numbers from 0 on in random order."""
    return np.argsort(draws.below(2**32 - 1, count), kind="stable")


class Index:
    """Facts by their words: the key hashing of Miller et al. 2016 (arXiv:1606.03126), section 3.1.

    Args:
        facts: all facts.
        rare: words that are in so many facts or more find none.
    """

    def __init__(self, facts: list[Fact], *, rare: int) -> None:
        self.facts = facts
        self._places: dict[str, list[int]] = {}
        for place, fact in enumerate(facts):
            for word in dict.fromkeys(fact):
                self._places.setdefault(word, []).append(place)
        self._places = {word: places for word, places in self._places.items() if len(places) < rare}

    def sharing(self, words: Iterable[str]) -> list[int]:
        """Places of the facts that have a rare word in common with a question, or with anything else."""
        return list(dict.fromkeys(place for word in words for place in self._places.get(word, ())))

    def found(self, words: Iterable[str], *, further: bool) -> list[int]:
        """Places of the facts that share a rare word with a question.

        Args:
            words: of the question.
            further: whether the facts that share the object of one of these are found, too, behind them.
        """
        near = self.sharing(words)
        if not further:
            return near
        return list(dict.fromkeys([*near, *self.sharing(self.facts[place].object for place in near)]))
