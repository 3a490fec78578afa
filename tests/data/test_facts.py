"""Questions about facts: their answers looked up here, what is in memory, and what is in which split."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from seqtrain.data.facts import Facts
from seqtrain.data.knowledge.base import Fact
from seqtrain.data.knowledge.names import invented
from seqtrain.data.knowledge.questions import Asked, World, generate, preflight
from seqtrain.data.knowledge.relations import KINDS
from seqtrain.errors import UserError

WORLD = World(films=40, people=40, cities=20, seed=3, two_hops=0.5)
BASE = WORLD.facts()
# Word to relation, written here again from the questions' wording: the noun nearest to the name is asked for first.
NOUNS = {
    "directed_by": "director maker", "written_by": "writer author", "starring": "star actor",
    "filmed_in": "location set", "made_by": "studio producer", "released_in": "release premiere",
    "follows": "original model", "born_in": "birthplace origin", "lives_in": "residence address",
    "born_on": "birth birthday", "taught_by": "teacher mentor", "admires": "idol hero",
    "known_for": "masterpiece success", "located_in": "country nation", "north_of": "neighbour south",
    "capital": "capital seat", "ruled_by": "ruler president", "based_in": "headquarters site",
    "owned_by": "owner boss",
}  # fmt: skip
VERBS = {
    "directed_by": "direct", "written_by": "wrote|written", "starring": "starring|acted",
    "filmed_in": "filmed|shoot", "made_by": "company|paid", "released_in": "released|come out",
    "follows": "continue|before", "born_in": r"^where was .* born|grow", "lives_in": " live$|home",
    "born_on": r"^when was .* born|lived", "taught_by": "taught|learn", "admires": "admires|look up",
    "known_for": "known|famous", "located_in": "contains|^where lies", "north_of": "north|^what lies south",
    "capital": r"^from where .* governed|heads", "ruled_by": r"rules|whom is .* governed",
    "based_in": "based|office", "owned_by": "owns|belong",
}  # fmt: skip


def looked_up(words: tuple[str, ...], facts: Iterable[Fact]) -> str:
    """The answer to a question, by a table of facts and regular expressions."""
    table = {(subject, relation): found for subject, relation, found in facts}
    subjects = {subject for subject, _ in table}
    (subject,) = [word for word in words if word in subjects and word != "capital"]
    text = " ".join(words)
    noun = re.search(rf"the (\w+) of {subject}", text)
    if noun:
        (first,) = [relation for relation, nouns in NOUNS.items() if noun[1] in nouns.split()]
        if re.fullmatch(rf"(who|what) is the \w+ of {subject}", text):
            return table[subject, first]
        subject = table[subject, first]
    kinds = {relation for about, relation in table if about == subject}
    rest = text.replace(noun[0], "it") if noun else text
    (last,) = [relation for relation, pattern in VERBS.items() if relation in kinds and re.search(pattern, rest)]
    return table[subject, last]


@pytest.mark.parametrize(("split", "hashing"), [("train", True), ("val", True), ("test", True), ("train", False)])
def test_every_answer_is_the_one_that_is_looked_up(split: str, hashing: bool) -> None:
    questions = generate(replace(WORLD, hashing=hashing), split=split, size=100)
    assert len(questions) == len({q.words for q in questions}) == 100
    assert Counter(len(q.used) for q in questions) == {1: 50, 2: 50}
    for q in questions:
        assert looked_up(q.words, BASE) == q.answer
        assert looked_up(q.words, q.facts) == q.answer
        used = [q.facts[place] for place in q.used]
        assert used[0].subject in q.words
        assert used[-1].object == q.answer
        assert all(one.object == next_one.subject for one, next_one in pairwise(used))
        assert len(q.facts) == len(set(q.facts)) <= WORLD.sentences


def test_there_is_no_contradiction_and_no_word_of_two_kinds() -> None:
    assert len(BASE) == len({(fact.subject, fact.relation) for fact in BASE})
    assert all(fact.subject != fact.object for fact in BASE)
    names = [name for kind in KINDS for name in invented(kind, 60, 3)]
    asked = {word for q in generate(WORLD, split="train", size=400) for word in q.words}
    said = {fact.relation for fact in BASE}
    assert len(names) == len({*names}) == 60 * len(KINDS)
    assert not said & {*names}
    assert all(re.fullmatch(r"[a-z_0-9]+", word) for word in [*names, *asked, *said])


def expected_memory(q: Asked, *, rare: int, further: bool) -> set[tuple[str, str, str]]:
    """The facts with a rare word of the question, or of an object that these have; by reading through all facts."""
    count = Counter(word for fact in BASE for word in {*fact})
    words = {word for word in q.words if count[word] < rare}
    near = {fact for fact in BASE if words & {*fact}}
    found = {fact.object for fact in near if count[fact.object] < rare}
    return near | {fact for fact in BASE if further and found & {*fact}}


@pytest.mark.parametrize(("rare", "two_hops"), [(100, 0.0), (100, 0.5), (20, 0.5)])
def test_memories_are_what_key_hashing_finds(rare: int, two_hops: float) -> None:
    world = replace(WORLD, two_hops=two_hops, rare=rare, sentences=1000)
    for q in generate(world, split="train", size=60):
        used = {q.facts[place] for place in q.used}
        assert {*q.facts} == expected_memory(q, rare=rare, further=two_hops > 0) | used


def test_of_too_many_facts_some_give_way_and_never_those_needed() -> None:
    for q in generate(replace(WORLD, sentences=6), split="train", size=60):
        assert len(q.facts) <= 6
        assert {*q.facts} <= expected_memory(q, rare=WORLD.rare, further=True)
    places = Counter(q.used[0] for q in generate(replace(WORLD, sentences=6), split="train", size=600))
    assert {*places} == {*range(6)}  # where in memory the fact stands says nothing
    assert min(places.values()) > 60


def test_without_hashing_memories_are_full_of_any_facts() -> None:
    questions = generate(replace(WORLD, hashing=False), split="train", size=100)
    assert {len(q.facts) for q in questions} == {50}
    same = generate(WORLD, split="train", size=100)
    assert [(q.words, q.answer) for q in same] == [(q.words, q.answer) for q in questions]
    about = [sum(bool({*q.words} & {fact.subject, fact.object}) for fact in q.facts) for q in questions]
    assert np.mean(about) < 3


@pytest.mark.parametrize("split_by", ["question", "entity"])
def test_splits_share_no_question(split_by: str) -> None:
    seen = []
    for split, size in (("train", 800), ("val", 80), ("test", 80)):
        questions = generate(replace(WORLD, split_by=split_by), split=split, size=size)
        used = [[q.facts[place] for place in q.used] for q in questions]
        whole = [(facts[0].subject, *(fact.relation for fact in facts)) for facts in used]
        seen.append({asked[0] if split_by == "entity" else asked for asked in whole})
    assert sum(map(len, seen)) == len(set.union(*seen))


def test_it_is_the_same_world_and_other_questions_for_other_seeds() -> None:
    assert generate(WORLD, split="val", size=20) == generate(WORLD, split="val", size=20)
    assert generate(WORLD, split="val", size=20) != generate(replace(WORLD, seed=4), split="val", size=20)


def test_it_is_an_answering_data_set() -> None:
    data = Facts(size=300, val_size=40, test_size=60, films=40, people=40, cities=20, corpus_seed=3, seed=1)
    data.setup()
    assert data.sizes == {"train": 300, "val": 40, "test": 60}
    assert not any(data.cut.values())
    assert {*np.unique(data.attributes("test")["hops"])} == {1, 2}
    batch = data.collate("test", np.arange(60))
    assert batch.story.shape[2] >= 3
    assert not batch.story[:, :, 3:].any()
    rows = torch.arange(60)
    last = (batch.supports >= 0).sum(1) - 1
    objects = batch.story[rows, batch.supports[rows, last], 2]
    known = batch.answers >= 0
    words = torch.tensor(data.task.answer_words)
    assert (words[batch.answers[known]] == objects[known]).all()  # an answer is a word of the facts


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"films": 9}, r"facts: films = 9 is out of range\n  Allowed are 10 to 2000"),
        ({"sentences": 1}, "sentences = 1 is too few for questions about two facts"),
        ({"size": 10**6}, r"\d+ questions of the split train that take 1 fact are too many: there are \d+"),
        ({"test_size": 10**5, "two_hops": 1.0}, "100000 questions of the split test that take 2 facts are too many"),
    ],
)
def test_refusals(changed: dict[str, object], message: str) -> None:
    preflight(needed=())
    with pytest.raises(UserError, match=message):
        preflight(needed=(), **changed)  # type: ignore[arg-type]
