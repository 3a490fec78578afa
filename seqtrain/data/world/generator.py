"""Questions about the simulated world: the twenty tasks of bAbI (Weston et al. 2015), in words of our own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from seqtrain.data.corpora.babi import numbers
from seqtrain.data.corpora.questions import Question
from seqtrain.data.generating import MOST_TRIES, belongs, check_range, check_split, nothing_left
from seqtrain.data.world import knowledge, rules, space, things, walks
from seqtrain.data.world.engine import Dice, Draft


class Kind(NamedTuple):
    """One of the twenty tasks.

    Attributes:
        name: what it asks for.
        draft: makes a story of so many sentences and a question; None if nothing can be asked of it.
        allowed: the fewest and the most sentences of a story.
        usual: the same where nothing else is said.
    """

    name: str
    draft: Callable[[Dice, int], Draft | None]
    allowed: tuple[int, int]
    usual: tuple[int, int]


KINDS: Mapping[int, Kind] = {
    1: Kind("one supporting fact", walks.one_fact, (1, 200), (2, 10)),
    2: Kind("two supporting facts", things.two_facts, (2, 200), (4, 16)),
    3: Kind("three supporting facts", things.three_facts, (3, 200), (5, 20)),
    4: Kind("two-argument relations", space.two_arguments, (1, 23), (2, 4)),
    5: Kind("three-argument relations", things.three_arguments, (4, 100), (6, 16)),
    6: Kind("yes/no questions", walks.yes_or_no, (1, 200), (2, 10)),
    7: Kind("counting", things.counting, (2, 200), (4, 16)),
    8: Kind("lists", things.lists, (2, 200), (4, 16)),
    9: Kind("negation", knowledge.negation, (1, 200), (2, 10)),
    10: Kind("indefinite knowledge", knowledge.indefinite, (2, 200), (2, 10)),
    11: Kind("coreference", walks.coreference, (2, 200), (2, 10)),
    12: Kind("conjunction", walks.conjunction, (1, 200), (2, 10)),
    13: Kind("compound coreference", walks.compound_coreference, (2, 200), (2, 10)),
    14: Kind("time", walks.time_order, (2, 40), (4, 12)),
    15: Kind("deduction", rules.deduction, (2, 24), (4, 10)),
    16: Kind("induction", rules.induction, (3, 31), (5, 11)),
    17: Kind("positions", space.positions, (2, 29), (2, 4)),
    18: Kind("sizes", rules.sizes, (2, 30), (3, 8)),
    19: Kind("paths", space.paths, (2, 23), (3, 6)),
    20: Kind("motives", rules.motives, (1, 60), (2, 12)),
}


def generate(
    *, task: int, split: str, size: int, seed: int, min_length: int | None = None, max_length: int | None = None
) -> list[Question]:
    """Questions of one task, each with a story of its own, the same for the same arguments on every machine.

    Args:
        task: 1 to 20.
        split: train, val or test; no story with its question of one split occurs in another, whatever the seeds and
            lengths.
        size: how many. Where there are few, some come more than once.
        seed: which.
        min_length: sentences of the shortest story; None: as is usual for the task.
        max_length: sentences of the longest one; all lengths between are as likely.

    Raises:
        UserError: for an unknown split, a length out of the task's range, or a split that nothing belongs to.
    """
    check_split("babi_sim", split)
    low, high = span(task, min_length, max_length)
    dice = Dice("babi_sim", task, split, seed)
    words: dict[str, tuple[str, ...]] = {}  # the same few sentences come again and again
    questions: list[Question] = []
    tries = 0
    length = dice.between(low, high)
    while len(questions) < size:
        tries += 1
        if tries > MOST_TRIES:
            raise nothing_left("babi_sim", split, f"story of task {task} with {low} to {high} sentences")
        draft = KINDS[task].draft(dice, length)
        if draft is None:
            continue  # with the same length: of short stories more are in vain
        length = dice.between(low, high)
        if not belongs("\n".join((*draft.story, draft.question)).encode(), split):
            continue
        story = tuple(words.get(text) or words.setdefault(text, tuple(text.split())) for text in draft.story)
        questions.append(Question(story, tuple(draft.question.split()), draft.answer, draft.supports, task=task))
        tries = 0
    return questions


def span(task: int, min_length: int | None, max_length: int | None, *, prefix: str = "") -> tuple[int, int]:
    """The fewest and the most sentences of a task's stories; `prefix` stands before the names of the lengths.

    Raises:
        UserError: with the range that the task allows.
    """
    (fewest, most), (low, high) = KINDS[task].allowed, KINDS[task].usual
    low = min_length or min(low, max_length or low)
    high = max_length or max(high, low)
    check_range(f"babi_sim, task {task}", f"{prefix}min_length", low, fewest, most)
    check_range(f"babi_sim, task {task}", f"{prefix}max_length", high, low, most)
    return low, high


def preflight(
    *,
    needed: Sequence[str],
    task: int | Sequence[int] | Literal["all"] = 1,
    min_length: int | None = None,
    max_length: int | None = None,
    test_min_length: int | None = None,
    test_max_length: int | None = None,
) -> None:
    """What a configuration shows by itself: lengths that a task has no stories of."""
    for number in numbers(task):
        span(number, min_length, max_length)
        span(number, *test_lengths(min_length, max_length, test_min_length, test_max_length), prefix="test_")


def test_lengths(
    min_length: int | None, max_length: int | None, test_min_length: int | None, test_max_length: int | None
) -> tuple[int | None, int | None]:
    """The lengths of test stories: those of training where neither is given."""
    if test_min_length is None and test_max_length is None:
        return min_length, max_length
    return test_min_length, test_max_length
