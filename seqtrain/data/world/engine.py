"""What the tasks share: random choices, a story with its question, and a house in which things happen."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from seqtrain.data.generating import Draws
from seqtrain.data.world.words import GAVE, PUT, TOOK, WALKED

T = TypeVar("T")
DRAWN_AT_ONCE = 4096
MOST_CARRIED = 3


class Dice:
    """Random choices one by one, the same on every machine.

    Args:
        name: what the numbers are for, see `Draws`.
    """

    def __init__(self, *name: str | int) -> None:
        self._draws = Draws(*name)
        self._ready: list[float] = []

    def _uniform(self) -> float:
        if not self._ready:
            self._ready = self._draws.uniform(DRAWN_AT_ONCE).tolist()
        return self._ready.pop()

    def chance(self, probability: float = 0.5) -> bool:
        """True with a probability."""
        return self._uniform() < probability

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self._uniform() * (high - low + 1))

    def one(self, options: Sequence[T]) -> T:
        """One of some options, of which there is one at least."""
        return options[int(self._uniform() * len(options))]

    def some(self, options: Sequence[T], count: int) -> list[T]:
        """So many different ones of the options, in any order."""
        left = list(options)
        return [left.pop(int(self._uniform() * len(left))) for _ in range(count)]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """All options in any order."""
        return self.some(options, len(options))


class Draft(NamedTuple):
    """A story with a question about it.

    Attributes:
        story: sentences in small letters, without full stops.
        question: without its question mark.
        answer: several joined by commas.
        supports: places in the story of the sentences that the answer follows from, in the order of the inference.
    """

    story: list[str]
    question: str
    answer: str
    supports: tuple[int, ...]


class Event(NamedTuple):
    """What one sentence tells: `actor` moves to `place`, or takes, drops or gives (`to` somebody) a thing there."""

    verb: str
    actor: str
    place: str
    thing: str = ""
    to: str = ""


def elsewhere(dice: Dice, here: Sequence[str], rooms: Sequence[str], story: Sequence[str]) -> str:
    """A room that is none of those here, and one that the story names if there is such a one."""
    others = [room for room in rooms if room not in here]
    told = " ".join(story).split()
    return dice.one([room for room in others if room in told] or others)


class House:
    """People who walk from room to room, and take, drop and give what is there.

    Only what can be is done: nobody walks to where he is, things are taken where they were put, and given to people in
    the same room; where an actor is, is known before he handles anything. A thing that was never seen can be anywhere.

    Args:
        dice: random choices.
        actors: who is there; where they are is unknown before they move.
        rooms: where they can go.
        things: what they can take.

    Attributes:
        sentences: the story so far.
        log: what happened, one event a sentence.
        room: actor to room.
    """

    def __init__(self, dice: Dice, *, actors: Sequence[str], rooms: Sequence[str], things: Sequence[str]) -> None:
        self.dice, self.actors, self.rooms, self.things = dice, actors, rooms, things
        self.sentences: list[str] = []
        self.log: list[Event] = []
        self.room: dict[str, str] = {}
        self._holder: dict[str, str] = {}
        self._lies: dict[str, str] = {}

    def live(self, length: int, verbs: Sequence[str]) -> None:
        """Lets so many events happen.

        Args:
            length: how many.
            verbs: move, take, drop and give, as often as they are to be tried; where one is impossible, somebody moves.
        """
        for _ in range(length):
            verb = self.dice.one(verbs)
            possible = getattr(self, f"_{verb}s")() or self._moves()
            self._happen(self.dice.one(possible))

    def _moves(self) -> list[Event]:
        actor = self.dice.one(self.actors)
        return [Event("move", actor, place) for place in self.rooms if place != self.room.get(actor)]

    def _takes(self) -> list[Event]:
        return [
            Event("take", actor, room, thing)
            for actor, room in self.room.items()
            if self._has_a_hand(actor)
            for thing in self.things
            if thing not in self._holder and self._lies.get(thing, room) == room
        ]

    def _drops(self) -> list[Event]:
        return [Event("drop", actor, self.room[actor], thing) for thing, actor in self._holder.items()]

    def _gives(self) -> list[Event]:
        """What can be given; if nothing, how somebody can come to one who holds something."""
        others = [
            (thing, actor, other)
            for thing, actor in self._holder.items()
            for other in self.actors
            if other != actor and self._has_a_hand(other)
        ]
        gives = [
            Event("give", actor, self.room[actor], thing, to=other)
            for thing, actor, other in others
            if self.room.get(other) == self.room[actor]
        ]
        return gives or [Event("move", other, self.room[actor]) for _, actor, other in others]

    def _has_a_hand(self, actor: str) -> bool:
        return sum(holder == actor for holder in self._holder.values()) < MOST_CARRIED

    def _happen(self, event: Event) -> None:
        _, actor, place, thing, to = event
        one = self.dice.one
        if event.verb == "move":
            self.room[actor] = place
            text = f"{actor} {one(WALKED)} to the {place}"
        elif event.verb == "take":
            self._holder[thing] = actor
            self._lies.pop(thing, None)
            text = f"{actor} {one(TOOK)} the {thing}"
        elif event.verb == "drop":
            del self._holder[thing]
            self._lies[thing] = place
            text = f"{actor} {one(PUT)} the {thing}"
        else:
            self._holder[thing] = to
            text = f"{actor} {one(GAVE)} the {thing} to {to}"
        self.log.append(event)
        self.sentences.append(text)
