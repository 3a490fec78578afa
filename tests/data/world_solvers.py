"""Answers to the simulated world's questions, from their text alone: what the generator's answers are held against.

They share nothing with the generator: sentences are read by patterns, and what follows is worked out anew. What cannot
be (a walk to where one is, a thing taken that somebody holds) is an assertion error if the story is whole; the
supporting sentences of a question alone are no whole story.
"""

from collections.abc import Callable, Sequence

from tests.data import world_people as people
from tests.data import world_relations as relations

SOLVERS: dict[int, Callable[[Sequence[str], str, bool], str]] = {
    **dict.fromkeys((1, 11, 12, 13), people.where_is),
    2: people.where_thing,
    3: people.where_before,
    4: relations.beside,
    5: people.who_gave,
    6: people.is_there,
    7: people.how_many,
    8: people.which,
    9: people.denied,
    10: people.perhaps,
    14: people.day_before,
    15: relations.afraid,
    16: relations.colour,
    17: relations.side,
    18: relations.bigger,
    19: relations.path,
    20: relations.why,
}
"""Task to what answers its questions: sentences, question and whether the story is whole to the answer."""
