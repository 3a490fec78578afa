"""Tasks 9 and 10: people of whom it is told where they are not, or may be."""

from seqtrain.data.world.engine import Dice, Draft, elsewhere
from seqtrain.data.world.words import PEOPLE, ROOMS, WALKED

CAST = 3
MOST_DENIED = 3


def negation(dice: Dice, length: int) -> Draft | None:
    """Task 9: is somebody in a room, when it is told where he is, is not, or is no longer?"""
    people = dice.some(PEOPLE, CAST)
    sentences: list[str] = []
    known: dict[str, tuple[str, int]] = {}
    denied: dict[str, dict[str, int]] = {person: {} for person in people}
    for line in range(length):
        person = dice.one(people)
        room = dice.one([r for r in ROOMS if r not in denied[person] and r != known.get(person, ("",))[0]])
        if len(denied[person]) == MOST_DENIED or dice.chance():
            stays = person not in known and dice.chance()
            sentences.append(f"{person} is in the {room}" if stays else f"{person} {dice.one(WALKED)} to the {room}")
            known[person], denied[person] = (room, line), {}
        elif person in known:
            room, _ = known.pop(person)
            sentences.append(f"{person} is no longer in the {room}")
            denied[person] = {room: line}
        else:
            sentences.append(f"{person} is not in the {room}")
            denied[person][room] = line
    places = [(person, room, line) for person, (room, line) in known.items()]
    if not places:
        return None  # whichever the answer is to be, or there would be fewer that are yes
    if dice.chance():
        person, room, line = dice.one(places)
        return Draft(sentences, f"is {person} in the {room}", "yes", (line,))
    told = [(person, room, line) for person in people for room, line in denied[person].items()]
    told += [(person, elsewhere(dice, [room], ROOMS, sentences), line) for person, room, line in places]
    person, room, line = dice.one(told)
    return Draft(sentences, f"is {person} in the {room}", "no", (line,))


def indefinite(dice: Dice, length: int) -> Draft | None:
    """Task 10: is somebody in a room? Yes, no, or maybe, where one of two is all that is told."""
    people = dice.some(PEOPLE, CAST)
    sentences: list[str] = []
    may_be: dict[str, tuple[list[str], int]] = {}
    for line in range(length):
        person = dice.one(people)
        before, _ = may_be.get(person, ([], 0))
        first, second = dice.some([room for room in ROOMS if room not in before], 2)
        rooms = [first]
        if dice.chance():
            rooms = [first, second]
            text = f"{person} {dice.one(WALKED)} either to the {first} or to the {second}"
            if not before:
                text = f"{person} is either in the {first} or in the {second}"
        elif len(before) == 1 or dice.chance():
            text = f"{person} {dice.one(WALKED)} to the {first}"
        else:  # nothing is told yet, or one of two becomes certain
            rooms = [dice.one(before or rooms)]
            text = f"{person} is in the {rooms[0]}"
        sentences.append(text)
        may_be[person] = (rooms, line)
    certain = [person for person, (rooms, _) in may_be.items() if len(rooms) == 1]
    uncertain = [person for person in may_be if person not in certain]
    if not certain or not uncertain:
        return None  # one of the answers cannot be
    answer = dice.one(("yes", "no", "maybe"))
    person = dice.one({"yes": certain, "no": list(may_be), "maybe": uncertain}[answer])
    rooms, line = may_be[person]
    room = elsewhere(dice, rooms, ROOMS, sentences) if answer == "no" else dice.one(rooms)
    return Draft(sentences, f"is {person} in the {room}", answer, (line,))
