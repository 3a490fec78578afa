"""What a caption says, before any language is chosen: who does what to whom, where and when."""

from typing import NamedTuple

from seqtrain.data.captions.lexicon import Adjective, Noun, Place, SideAction, Verb

ANIMALS = frozenset({"dog", "cat", "cattle", "bird"})
SINGULAR = frozenset({"a", "the", "group"})


class Phrase(NamedTuple):
    """A noun with its determiner (a, the, 2 to 5, several, bare, group) and its adjectives, in English order."""

    noun: Noun
    det: str
    adjectives: tuple[Adjective, ...] = ()

    @property
    def plural(self) -> bool:
        """Whether the verb that has it as a subject is plural."""
        return self.det not in SINGULAR

    @property
    def many(self) -> bool:
        """Whether the noun itself is plural."""
        return self.det not in ("a", "the")


class Where(NamedTuple):
    """A place with its article and adjectives."""

    place: Place
    phrase: Phrase


class Outfit(NamedTuple):
    """What a subject wears: `in` and `with` are prepositional phrases, `who` is a relative clause."""

    kind: str
    garments: tuple[Phrase, ...]


class Predicate(NamedTuple):
    """What is done; `described` is what the first object is doing, told in a relative clause."""

    verb: Verb
    objects: tuple[Phrase, ...] = ()
    where: Where | None = None
    when: tuple[str, str, str] | None = None
    together: bool = False
    described: "Predicate | None" = None


class Caption(NamedTuple):
    """A whole sentence.

    Attributes:
        pattern: plain, fronted (place first), exists (there is, without a verb), shown (there is ... who ...), while,
            while_first, and (a second predicate of the same subject), side (while doing).
        subjects: one, or two that are coordinated.
    """

    pattern: str
    subjects: tuple[Phrase, ...]
    outfit: Outfit | None
    predicate: Predicate
    other_subject: Phrase | None = None
    other: Predicate | None = None
    side: SideAction | None = None
