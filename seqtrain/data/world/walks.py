"""Tasks 1, 6, 11, 12, 13 and 14: people who walk, alone or in pairs, named or not, in any order of the days."""

from seqtrain.data.world.engine import Dice, Draft, elsewhere
from seqtrain.data.world.words import DAYS, PEOPLE, ROOMS, SHE, THEN, WALKED

CAST = 4
"""People in a story."""

Found = dict[str, tuple[str, tuple[int, ...]]]
"""Person to room, and the sentences that tell it."""


def _walk(dice: Dice, length: int, *, pairs: bool = False, pronouns: bool = False) -> tuple[list[str], Found]:
    people = dice.some(PEOPLE, CAST)
    sentences: list[str] = []
    found: Found = {}
    group: list[str] = []
    named = 0
    for line in range(length):
        again = pronouns and line > 0 and dice.chance()
        if not again:
            group, named = dice.some(people, 2 if pairs else 1), line
        left = {found[person][0] for person in group if person in found}
        room = dice.one([room for room in ROOMS if room not in left])
        if again:
            pronoun = "they" if pairs else "she" if group[0] in SHE else "he"
            sentences.append(dice.one(THEN).format(pronoun, dice.one(WALKED), room))
        else:
            sentences.append(f"{' and '.join(group)} {dice.one(WALKED)} to the {room}")
        for person in group:
            found[person] = (room, (named, line) if again else (line,))
    return sentences, found


def _where_is(dice: Dice, sentences: list[str], found: Found, *, facts: int) -> Draft | None:
    """Asks for somebody whose room so many sentences tell."""
    people = [person for person, (_, lines) in found.items() if len(lines) == facts]
    if not people:
        return None
    person = dice.one(people)
    room, lines = found[person]
    return Draft(sentences, f"where is {person}", room, lines)


def one_fact(dice: Dice, length: int) -> Draft | None:
    """Task 1: where is somebody?"""
    return _where_is(dice, *_walk(dice, length), facts=1)


def yes_or_no(dice: Dice, length: int) -> Draft | None:
    """Task 6: is somebody in this room?"""
    sentences, found = _walk(dice, length)
    person = dice.one(list(found))
    room, lines = found[person]
    if dice.chance():
        return Draft(sentences, f"is {person} in the {room}", "yes", lines)
    other = elsewhere(dice, [room], ROOMS, sentences)
    return Draft(sentences, f"is {person} in the {other}", "no", lines)


def coreference(dice: Dice, length: int) -> Draft | None:
    """Task 11: she and he are whom the sentence before is about."""
    return _where_is(dice, *_walk(dice, length, pronouns=True), facts=2)


def conjunction(dice: Dice, length: int) -> Draft | None:
    """Task 12: two people walk together."""
    return _where_is(dice, *_walk(dice, length, pairs=True), facts=1)


def compound_coreference(dice: Dice, length: int) -> Draft | None:
    """Task 13: they are the two whom the sentence before is about."""
    return _where_is(dice, *_walk(dice, length, pairs=True, pronouns=True), facts=2)


def time_order(dice: Dice, length: int) -> Draft | None:
    """Task 14: where was somebody on the last day before he was in a room? Days of a week in any order.

    Nobody is in one room twice, so the question has one answer.
    """
    fewest = -(-length // len(DAYS))
    people = dice.some(PEOPLE, dice.between(fewest, max(fewest, min(CAST, length // 2))))
    plans = {person: dice.some(ROOMS, len(DAYS)) for person in people}
    told = dice.some([(person, day) for person in people for day in range(len(DAYS))], length)
    sentences = []
    for person, day in told:
        walk = f"{person} {dice.one(WALKED)} to the {plans[person][day]}"
        sentences.append(f"on {DAYS[day]} {walk}" if dice.chance() else f"{walk} on {DAYS[day]}")
    person = dice.one([person for person in people if sum(p == person for p, _ in told) > 1])
    days = sorted(day for p, day in told if p == person)
    late = dice.between(1, len(days) - 1)
    before, after = (plans[person][days[place]] for place in (late - 1, late))
    lines = (told.index((person, days[late])), told.index((person, days[late - 1])))
    return Draft(sentences, f"where was {person} before the {after}", before, lines)
