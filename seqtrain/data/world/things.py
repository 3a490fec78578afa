"""Tasks 2, 3, 5, 7 and 8: things that people take, drop and give, and where they get to by that."""

from collections import Counter
from collections.abc import Callable, Sequence

from seqtrain.data.world.engine import Dice, Draft, House
from seqtrain.data.world.words import PEOPLE, ROOMS, THINGS

NUMBERS = ("none", "one", "two", "three")


def _carried(dice: Dice, length: int) -> House:
    """Few things that go a long way."""
    house = House(dice, actors=dice.some(PEOPLE, 3), rooms=ROOMS, things=dice.some(THINGS, 2))
    house.live(length, ("move", "move", "take", "drop"))
    return house


def _passed_on(dice: Dice, length: int, *, verbs: Sequence[str]) -> House:
    """Many things in few rooms, where people meet."""
    house = House(dice, actors=dice.some(PEOPLE, 3), rooms=dice.some(ROOMS, 3), things=dice.some(THINGS, 5))
    house.live(length, verbs)
    return house


def two_facts(dice: Dice, length: int) -> Draft | None:
    """Task 2: where is a thing? Who has or had it, and where that person is or was then."""
    house = _carried(dice, length)
    moves: dict[str, int] = {}
    handled: dict[str, tuple[int, int]] = {}
    for line, event in enumerate(house.log):
        if event.verb == "move":
            moves[event.actor] = line
        else:
            handled[event.thing] = (line, moves[event.actor])
    if not handled:
        return None
    thing = dice.one(list(handled))
    line, move = handled[thing]
    event = house.log[line]
    if event.verb == "take":
        move = moves[event.actor]
    return Draft(house.sentences, f"where is the {thing}", house.log[move].place, (line, move))


def three_facts(dice: Dice, length: int) -> Draft | None:
    """Task 3: where was a thing before a room? Asked of rooms that it was in once.

    Whoever brought it there took it, came to that room, and was in another one before.
    """
    house = _carried(dice, length)
    moves: dict[str, int] = {}
    taken: dict[str, tuple[str, int]] = {}
    been: dict[str, list[str]] = {}
    asked: dict[tuple[str, str], tuple[int, int, int]] = {}
    for line, event in enumerate(house.log):
        if event.verb == "take":
            taken[event.thing] = (event.actor, line)
            been.setdefault(event.thing, [event.place])
        elif event.verb == "drop":
            del taken[event.thing]
        else:
            for thing, (actor, since) in taken.items():
                if actor == event.actor:
                    been[thing].append(event.place)
                    asked[thing, event.place] = (since, line, moves[actor])
            moves[event.actor] = line
    once = [(thing, room) for thing, room in asked if been[thing].count(room) == 1]
    if not once:
        return None
    thing, room = dice.one(once)
    lines = asked[thing, room]
    return Draft(house.sentences, f"where was the {thing} before the {room}", house.log[lines[2]].place, lines)


def three_arguments(dice: Dice, length: int) -> Draft | None:
    """Task 5: who gave what to whom? Asked so that only one event fits."""
    house = _passed_on(dice, length, verbs=("move", "take", "give", "give", "drop"))
    asked: dict[str, list[tuple[str, str, int]]] = {}
    for line, event in enumerate(house.log):
        if event.verb == "give":
            giver, thing, taker = event.actor, event.thing, event.to
            for form, question, answer in (
                ("what", f"what did {giver} give to {taker}", thing),
                ("whom", f"who did {giver} give the {thing} to", taker),
                ("who to", f"who gave the {thing} to {taker}", giver),
                ("who", f"who gave the {thing}", giver),
                ("received", f"who received the {thing}", taker),
            ):
                asked.setdefault(form, []).append((question, answer, line))
    fits = Counter(question for form in asked.values() for question, _, _ in form)
    forms = [[q for q in form if fits[q[0]] == 1] for form in asked.values()]
    forms = [form for form in forms if form]
    if not forms:
        return None
    question, answer, line = dice.one(dice.one(forms))
    return Draft(house.sentences, question, answer, (line,))


def _holdings(house: House) -> dict[str, tuple[list[str], list[int]]]:
    """Actor to what he holds, and the sentences that it follows from: all since he last held nothing."""
    held: dict[str, tuple[list[str], list[int]]] = {}
    for line, event in enumerate(house.log):
        gains = event.to or (event.actor if event.verb == "take" else "")
        loses = event.actor if event.verb in ("drop", "give") else ""
        if gains:
            things, lines = held.setdefault(gains, ([], []))
            if not things:
                lines.clear()
            things.append(event.thing)
            lines.append(line)
        if loses:
            things, lines = held[loses]
            things.remove(event.thing)
            if not things:
                lines.clear()
            lines.append(line)
    return held


def _one_who_holds(dice: Dice, house: House) -> tuple[str, list[str], list[int]] | None:
    """Somebody who holds, or held, something: every number of things as likely as any other that there is."""
    by_number: dict[int, list[tuple[str, list[str], list[int]]]] = {}
    for actor, (things, lines) in _holdings(house).items():
        by_number.setdefault(len(things), []).append((actor, things, lines))
    return dice.one(dice.one(list(by_number.values()))) if by_number else None


def counting(dice: Dice, length: int) -> Draft | None:
    """Task 7: how many things does somebody carry?"""
    return _carrying(dice, length, "how many things is {} carrying", lambda things: NUMBERS[len(things)])


def lists(dice: Dice, length: int) -> Draft | None:
    """Task 8: what does somebody carry? A list in the order of the alphabet."""
    return _carrying(dice, length, "what is {} carrying", lambda things: ",".join(sorted(things)) or "nothing")


def _carrying(dice: Dice, length: int, question: str, answer: Callable[[list[str]], str]) -> Draft | None:
    house = _passed_on(dice, length, verbs=("move", "take", "take", "take", "give", "drop"))
    found = _one_who_holds(dice, house)
    if found is None:
        return None
    actor, things, lines = found
    return Draft(house.sentences, question.format(actor), answer(things), tuple(lines))
