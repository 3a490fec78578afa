"""Questions about the facts of a knowledge base, each with a memory of facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from seqtrain.data.generating import Draws, belongs, check_range, check_split
from seqtrain.data.knowledge.base import Fact, Index, knowledge, shuffled
from seqtrain.data.knowledge.names import MOST
from seqtrain.data.knowledge.relations import RELATIONS
from seqtrain.errors import UserError

FEWEST = 10
"""The fewest films, people or cities."""
_BY_NAME = {relation.name: relation for relation in RELATIONS}


class Asked(NamedTuple):
    """A question with its memory.

    Attributes:
        words: of the question.
        answer: the object that is asked for.
        facts: the memory, in random order.
        used: places in it of the facts that the answer follows from, in the order of the inference.
    """

    words: tuple[str, ...]
    answer: str
    facts: tuple[Fact, ...]
    used: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class World:
    """What questions are about, and how they are made.

    Attributes:
        films: how many there are, 10 to 2000.
        people: the same of people.
        cities: the same of cities.
        seed: which names and facts.
        two_hops: share of the questions that take two facts.
        hashing: whether a question's memory are the facts that share a rare word with it (where some questions take
            two facts, also those that share an object of these); otherwise what it takes, and any other facts.
        rare: the number of facts that a word is in from which on it is not rare.
        sentences: the most facts of a memory; of more, some give way that the answer does not need.
        split_by: `question`: of what is asked in one split, nothing is asked in another, with whatever words;
            `entity`: nothing is asked in another about the same subject.
    """

    films: int
    people: int
    cities: int
    seed: int
    two_hops: float
    hashing: bool = True
    rare: int = 100
    sentences: int = 50
    split_by: str = "question"

    def __post_init__(self) -> None:
        for name in ("films", "people", "cities"):
            check_range("facts", name, getattr(self, name), FEWEST, MOST)
        if self.sentences < 2 and self.two_hops:
            raise UserError(
                f"facts: sentences = {self.sentences} is too few for questions about two facts",
                "Set data.sentences to 2 or more, or data.two_hops to 0.",
            )

    def facts(self) -> list[Fact]:
        """The knowledge base."""
        return knowledge(films=self.films, people=self.people, cities=self.cities, seed=self.seed)


def generate(world: World, *, split: str, size: int) -> list[Asked]:
    """Different questions of one split, the same for the same arguments on every machine.

    Args:
        world: what they are about.
        split: train, val or test.
        size: how many.

    Raises:
        UserError: an unknown split, or more questions than there are.
    """
    check_split("facts", split)
    facts = world.facts()
    draws = Draws("facts", "questions", split, world.seed)
    asked = [
        (chain, wording)
        for hops, count in _counts(world, size).items()
        for chain, wording in _chosen(facts, world.split_by, split=split, hops=hops, count=count, draws=draws)
    ]
    index = Index(facts, rare=world.rare)
    chosen = [asked[i] for i in shuffled(len(asked), draws)]
    return [_with_memory(world, index, chain=chain, wording=wording, draws=draws) for chain, wording in chosen]


def _counts(world: World, size: int) -> dict[int, int]:
    two = round(size * world.two_hops)
    return {1: size - two, 2: two}


def chains_of(facts: Sequence[Fact], hops: int) -> list[tuple[int, ...]]:
    """Places of all the facts, or of all pairs of facts of which the second is about the first one's object."""
    if hops == 1:
        return [(place,) for place in range(len(facts))]
    about: dict[str, list[int]] = {}
    for place, fact in enumerate(facts):
        about.setdefault(fact.subject, []).append(place)
    return [(first, second) for first, fact in enumerate(facts) for second in about.get(fact.object, ())]


@cache
def wordings(*relations: str) -> tuple[str, ...]:
    """All questions, with `{}` for the subject, that follow one relation or two."""
    first = _BY_NAME[relations[0]]
    if len(relations) == 1:
        return tuple(first.questions("{}"))
    return tuple(ask.format(phrase) for ask in _BY_NAME[relations[1]].asks for phrase in first.phrases("{}"))


def _chosen(
    facts: Sequence[Fact], split_by: str, *, split: str, hops: int, count: int, draws: Draws
) -> list[tuple[tuple[int, ...], str]]:
    """Chains of a split with a wording each, no two the same."""
    if count == 0:
        return []
    every = [
        (chain, wording)
        for chain in chains_of(facts, hops)
        if belongs(_content(facts, chain, split_by), split)
        for wording in wordings(*(facts[place].relation for place in chain))
    ]
    if len(every) < count:
        raise UserError(
            f"facts: {count} questions of the split {split} that take {hops} fact{'s' * (hops > 1)} are too many: "
            f"there are {len(every)}",
            "Ask for fewer, or set data.films, data.people or data.cities higher.",
        )
    return [every[i] for i in shuffled(len(every), draws)[:count]]


def _content(facts: Sequence[Fact], chain: tuple[int, ...], split_by: str) -> bytes:
    """What decides about the split of a question."""
    subject = facts[chain[0]].subject
    words = [subject] if split_by == "entity" else [subject, *(facts[place].relation for place in chain)]
    return " ".join(words).encode()


def _with_memory(world: World, index: Index, *, chain: tuple[int, ...], wording: str, draws: Draws) -> Asked:
    facts = index.facts
    words = tuple(wording.format(facts[chain[0]].subject).split())
    if world.hashing:
        others = [p for p in index.found(words, further=world.two_hops > 0) if p not in chain]
        others = [others[i] for i in shuffled(len(others), draws)[: world.sentences - len(chain)]]
    else:
        drawn = dict.fromkeys(draws.below(len(facts), 2 * world.sentences).tolist())  # some are drawn twice
        others = [p for p in drawn if p not in chain][: world.sentences - len(chain)]
    memory = [*chain, *others]
    memory = [memory[i] for i in shuffled(len(memory), draws)]
    return Asked(
        words=words,
        answer=facts[chain[-1]].object,
        facts=tuple(facts[place] for place in memory),
        used=tuple(memory.index(place) for place in chain),
    )


def preflight(
    *,
    needed: Sequence[str],
    size: int = 8000,
    val_size: int = 500,
    test_size: int = 1000,
    films: int = 120,
    people: int = 120,
    cities: int = 40,
    two_hops: float = 0.5,
    sentences: int = 50,
    split_by: str = "question",
    corpus_seed: int = 1,
) -> None:
    """What a configuration shows by itself: values out of range, and more questions than there are."""
    world = World(
        films=films,
        people=people,
        cities=cities,
        seed=corpus_seed,
        two_hops=two_hops,
        sentences=sentences,
        split_by=split_by,
    )
    facts = world.facts()
    for split, asked in (("train", size), ("val", val_size), ("test", test_size)):
        for hops, count in _counts(world, asked).items():
            _chosen(facts, split_by, split=split, hops=hops, count=count, draws=Draws("facts"))
