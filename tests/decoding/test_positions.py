"""Texts that are too long for a model's positions: refused, or split where a reader would."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqtrain.data.buckets import Tally
from seqtrain.decoding.positions import check_data, pieces, positions, refuse_longer
from seqtrain.errors import UserError


def shorter_than(limit: int) -> Callable[[str], bool]:
    return lambda text: len(text.split()) <= limit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one two three", ["one two three"]),
        ("a b. c d e. f g", ["a b.", "c d e.", "f g"]),
        ("a b, c d e f", ["a b,", "c d e f"]),
        ('He said "no." I left then. And so on', ['He said "no."', "I left then.", "And so on"]),
        ("a b c d e f g h i", ["a b c d", "e f g h", "i"]),
        ("3.5 is a number, 4.5 another", ["3.5 is a number,", "4.5 another"]),
        ("   ", []),
    ],
)
def test_at_the_last_sentence_else_mark_else_space(text: str, expected: list[str]) -> None:
    assert pieces(text, shorter_than(4)) == expected


def test_without_spaces_anywhere() -> None:
    assert pieces("你好。我很好，谢谢你", lambda text: len(text) <= 4) == ["你好。", "我很好，", "谢谢你"]
    assert pieces("abcdefg", lambda text: len(text) <= 3) == ["abc", "def", "g"]


@given(st.text(alphabet="ab .,!\u3000。", max_size=300), st.integers(1, 12))
def test_nothing_is_lost_and_everything_fits(text: str, limit: int) -> None:
    found = pieces(text, lambda piece: len(piece) <= limit)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(0 < len(piece) <= limit for piece in found)


def test_a_book_on_one_line_is_not_tokenised_again_for_every_piece() -> None:
    seen = 0

    def fits(text: str) -> bool:
        nonlocal seen
        seen += len(text)
        return len(text.split()) <= 20

    text = "word " * 20_000
    assert len(pieces(text, fits)) == 1000
    assert seen < 100 * len(text)


def test_the_message_names_the_line() -> None:
    refuse_longer([3, 10], None, "a.txt", "")
    refuse_longer([3, 10], 10, "a.txt", "")
    with pytest.raises(UserError, match=r"a\.txt, line 8 has 11 tokens, its end included; the model has positions for"):
        refuse_longer([3, 11], 10, "a.txt", "", first=7)


class Data:
    """As much of a data module as is asked for."""

    task = SimpleNamespace(name="translation")

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.rows = {"train": np.array([5, 9, 30, 12]), "val": np.array([4, 4]), "test": np.array([11])}

    def setup(self, stage: str) -> None:
        self.opened.append(stage)

    def has(self, split: str) -> bool:
        return split != "test" or "test" in self.opened

    def tally(self, split: str) -> Tally:
        return Tally.of(self.rows[split], 19 if split == "train" else None)


def test_data_that_a_model_cannot_take_is_refused_before_training() -> None:
    data, splits = Data(), ("train", "val", "test")
    check_data(data, SimpleNamespace(), splits)
    check_data(data, SimpleNamespace(max_positions=12), splits)
    with pytest.raises(UserError) as refused:
        check_data(data, SimpleNamespace(max_positions=10), splits)
    for part in ("1 of 3 training pairs, 1 of 1 test pairs", "the 10 positions", "longest has 12 tokens"):
        assert part in str(refused.value)
    assert "model.max_positions=12" in str(refused.value)
    assert "data.max_length=9 " in str(refused.value)
    assert positions(SimpleNamespace(max_positions=7)) == 7


def test_stories_that_a_model_cannot_take_are_refused_before_training() -> None:
    data, splits = Data(), ("train", "val")
    data.task = SimpleNamespace(name="answering")
    check_data(data, SimpleNamespace(max_positions=14, MARKS=2), splits)
    with pytest.raises(UserError, match=r"1 of 3 training questions .* the 13 positions .*12 words") as refused:
        check_data(data, SimpleNamespace(max_positions=13, MARKS=2), splits)
    assert "model.max_positions=14" in str(refused.value)
    assert "data.sentences" in str(refused.value)
