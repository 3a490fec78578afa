"""The simulation of bAbI: answers by an independent reader, supports that suffice, splits apart, sizes as asked."""

import functools
import hashlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from seqtrain.config.allow import build
from seqtrain.config.compose import compose
from seqtrain.data.babi_sim import BabiSim
from seqtrain.data.corpora.questions import Question
from seqtrain.data.world.generator import KINDS, generate, preflight
from seqtrain.errors import UserError
from tests.data.world_solvers import SOLVERS

TASKS = range(1, 21)
FACTS = {1: 1, 2: 2, 3: 3, 4: 1, 5: 1, 6: 1, 9: 1, 10: 1, 11: 2, 12: 1, 13: 2, 14: 2, 15: 2, 16: 3, 17: 2, 18: 2}
FACTS |= {19: 2, 20: 1}
ANSWERS = {6: {"yes": 1 / 2, "no": 1 / 2}, 10: {"yes": 1 / 3, "no": 1 / 3, "maybe": 1 / 3}}
ANSWERS |= {9: ANSWERS[6], 17: ANSWERS[6], 18: ANSWERS[6]}


@functools.cache
def some(task: int) -> list[Question]:
    return generate(task=task, split="train", size=300, seed=task)


def solved(question: Question, *, supports_alone: bool = False) -> str:
    places = sorted(question.supports) if supports_alone else range(len(question.story))
    story = [" ".join(question.story[place]) for place in places]
    return SOLVERS[question.task](story, " ".join(question.question), not supports_alone)


def check(questions: list[Question]) -> None:
    for q in questions:
        shown = "\n".join(" ".join(sentence) for sentence in (*q.story, q.question))
        assert solved(q) == q.answer, shown
        assert solved(q, supports_alone=True) == q.answer, f"{shown} {q.supports}"
        assert len(set(q.supports)) == len(q.supports) == FACTS.get(q.task, len(q.supports)) >= 1
        assert all(0 <= place < len(q.story) for place in q.supports)


@pytest.mark.parametrize("task", TASKS)
def test_an_independent_reader_gives_the_answers_also_from_the_supports_alone(task: int) -> None:
    questions = some(task)
    check(questions)
    low, high = KINDS[task].usual
    assert {len(q.story) for q in questions} == set(range(low, high + 1))
    assert {q.task for q in questions} == {task}


@pytest.mark.parametrize("task", TASKS)
def test_the_shortest_and_the_longest_stories(task: int) -> None:
    for length in KINDS[task].allowed:
        for split in ("train", "val", "test"):
            found = generate(task=task, split=split, size=3, seed=1, min_length=length, max_length=length)
            check(found)
            assert {len(q.story) for q in found} == {length}


@pytest.mark.parametrize("task", [task for task in TASKS if task not in (7, 8, 11, 13)])
def test_no_supporting_sentence_can_be_left_out(task: int) -> None:
    """But where a thing was taken and put down again, and where somebody came back to where he was named."""
    for q in some(task)[:30]:
        for place in q.supports:
            left = [" ".join(q.story[p]) for p in sorted(q.supports) if p != place]
            try:
                answer = SOLVERS[task](left, " ".join(q.question), False)
            except (AssertionError, KeyError, IndexError, ValueError):
                continue
            assert answer != q.answer


@pytest.mark.parametrize("task", TASKS)
def test_answers_are_spread(task: int) -> None:
    counts = Counter(q.answer for q in some(task))
    size = len(some(task))
    if task in ANSWERS:
        assert set(counts) == set(ANSWERS[task])
        assert all(counts[answer] / size == pytest.approx(share, abs=0.1) for answer, share in ANSWERS[task].items())
    elif task == 7:
        assert set(counts) == {"none", "one", "two", "three"}
        assert max(counts.values()) < 0.5 * size
    else:
        assert max(counts.values()) < (0.4 if task == 8 else 0.3) * size
        assert len(counts) >= 6


@pytest.mark.parametrize(("task", "answers"), [(8, 1 + 6 + 15 + 20), (19, 4 * 3)])
def test_lists_and_paths_of_long_stories_are_known_from_training(task: int, answers: int) -> None:
    train = {q.answer for q in generate(task=task, split="train", size=1500, seed=1)}
    assert len(train) == answers
    assert {q.answer for q in generate(task=task, split="test", size=20, seed=1, max_length=20)} <= train


