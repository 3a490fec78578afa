"""Solvers of the tasks about people and things that get from place to place: 1 to 3 and 5 to 14."""

from collections import defaultdict
from collections.abc import Sequence

from tests.data.world_reading import WALK, must, read

TAKE = r"(?:collected|picked up|took)"
PUT = r"(?:dropped|put down|set aside)"
GIVE = r"(?:gave|handed|passed)"
WOMEN = {"ada", "clara", "greta", "ida", "lena", "nora", "olga", "rosa"}
WEEK = ["monday", "tuesday", "wednesday", "thursday", "friday"]


def rooms(story: Sequence[str], whole: bool) -> dict[str, str]:
    """Who is where, after walks of one or two, who may be meant by he, she or they."""
    where: dict[str, str] = {}
    meant: list[str] = []
    for text in story:
        found = read(rf"(?:(?:then|after that|afterwards) )?(\w+(?: and \w+)?)(?: then)? {WALK} to the (\w+)", text)
        assert found is not None, text
        subject, room = found
        if subject in ("he", "she", "they"):
            assert len(meant) == 1 + (subject == "they"), text
            assert subject == "they" or (subject == "she") == (meant[0] in WOMEN), text
        else:
            meant = subject.split(" and ")
            assert len(set(meant)) == len(meant)
        for person in meant:
            assert not whole or where.get(person) != room, text
            where[person] = room
    return where


def where_is(story: Sequence[str], question: str, whole: bool) -> str:
    """Tasks 1, 11, 12 and 13."""
    return rooms(story, whole)[must(r"where is (\w+)", question)[0]]


def is_there(story: Sequence[str], question: str, whole: bool) -> str:
    """Task 6."""
    person, room = must(r"is (\w+) in the (\w+)", question)
    return "yes" if rooms(story, whole)[person] == room else "no"


class Hands:
    """Follows people and things through a story, and what was given."""

    def __init__(self, story: Sequence[str], whole: bool) -> None:
        self.where: dict[str, str] = {}
        self.holds: dict[str, set[str]] = defaultdict(set)
        self.been: dict[str, list[str]] = defaultdict(list)
        self.gifts: list[tuple[str, str, str]] = []
        for text in story:
            if found := read(rf"(\w+) {WALK} to the (\w+)", text):
                person, room = found
                assert not whole or self.where.get(person) != room, text
                self.where[person] = room
                for thing in self.holds[person]:
                    self.at(thing, room)
            elif found := read(rf"(\w+) {TAKE} the (\w+)", text):
                person, thing = found
                if whole:
                    assert all(thing not in held for held in self.holds.values()), text
                    assert self.been[thing][-1:] in ([], [self.where[person]]), text
                self.holds[person].add(thing)
                self.at(thing, self.where.get(person))
            elif found := read(rf"(\w+) {PUT} the (\w+)", text):
                person, thing = found
                assert not whole or thing in self.holds[person], text
                self.holds[person].discard(thing)
                self.at(thing, self.where.get(person))
            else:
                person, thing, other = must(rf"(\w+) {GIVE} the (\w+) to (\w+)", text)
                assert person != other
                if whole:
                    assert thing in self.holds[person], text
                    assert self.where[person] == self.where[other], text
                self.holds[person].discard(thing)
                self.holds[other].add(thing)
                self.gifts.append((person, thing, other))
            assert all(len(held) <= 3 for held in self.holds.values())

    def at(self, thing: str, room: str | None) -> None:
        if room is not None and self.been[thing][-1:] != [room]:
            self.been[thing].append(room)


def where_thing(story: Sequence[str], question: str, whole: bool) -> str:
    """Task 2."""
    return Hands(story, whole).been[must(r"where is the (\w+)", question)[0]][-1]


def where_before(story: Sequence[str], question: str, whole: bool) -> str:
    """Task 3."""
    thing, room = must(r"where was the (\w+) before the (\w+)", question)
    been = Hands(story, whole).been[thing]
    assert been.count(room) == 1
    return been[been.index(room) - 1] if been.index(room) else "unknown"


