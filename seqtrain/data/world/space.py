"""Tasks 4, 17 and 19: places and shapes on a grid of squares, told by who is beside whom."""

from collections.abc import Sequence

from seqtrain.data.world.engine import Dice, Draft
from seqtrain.data.world.words import COLOURS, PLACES, SHAPES

WINDS = {"north": (0, 1), "south": (0, -1), "east": (1, 0), "west": (-1, 0)}
SIDES = {"above": (0, 1), "below": (0, -1), "to the right of": (1, 0), "to the left of": (-1, 0)}
SHAPE_NAMES = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)

Square = tuple[int, int]


class Grid:
    """Some names on squares of their own, each but the first beside one that was there before.

    Args:
        dice: random choices.
        names: two or more.
        steps: direction to its step on the grid.

    Attributes:
        relations: (one, direction, other): one is a step in that direction from the other; in any order.
    """

    def __init__(self, dice: Dice, names: Sequence[str], steps: dict[str, Square]) -> None:
        self.square: dict[str, Square] = {names[0]: (0, 0)}
        self._direction = {step: name for name, step in steps.items()}
        taken = {(0, 0)}
        relations = []
        for name in names[1:]:
            while True:
                other = dice.one(list(self.square))
                (x, y), (dx, dy) = self.square[other], steps[dice.one(list(steps))]
                if (x + dx, y + dy) not in taken:
                    break
            self.square[name] = (x + dx, y + dy)
            taken.add(self.square[name])
            one, other = (name, other) if dice.chance() else (other, name)
            relations.append((one, self.direction(one, other), other))
        self.taken = taken
        self.relations = dice.shuffled(relations)
        self._line = {frozenset((one, other)): line for line, (one, _, other) in enumerate(self.relations)}

    def direction(self, one: str, other: str) -> str:
        """In which direction from the other one, beside it, the one is."""
        (x, y), (x0, y0) = self.square[one], self.square[other]
        return self._direction[x - x0, y - y0]

    def two_steps(self) -> list[tuple[str, str, str]]:
        """All (one, between, other) where the story tells that both are beside the one between."""
        beside: dict[str, list[str]] = {}
        for one, _, other in self.relations:
            beside.setdefault(one, []).append(other)
            beside.setdefault(other, []).append(one)
        return [(a, between, b) for between, near in beside.items() for a in near for b in near if a != b]

    def lines(self, one: str, between: str, other: str) -> tuple[int, int]:
        """Which relations lead from one over the one between to the other."""
        return self._line[frozenset((one, between))], self._line[frozenset((between, other))]


def two_arguments(dice: Dice, length: int) -> Draft | None:
    """Task 4: what is north of a place, or of what is it north? Of as it is told, or the other way round."""
    grid = Grid(dice, dice.some(PLACES, length + 1), WINDS)
    line = dice.between(0, length - 1)
    one, _, other = grid.relations[line]
    if dice.chance():
        one, other = other, one
    if dice.chance():
        question, answer = f"what is {grid.direction(one, other)} of the {other}", one
    else:
        question, answer = f"what is the {one} {grid.direction(one, other)} of", other
    return Draft([f"the {a} is {wind} of the {b}" for a, wind, b in grid.relations], question, answer, (line,))


def positions(dice: Dice, length: int) -> Draft | None:
    """Task 17: is one shape to the left of, to the right of, above or below another one, two steps away?"""
    grid = Grid(dice, dice.some(SHAPE_NAMES, length + 1), SIDES)
    one, between, other = dice.one(grid.two_steps())
    (x, y), (x0, y0) = grid.square[one], grid.square[other]
    right = [side for side, (dx, dy) in SIDES.items() if dx * (x - x0) > 0 or dy * (y - y0) > 0]
    wrong = [side for side, (dx, dy) in SIDES.items() if dx * (x - x0) < 0 or dy * (y - y0) < 0]
    answer = dice.chance()
    question = f"is the {one} {dice.one(right if answer else wrong)} the {other}"
    sentences = [f"the {a} is {side} the {b}" for a, side, b in grid.relations]
    return Draft(sentences, question, "yes" if answer else "no", grid.lines(one, between, other))


def paths(dice: Dice, length: int) -> Draft | None:
    """Task 19: which two steps lead from one place to another? Asked where no other two would."""
    grid = Grid(dice, dice.some(PLACES, length + 1), WINDS)
    ways = []
    for start, between, end in grid.two_steps():
        (x, y), (x0, y0), (x1, y1) = grid.square[start], grid.square[end], grid.square[between]
        if x == x0 or y == y0 or (x + x0 - x1, y + y0 - y1) not in grid.taken:
            ways.append((start, between, end))
    if not ways:
        return None
    start, between, end = dice.one(ways)
    path = f"{grid.direction(between, start)},{grid.direction(end, between)}"
    sentences = [f"the {a} is {wind} of the {b}" for a, wind, b in grid.relations]
    return Draft(sentences, f"how do you walk from the {start} to the {end}", path, grid.lines(start, between, end))
