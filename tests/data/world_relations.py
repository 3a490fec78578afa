"""Solvers of the tasks about what kinds, colours, places, sizes and moods imply: 4 and 15 to 20."""

from collections import defaultdict
from collections.abc import Sequence

from tests.data.world_reading import WALK, must, read

ONE = {"mice": "mouse", "geese": "goose", "wolves": "wolf", "foxes": "fox", "lynxes": "lynx"}
MOODS = {
    "bored": ("courtyard", "a ball"),
    "cold": ("parlour", "a blanket"),
    "curious": ("library", "a book"),
    "hungry": ("bakery", "a roll"),
    "thirsty": ("fountain", "a cup"),
    "tired": ("attic", "a pillow"),
}


def afraid(story: Sequence[str], question: str, whole: bool) -> str:
    """Task 15."""
    kind: dict[str, str] = {}
    fears: dict[str, str] = {}
    for text in story:
        if found := read(r"(\w+) are afraid of (\w+)", text):
            one, other = (ONE.get(word, word.removesuffix("s")) for word in found)
            assert one != other, text
            assert one not in fears, text
            fears[one] = other
        else:
            name, animal = must(r"(\w+) is an? (\w+)", text)
            assert name not in kind, text
            kind[name] = animal
    return fears[kind[must(r"what is (\w+) afraid of", question)[0]]]


def colour(story: Sequence[str], question: str, whole: bool) -> str:
    """Task 16; a kind of two colours is an error."""
    kind: dict[str, str] = {}
    coloured: dict[str, str] = {}
    for text in story:
        if found := read(r"(\w+) is an? (\w+)", text):
            assert found[0] not in kind, text
            kind[found[0]] = found[1]
        else:
            name, shade = must(r"(\w+) is (\w+)", text)
            assert name not in coloured, text
            coloured[name] = shade
    shades: dict[str, set[str]] = defaultdict(set)
    for name, shade in coloured.items():
        shades[kind[name]].add(shade)
    assert all(len(found) == 1 for found in shades.values())
    asked = must(r"what colour is (\w+)", question)[0]
    assert asked not in coloured
    (answer,) = shades[kind[asked]]
    return answer


def squares(story: Sequence[str], pattern: str, steps: dict[str, complex]) -> dict[str, complex]:
    """Where everything is that can be reached from the first thing: all of it, one on every square."""
    told = [must(pattern, text) for text in story]
    assert len({frozenset((a, b)) for a, _, b in told}) == len(told)
    at = {told[0][0]: 0j}
    for _ in told:
        for a, step, b in told:
            if a in at:
                assert at.setdefault(b, at[a] - steps[step]) == at[a] - steps[step], (a, step, b)
            elif b in at:
                at[a] = at[b] + steps[step]
    assert {name for a, _, b in told for name in (a, b)} == set(at)
    assert len(set(at.values())) == len(at)
    return at


COMPASS = {"north": 1j, "south": -1j, "east": 1 + 0j, "west": -1 + 0j}
TOLD = r"the (\w+) is (north|south|east|west) of the (\w+)"


def beside(story: Sequence[str], question: str, whole: bool) -> str:
    """Task 4."""
    at = squares(story, TOLD, COMPASS)
    if found := read(r"what is (\w+) of the (\w+)", question):
        square = at[found[1]] + COMPASS[found[0]]
    else:
        name, wind = must(r"what is the (\w+) (\w+) of", question)
        square = at[name] - COMPASS[wind]
    (answer,) = [name for name, place in at.items() if place == square]
    return answer


def path(story: Sequence[str], question: str, whole: bool) -> str:
    """Task 19; another way that is as short is an error."""
    at = squares(story, TOLD, COMPASS)
    start, end = must(r"how do you walk from the (\w+) to the (\w+)", question)
    squares_taken = set(at.values())
    ways = [
        f"{first},{second}"
        for first, one in COMPASS.items()
        for second, two in COMPASS.items()
        if at[start] + one + two == at[end] and at[start] + one in squares_taken
    ]
    (answer,) = ways
    places = {place: name for name, place in at.items()}
    middle = places[at[start] + COMPASS[answer.split(",")[0]]]
    told = {frozenset((a, b)) for a, _, b in (must(TOLD, text) for text in story)}
    assert {frozenset((start, middle)), frozenset((middle, end))} <= told
    return answer


def side(story: Sequence[str], question: str, whole: bool) -> str:
    """Task 17."""
    steps = {"above": 1j, "below": -1j, "to the right of": 1 + 0j, "to the left of": -1 + 0j}
    sides = "|".join(steps)
    at = squares(story, rf"the (\w+ \w+) is ({sides}) the (\w+ \w+)", steps)
    one, asked, other = must(rf"is the (\w+ \w+) ({sides}) the (\w+ \w+)", question)
    away = at[one] - at[other]
    along = away.real * steps[asked].real + away.imag * steps[asked].imag
    assert along != 0
    return "yes" if along > 0 else "no"


def bigger(story: Sequence[str], question: str, whole: bool) -> str:
    """Task 18; sizes that go in a circle, and things that cannot be compared, are errors."""
    smaller: dict[str, set[str]] = defaultdict(set)
    for text in story:
        if found := read(r"the (\w+) is bigger than the (\w+)", text):
            big, small = found
        else:
            small, big = must(r"the (\w+) fits inside the (\w+)", text)
        assert small not in smaller[big], text
        smaller[big].add(small)

    def below(thing: str, above: tuple[str, ...] = ()) -> set[str]:
        assert thing not in above
        return smaller[thing].union(*(below(small, (*above, thing)) for small in list(smaller[thing])))

    if found := read(r"is the (\w+) bigger than the (\w+)", question):
        big, small = found
    else:
        small, big = must(r"does the (\w+) fit inside the (\w+)", question)
    assert (small in below(big)) != (big in below(small))
    return "yes" if small in below(big) else "no"


def why(story: Sequence[str], question: str, whole: bool) -> str:
    """Task 20."""
    moods: dict[str, list[str]] = defaultdict(list)
    done: dict[str, int] = defaultdict(int)
    for text in story:
        if found := read(rf"(\w+) is ({'|'.join(MOODS)})", text):
            person, mood = found
            assert done[person] % 3 == 0, text
            assert mood not in moods[person], text
            moods[person].append(mood)
        elif found := read(rf"(\w+) {WALK} to the (\w+)", text):
            person, place = found
            assert done[person] % 3 == 1, text
            assert MOODS[moods[person][-1]][0] == place, text
        else:
            person, thing = must(r"(\w+) took (a \w+)", text)
            assert done[person] % 3 == 2, text
            assert MOODS[moods[person][-1]][1] == thing, text
        done[person] += 1
    if found := read(r"where will (\w+) go", question):
        assert done[found[0]] % 3 == 1
        return MOODS[moods[found[0]][-1]][0]
    person, place, thing = must(r"why did (\w+) (?:go to the (\w+)|take (a \w+))", question)
    (answer,) = [mood for mood in moods[person] if MOODS[mood][0] == place or MOODS[mood][1] == thing]
    return answer