def who_gave(story: Sequence[str], question: str, whole: bool) -> str:
    """Task 5."""
    for pattern, giver, thing, taker, asked in (
        (r"what did (\w+) give to (\w+)", 0, None, 1, 1),
        (r"who did (\w+) give the (\w+) to", 0, 1, None, 2),
        (r"who gave the (\w+) to (\w+)", None, 0, 1, 0),
        (r"who gave the (\w+)", None, 0, None, 0),
        (r"who received the (\w+)", None, 0, None, 2),
    ):
        if words := read(pattern, question):
            wanted = [None if place is None else words[place] for place in (giver, thing, taker)]
            gifts = Hands(story, whole).gifts
            fits = [gift for gift in gifts if all(w in (None, g) for w, g in zip(wanted, gift, strict=True))]
            assert len(fits) == 1, question
            return fits[0][asked]
    raise AssertionError(question)


def how_many(story: Sequence[str], question: str, whole: bool) -> str:
    """Task 7."""
    held = Hands(story, whole).holds[must(r"how many things is (\w+) carrying", question)[0]]
    return ["none", "one", "two", "three"][len(held)]


def which(story: Sequence[str], question: str, whole: bool) -> str:
    """Task 8."""
    held = Hands(story, whole).holds[must(r"what is (\w+) carrying", question)[0]]
    return ",".join(sorted(held)) or "nothing"


def denied(story: Sequence[str], question: str, whole: bool) -> str:
    """Task 9; a question that the story leaves open is an error."""
    where: dict[str, str] = {}
    never: dict[str, set[str]] = defaultdict(set)
    for text in story:
        if found := read(r"(\w+) is no longer in the (\w+)", text):
            person, room = found
            assert not whole or where.get(person) == room, text
            where.pop(person, None)
            never[person] = {room}
        elif found := read(r"(\w+) is not in the (\w+)", text):
            person, room = found
            assert person not in where, text
            assert room not in never[person], text
            never[person].add(room)
        elif found := read(r"(\w+) is in the (\w+)", text):
            person, room = found
            assert person not in where, text
            assert room not in never[person], text
            where[person] = room
        else:
            person, room = must(rf"(\w+) {WALK} to the (\w+)", text)
            assert where.get(person) != room, text
            where[person] = room
            never.pop(person, None)
    person, room = must(r"is (\w+) in the (\w+)", question)
    if person in where:
        return "yes" if where[person] == room else "no"
    assert room in never[person], "open"
    return "no"


def perhaps(story: Sequence[str], question: str, whole: bool) -> str:
    """Task 10."""
    may_be: dict[str, set[str]] = {}
    for text in story:
        if found := read(r"(\w+) is (?:either )?in the (\w+)(?: or in the (\w+))?", text):
            person, *told = found
            now = set(told) - {""}
            assert person not in may_be or now < may_be[person], text
        else:
            person, *told = must(rf"(\w+) {WALK} (?:either )?to the (\w+)(?: or to the (\w+))?", text)
            now = set(told) - {""}
            assert not now & may_be.get(person, set()), text
        assert len(now) == 1 + ("either" in text.split()), text
        may_be[person] = now
    person, room = must(r"is (\w+) in the (\w+)", question)
    return "no" if room not in may_be[person] else "yes" if len(may_be[person]) == 1 else "maybe"


def day_before(story: Sequence[str], question: str, whole: bool) -> str:
    """Task 14."""
    person, asked = must(r"where was (\w+) before the (\w+)", question)
    visits: dict[tuple[str, int], str] = {}
    for text in story:
        first, who, room, last = must(rf"(?:on (\w+) )?(\w+) {WALK} to the (\w+)(?: on (\w+))?", text)
        assert bool(first) != bool(last), text
        day = WEEK.index(first or last)
        assert (who, day) not in visits, text
        visits[who, day] = room
    own = [visits[who, day] for who, day in sorted(visits) if who == person]
    assert own.index(asked) > 0
    assert own.count(asked) == 1
    return own[own.index(asked) - 1]
