"""Bracket strings: well formed or not by an oracle, balanced in everything that can be counted."""

import random
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqtrain.data.brackets_generator import generate, well_bracketed
from seqtrain.errors import UserError

PAIRS = st.sampled_from(["()", "[]", "{}"])
WELL_FORMED = st.recursive(
    st.just(""),
    lambda inner: st.one_of(
        st.tuples(PAIRS, inner).map(lambda pair: pair[0][0] + pair[1] + pair[0][1]),
        st.tuples(inner, inner).map("".join),
    ),
    max_leaves=30,
)


def vanishes(text: str) -> bool:
    """The oracle: strike out neighbours that match until nothing changes."""
    before = ""
    while before != text:
        before, text = text, re.sub(r"\(\)|\[\]|\{\}", "", text)
    return not text


@pytest.fixture(scope="module")
def train() -> tuple[list[str], list[int]]:
    return generate(split="train", size=10_000, seed=1, min_length=10, max_length=40, max_depth=8)


@given(st.text(alphabet="()[]{}", max_size=12))
def test_checker_agrees_with_striking_out(text: str) -> None:
    assert well_bracketed(text) == vanishes(text)


@given(WELL_FORMED)
def test_checker_accepts_what_the_grammar_makes(text: str) -> None:
    assert well_bracketed(text)


@given(WELL_FORMED.filter(bool), st.data())
def test_checker_refuses_a_missing_bracket(text: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(text) - 1))
    assert not well_bracketed(text[:position] + text[position + 1 :])


@given(WELL_FORMED, st.text(alphabet="abc +;", max_size=5), st.data())
def test_checker_ignores_letters(text: str, letters: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(text)))
    assert well_bracketed(text[:position] + letters + text[position:])


@given(
    seed=st.integers(0, 10**6),
    low=st.integers(10, 20),
    more=st.integers(1, 30),
    kinds=st.integers(2, 3),
    depth=st.integers(2, 9),
)
def test_everything_asked_for_holds(seed: int, low: int, more: int, kinds: int, depth: int) -> None:
    texts, labels = generate(
        split="train", size=20, seed=seed, min_length=low, max_length=low + more, kinds=kinds, max_depth=depth
    )
    assert len(texts) == len(set(texts)) == len(labels) == 20
    assert sum(labels) == 10
    for text, label in zip(texts, labels, strict=True):
        assert vanishes(text) == well_bracketed(text) == bool(label)
        assert low <= len(text) <= low + more
        assert set(text) <= set("()[]{}"[: 2 * kinds])
        heights = [sum(1 if c in "([{" else -1 for c in text[: i + 1]) for i in range(len(text))]
        assert min(heights) == 0 == heights[-1]
        assert max(heights) <= depth


def test_the_same_in_every_process() -> None:
    code = (
        "from seqtrain.data.brackets_generator import generate\n"
        "print(generate(split='val', size=50, seed=3, min_length=10, max_length=30, max_depth=5))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
    assert "[]" in runs.pop()


def test_splits_are_disjoint(train: tuple[list[str], list[int]]) -> None:
    others = [
        generate(split=split, size=1000, seed=seed, min_length=10, max_length=40, max_depth=8)[0]
        for split, seed in (("val", 1), ("test", 2))
    ]
    assert len({*train[0], *others[0], *others[1]}) == 12_000


def test_short_strings_are_disjoint_too() -> None:
    """Where nearly everything that exists is drawn, splits by string alone would share the twins."""
    sets = [
        set(generate(split=split, size=size, seed=1, min_length=10, max_length=12, max_depth=4)[0])
        for split, size in (("train", 4000), ("val", 400), ("test", 400))
    ]
    assert len(set.union(*sets)) == 4800


def test_classes_have_the_same_counts(train: tuple[list[str], list[int]]) -> None:
    """What no bag of characters, length, depth or edge can tell: equal as multisets over the classes."""
    features = {
        "characters": lambda text: tuple(sorted(text)),
        "length": len,
        "first and last": lambda text: text[0] + text[-1],
        "opens and closes": lambda text: re.sub(r"[)\]}]", ")", re.sub(r"[(\[{]", "(", text)),
    }
    for name, feature in features.items():
        classes = [Counter(feature(t) for t, label in zip(*train, strict=True) if label == c) for c in (0, 1)]
        assert classes[0] == classes[1], name


def test_neighbours_tell_of_some_but_not_of_all(train: tuple[list[str], list[int]]) -> None:
    mismatch = re.compile(r"\([\]}]|\[[)}]|\{[)\]]")
    told = [bool(mismatch.search(text)) for text, label in zip(*train, strict=True) if label == 0]
    assert 0.3 < sum(told) / len(told) < 0.9
    assert not any(mismatch.search(text) for text, label in zip(*train, strict=True) if label == 1)


def test_each_side_alone_does_not_tell(train: tuple[list[str], list[int]]) -> None:
    """Of the opening brackets alone, or the closing ones, as many neighbours are the same in both classes."""
    for brackets in ("([{", ")]}"):
        rates = []
        for label in (0, 1):
            same = total = 0
            for text, its_label in zip(*train, strict=True):
                if its_label == label:
                    side = [c for c in text if c in brackets]
                    same += sum(a == b for a, b in pairwise(side))
                    total += len(side) - 1
            rates.append(same / total)
        assert rates[0] == pytest.approx(rates[1], abs=0.012)


def test_a_learnt_bag_of_characters_is_at_chance(train: tuple[list[str], list[int]]) -> None:
    """A perceptron on the counts, trained on one half and tested on the other, where twins are kept together."""
    texts, labels = train
    weights = dict.fromkeys("()[]{}", 0)
    family = {text: random.Random("".join(sorted(text))).random() < 0.5 for text in texts}
    for text, label in zip(texts, labels, strict=True):
        score = sum(weights[c] for c in text)
        if family[text] and (score > 0) != bool(label):
            for c in text:
                weights[c] += 1 if label else -1
    tested = [(text, label) for text, label in zip(texts, labels, strict=True) if not family[text]]
    right = sum((sum(weights[c] for c in text) > 0) == bool(label) for text, label in tested)
    assert right / len(tested) == 0.5


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"split": "dev"}, "no split 'dev'"),
        ({"size": 0}, "size = 0"),
        ({"min_length": 8}, "Allowed are 10 to 10000"),
        ({"max_length": 10}, "max_length = 10 is out of range"),
        ({"kinds": 4}, "Allowed are 2 to 3"),
        ({"kinds": 1}, "Allowed are 2 to 3"),
        ({"max_depth": 1}, "max_depth = 1"),
        ({"min_length": 21, "max_length": 21}, "odd length 21"),
        ({"min_length": 10, "max_length": 11, "size": 100_000}, "only about"),
    ],
)
def test_refusals(changed: dict[str, object], message: str) -> None:
    asked: dict[str, object] = {
        "split": "train", "size": 10, "seed": 1, "min_length": 12, "max_length": 20, "kinds": 3, "max_depth": 4,
    }  # fmt: skip
    with pytest.raises(UserError, match=message):
        generate(**(asked | changed))  # type: ignore[arg-type]