@pytest.mark.parametrize("task", [1, 4, 20])
def test_splits_are_disjoint_whatever_seeds_and_lengths(task: int) -> None:
    """Stories as short as can be, of which most that exist are drawn."""
    low, _ = KINDS[task].allowed
    made = [
        {(q.story, q.question) for q in generate(task=task, split=split, size=size, seed=seed, max_length=low + 1)}
        for split, size, seed in (("train", 500, 1), ("val", 60, 1), ("test", 60, 2))
    ]
    assert len(set.union(*made)) == sum(map(len, made))
    assert len(set.union(*made)) > 300


def test_the_same_in_every_process_without_torch() -> None:
    code = """
import hashlib, sys
from seqtrain.data.world.generator import generate, preflight
preflight(needed=["train"], task="all", test_max_length=23)
for task in range(1, 21):
    print(hashlib.sha256(repr(generate(task=task, split="val", size=20, seed=3)).encode()).hexdigest())
assert not {"torch", "pytorch_lightning"} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True
    )
    here = [
        hashlib.sha256(repr(generate(task=task, split="val", size=20, seed=3)).encode()).hexdigest() for task in TASKS
    ]
    assert done.stdout.split() == here
    whole = hashlib.sha256(" ".join(here).encode()).hexdigest()[:12]
    assert whole == "c880cedb967f"  # a change of what is generated is a change of the data
    assert generate(task=1, split="val", size=20, seed=4) != generate(task=1, split="val", size=20, seed=3)


def test_the_examples_of_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "data" / "babi_sim.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^### (\d+) .+\n\n((?: {4}.+\n)+)", page, re.MULTILINE)
    assert [int(task) for task, _ in blocks] == list(TASKS)
    for task, block in blocks:
        *lines, asked = block.splitlines()
        story = tuple(tuple(line.split()[1:]) for line in lines)
        question, answer, supports = re.split(r"\? +| +(?=\d)", asked.strip(), maxsplit=2)
        places = tuple(int(number) - 1 for number in supports.split())
        check([Question(story, tuple(question.split()), answer, places, task=int(task))])


def test_the_data_module(tmp_path: Path) -> None:
    keys = {"size": 60, "val_size": 10, "test_size": 20, "max_length": 6, "test_min_length": 12, "test_max_length": 15}
    config = compose(["data=babi_sim", "data.task=[2,7]", *[f"data.{key}={value}" for key, value in keys.items()]])
    data: Any = build(config.data, "data", seed=1)
    data.setup()
    assert data.sizes == {"train": 120, "val": 20, "test": 40}
    assert set(data.attributes("test")["task"]) == {2, 7}
    for split, low, high in (("train", 4, 6), ("val", 4, 6), ("test", 12, 15)):
        assert set(data.attributes(split)["sentences"]) == set(range(low, high + 1))
    batch = data.collate("test", data.attributes("test")["sentences"].argsort()[:5])
    assert batch.story.shape[:2] == (5, 12)
    assert (batch.supports >= 0).any(1).all()
    assert 0.3 < data.majority_error("test") < 0.95
    again: Any = BabiSim(task=[2, 7], **keys, seed=9)  # the run's seed is not the data's
    again.setup()
    assert (again.fingerprint, again.task) == (data.fingerprint, data.task)
    other: Any = BabiSim(task=[2, 7], **keys, corpus_seed=2, seed=1)
    other.setup()
    assert other.fingerprint != data.fingerprint


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"task": 4, "max_length": 24}, r"babi_sim, task 4: max_length = 24 is out of range\n  Allowed are 2 to 23"),
        ({"task": [1, 3], "min_length": 2}, r"task 3: min_length = 2 is out of range\n  Allowed are 3 to 200"),
        ({"task": "all", "test_max_length": 24}, r"task 4: test_max_length = 24 is out of range"),
        ({"test_min_length": 9, "test_max_length": 8}, r"test_max_length = 8 is out of range\n  Allowed are 9 to 200"),
        ({"task": []}, "no task"),
    ],
)
def test_the_configuration_is_refused_with_the_range(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        preflight(needed=["train"], **values)
    with pytest.raises(UserError, match=message):
        BabiSim(**values, seed=1)


def test_a_split_that_there_is_not_is_refused() -> None:
    with pytest.raises(UserError, match="there is no split 'dev'"):
        generate(task=1, split="dev", size=1, seed=1)
