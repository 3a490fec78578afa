"""Asking a model that is there already: what is read as a story, what is said, and how it is shown."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from seqtrain.commands.answer import LEAST, Answer, ask, main
from seqtrain.data.answering import AnsweringData
from seqtrain.data.corpora.babi import parse
from seqtrain.data.corpora.base import Split
from seqtrain.data.corpora.questions import Question
from seqtrain.errors import UserError
from seqtrain.runs.loading import Loaded
from seqtrain.runs.record import Run

FILE = """1 Mary moved to the bathroom.
2 John went to the hallway.
3 Where is Mary?\tbathroom\t1
4 Mary got the milk there.
5 Where is John?\tgarden\t2
1 Sandra went to the garden.
2 Where is Sandra?\tgarden\t1
1 Sandra went to the garden.
2 Where is Sandra?\tgarden\t1
"""


class Little(AnsweringData):
    """The questions of `FILE`, of which stories the last three sentences are kept."""

    def questions(self, split: Split) -> list[Question]:
        return parse(FILE.splitlines(), "qa1") if split == "train" else []


class Last(nn.Module):
    """Answers with the place of the last sentence, to which its second hop attends, the first one to all alike."""

    def __init__(self, places: Tensor) -> None:
        super().__init__()
        self.places = places  # of each word the answer that it is, else -1
        self.stories: list[Tensor] = []

    def read(self, story_BMW: Tensor, question_BW: Tensor) -> tuple[Tensor, Tensor]:
        self.stories.append(story_BMW)
        real_BM = (story_BMW != 0).any(2)
        last_B = real_BM.sum(1) - 1
        answers = self.places[story_BMW[torch.arange(len(last_B)), last_B]].max(1).values.clamp(min=0)
        alike = real_BM / real_BM.sum(1, keepdim=True)
        one = nn.functional.one_hot(last_B, real_BM.shape[1]).float()
        return nn.functional.one_hot(answers, 3) * 4.0, torch.stack([alike, one], 1)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Loaded:
    """Whatever run is asked for, it is this model."""
    data = Little(sentences=3, seed=1)
    data.setup()
    answers = data.task.answers
    network = Last(torch.tensor([answers.index(word) if word in answers else -1 for word in data.words]))
    model = SimpleNamespace(network=network, device=torch.device("cpu"), to=lambda device: None)
    config = OmegaConf.create({"data": {}, "trainer": {"accelerator": "cpu"}})
    found = Loaded(Run(tmp_path), config, data, model, tmp_path / "best.ckpt", 0)
    monkeypatch.setattr("seqtrain.commands.answer.choose", lambda *_, **__: SimpleNamespace(config=config))
    monkeypatch.setattr("seqtrain.runs.loading.load", lambda _: found)
    return found


def asked(monkeypatch: pytest.MonkeyPatch, text: str, *argv: str) -> None:
    stdin = SimpleNamespace(buffer=io.BytesIO(text.encode()), isatty=lambda: False)
    monkeypatch.setattr("sys.stdin", stdin)
    assert main(["run=x", *argv]) == 0


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.usefixtures("loaded")
def test_an_answer_and_what_was_attended_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(
        monkeypatch,
        "Mary moved to the bathroom.\nJohn went to the garden\nWhere is John?\n\nJohn moved there.\nIs he?\n",
    )
    assert capsys.readouterr().out.splitlines() == [
        "where is john? garden (0.96)",
        "  hop 1  hop 2",
        "   0.50   0.00  1 mary moved to the bathroom",
        "   0.50   1.00  2 john went to the garden",
        "is he? bathroom (0.96)",
        "  hop 1  hop 2",
        "   1.00   1.00  1 john moved there",
    ]


def test_a_file_of_babi_is_read_as_the_data_set_reads_it(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked(monkeypatch, FILE, "--json")
    said = capsys.readouterr()
    found = objects(said.out)
    for question, answer in zip(parse(FILE.splitlines(), "qa1"), found, strict=True):
        assert answer["story"] == [" ".join(sentence) for sentence in question.story]
        assert answer["question"] == " ".join(question.question)
        assert (answer["expected"], answer["line"]) == (question.answer, question.line)
        assert answer["right"] is (answer["answer"] == question.answer)
        assert [len(hop) for hop in answer["hops"]] == [len(question.story)] * 2
        assert answer["probability"] == pytest.approx(0.9647, abs=1e-4)
    assert said.err == ""
    assert [answer["right"] for answer in found] == [True, False, True, True]
    (tmp_path / "in.txt").write_text(FILE)
    assert main(["run=x", "--json", "--input", str(tmp_path / "in.txt"), "--output", str(tmp_path / "out.txt")]) == 0
    assert objects((tmp_path / "out.txt").read_text()) == found
    asked(monkeypatch, FILE)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "where is mary? bathroom (0.96)"
    assert "where is john? bathroom (0.96); the text says garden" in shown
    del loaded


def test_what_is_unknown_or_too_much_is_said(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    story = "Bob moved to the attic.\nMary moved.\nBob went.\n3 times Mary moved.\n"
    asked(monkeypatch, f"{story}Where is Bob?\nWhere is he?", "--json")
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "seqtrain: standard input, line 1: not in the training text, and read as one unknown word: attic, bob",
        "seqtrain: standard input, line 4: not in the training text, and read as one unknown word: 3, times",
        "seqtrain: standard input, line 5: the story has 4 sentences; the last 3 are read, here and below",
        "seqtrain: standard input, line 6: not in the training text, and read as one unknown word: he",
    ]
    first, second = objects(said.out)
    assert first["story"] == second["story"] == ["mary moved", "bob went", "3 times mary moved"]
    assert loaded.model.network.stories[0].shape == (1, 3, 4)
    assert "right" not in first
    asked(monkeypatch, f"{story}Where is Mary?\n")
    shown = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=2)[2] for line in shown[2:]] == ["2 mary moved", "3 bob went", "4 3 times mary moved"]


@pytest.mark.usefixtures("loaded")
def test_an_excerpt_of_a_numbered_story_may_begin_anywhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    excerpt = "5 Mary went there.\n6 Where is Mary?\tgarden\t5\n7 John went there.\n8 Where is John?\tgarden\t7\n"
    asked(monkeypatch, f"{excerpt}\n3 boys moved.\n3 girls moved.\nWhere is Mary?\n", "--json")
    assert [answer["story"] for answer in objects(capsys.readouterr().out)] == [
        ["mary went there"],
        ["mary went there", "john went there"],
        ["3 boys moved", "3 girls moved"],
    ]


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("text", ["", "Mary moved to the garden.\nWhere is Mary\n"])
def test_a_text_that_asks_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    for argv in ((), ("--output", str(tmp_path / "out.txt"))):
        with pytest.raises(UserError, match=r"^standard input: no question; a line that asks ends in \?$") as caught:
            asked(monkeypatch, text, *argv)
        assert caught.value.code == 2
    assert not (tmp_path / "out.txt").exists()


def test_a_story_that_the_model_cannot_take_is_named(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Tensor) -> None:
        raise UserError("too long", "Tell a shorter one.")

    monkeypatch.setattr(loaded.model.network, "read", refuse)
    with pytest.raises(UserError, match=r"standard input, line 2: too long\n  Tell a shorter one\."):
        asked(monkeypatch, "Mary moved.\nWhere is Mary?\n")


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Where is Mary?\n", "line 1: there is no sentence before the question"),
        ("Mary went.\n\nWhere is Mary?\n", "line 3: there is no sentence before the question"),
        ("1 Mary went.\n1 Where is Mary?\n", "line 2: there is no sentence before the question"),
        ("Mary went.\n...\n", "line 2: there is no word in it"),
        ("Mary went.\n?\n", "line 2: there is no word in it"),
    ],
)
def test_what_is_no_story_is_refused(monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        asked(monkeypatch, text)


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("plain", [True, False])
def test_a_conversation_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], plain: bool
) -> None:
    lines = iter(["Where is Mary?", "Mary went to the garden.", "Ma\udce4ry?", "Where is Mary?"])

    def typed(prompt: str) -> str:
        assert prompt == "> "
        line = next(lines, None)
        if line is None:
            raise EOFError
        return line

    monkeypatch.setattr("builtins.input", typed)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True, buffer=None))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1" if plain else "")
    assert main(["run=x"]) == 0
    said = capsys.readouterr()
    assert "there is no sentence before the question" in said.err
    assert "that is not UTF-8" in said.err
    assert ("\033[" in said.out) is not plain
    assert ("\033[1mgarden\033[0m" in said.out) is not plain


def test_models_that_attend_to_nothing_only_answer(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Always(nn.Module):
        def forward(self, story: Tensor, question: Tensor) -> Tensor:
            return torch.tensor([[0.0, 0.0]])

    loaded.model.network = Always()
    asked(monkeypatch, "Mary went.\nWhere is Mary?\n")
    assert capsys.readouterr().out == "where is mary? bathroom (0.50)\n"


def test_sentences_that_no_hop_attends_to_are_counted() -> None:
    weights = [0.5 * LEAST, LEAST, 1 - 2 * LEAST, 0.5 * LEAST]
    story = tuple((word,) for word in "abcd")
    shown = Answer(Question(story, ("x",), ""), story, "yes", 0.5, [weights, weights]).as_text().splitlines()
    assert [line.split()[-2:] for line in shown[2:4]] == [["2", "b"], ["3", "c"]]
    assert shown[4:] == ["  and 2 of 4 sentences with less than 0.01"]


@pytest.mark.parametrize(
    ("task", "trained", "expected", "right"),
    [
        (8, ["milk,apple"], "milk, Apple", True),
        (8, ["milk,apple"], "apple,milk", True),
        (8, ["milk,apple"], "milk", False),
        (19, ["apple,milk", "milk,apple"], "apple,milk", True),
        (19, ["apple,milk", "milk,apple"], "milk,apple", False),
        (19, ["apple,milk", "milk,hall"], "milk,apple", False),  # a path that training does not have
        (19, ["apple,milk"], "", None),
    ],
)
def test_lists_are_right_in_any_order_and_paths_in_one(
    task: int, trained: list[str], expected: str, right: bool | None
) -> None:
    class Several(Little):
        def questions(self, split: Split) -> list[Question]:
            lines = [line for answer in [*trained, trained[0]] for line in ("1 Mary went.", f"2 What?\t{answer}\t1")]
            return parse(lines, "qa", task) if split == "train" else []

    class First(nn.Module):
        def forward(self, story: Tensor, question: Tensor) -> Tensor:
            return torch.eye(len(data.task.answers))[:1]

    data = Several(sentences=3, seed=1)
    data.setup()
    model: Any = SimpleNamespace(network=First(), device=torch.device("cpu"))
    loaded = Loaded(Run(Path()), OmegaConf.create(), data, model, Path(), 0)
    answer = ask(loaded, Question((("mary", "went"),), ("what",), expected))
    assert (answer.answer, answer.right) == ("apple,milk", right)
    assert ("the text says" in answer.as_text()) is (right is False)
