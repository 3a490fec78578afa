"""Comparisons of systems: the numbers are those that the `sacrebleu` command prints."""

import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sacrebleu import CHRF
from sacrebleu import metrics as sacrebleu
from sacrebleu.significance import PairedTest

from seqtrain.commands.compare import main
from seqtrain.errors import UserError
from seqtrain.runs.significance import paired
from seqtrain.runs.texts import read_texts, require_same

WORDS = ["a", "Man", "dog", "runs", "sits", "on", "under", "the", "red", "table"]


def made(directory: Path, *, right: float, split: str = "test", size: int = 60) -> Path:
    """What an evaluation leaves of a system that gets so many words right; sources have 4 to 20 words."""
    references = [" ".join(random.Random(i).choices(WORDS, k=4 + i % 17)) + "." for i in range(size)]
    chance = random.Random(str(right))
    columns = {
        f"{split}.source.txt": [f"{text}\u2028 " for text in references],
        f"{split}.reference.txt": references,
        f"{split}.txt": [" ".join(w if chance.random() < right else "eh" for w in t.split()) for t in references],
    }
    folder = directory / "hypotheses"
    folder.mkdir(parents=True)
    for name, lines in columns.items():
        (folder / name).write_text("".join(line + "\n" for line in lines), "utf-8")
    return directory


@pytest.fixture
def systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three systems beside each other, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name, right in (("a", 0.8), ("b", 0.9), ("c", 0.82)):
        made(tmp_path / name, right=right)


def cells(text: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|") and "---" not in line]


def test_the_table_is_the_commands(systems: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a", "b", "c"]) == 0
    head, *rows = cells(capsys.readouterr().out)
    assert head == ["system", "BLEU", "BLEU lc", "chrF"]
    files = [f"{name}/hypotheses/test.txt" for name in "abc"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "sacrebleu", "a/hypotheses/test.reference.txt", "-i", *files),
            *("--paired-bs", "-m", "bleu", "chrf", "-w", "2", "-f", "latex"),
        ],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    printed = [line for line in done.stdout.splitlines() if "test.txt &" in line]
    assert len(printed) == len(rows) == 3
    for line, row in zip(printed, rows, strict=True):
        theirs = [re.findall(r"\d+\.\d+", cell) for cell in line.split("&")[1:]]
        assert [re.findall(r"\d+\.\d+", row[column]) for column in (1, 3)] == theirs


@pytest.mark.parametrize("name", ["bleu", "bleu_lc", "chrf"])
def test_randomisation_is_sacrebleus(systems: None, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in PairedTest._DEFAULT_SAMPLES:
        monkeypatch.setitem(PairedTest._DEFAULT_SAMPLES, kind, 200)
    texts = [read_texts(path, "test") for path in ("a", "c")]
    signature, found = paired(texts, "randomisation", name)
    metric: Any = CHRF() if name == "chrf" else sacrebleu.BLEU(lowercase=name == "bleu_lc")
    files = [Path(f"{path}/hypotheses/test.txt").read_text().splitlines() for path in ("a", "c")]
    references = Path("a/hypotheses/test.reference.txt").read_text().splitlines()
    named: list[Any] = list(zip(("a", "c"), files, strict=True))
    test = PairedTest(named, {name: metric}, [references], test_type="ar", n_samples=200)
    _, expected = test()
    (results,) = (value for key, value in expected.items() if key != "System")
    assert [r.score for r in found] == [r.score for r in results]  # type: ignore[union-attr]
    assert [r.p_value for r in found] == [r.p_value for r in results]  # type: ignore[union-attr]
    assert all(r.ci > 0 for r in found)
    assert "ar:200" in signature


def test_by_length(systems: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PairedTest._DEFAULT_SAMPLES, "bs", 20)
    main(["a", "b", "--by-length", "--test=bootstrap"])
    lines = [row for row in cells(capsys.readouterr().out) if len(row) > 4]
    counts = [int(count) for count in re.findall(r"n=(\d+)", " ".join(lines[0]))]
    assert sum(counts) == 60
    assert lines[0][1].startswith("4–6 ")
    sentences = [Path(f"b/hypotheses/test{part}.txt").read_text().split("\n")[:-1] for part in ("", ".reference")]
    texts = [[line for i, line in enumerate(side) if 4 <= 4 + i % 17 <= 6] for side in sentences]
    assert lines[2][1].startswith(f"{sacrebleu.BLEU().corpus_score(texts[0], [texts[1]]).score:.2f} ")


@pytest.mark.parametrize("what", ["reference", "source"])
def test_other_sentences_are_refused_with_what_differs(systems: None, what: str) -> None:
    file = Path(f"b/hypotheses/test.{what}.txt")
    lines = file.read_text("utf-8").split("\n")
    lines[6] = "something else"
    file.write_text("\n".join(lines), "utf-8")
    with pytest.raises(
        UserError, match=rf"a and b cannot be compared: 1 of 60 {what}s differ, first in line 7: .*'som"
    ):
        main(["a", "b"])


def test_other_sizes_are_refused(systems: None, tmp_path: Path) -> None:
    made(tmp_path / "short", right=0.8, size=10)
    with pytest.raises(UserError, match="the sources are 60 sentences and 10"):
        require_same(read_texts("a", "test"), read_texts("short", "test"))


def test_mistakes(systems: None, tmp_path: Path) -> None:
    (tmp_path / "b" / "hypotheses" / "test.txt").write_text("one\n")
    made(tmp_path / "d" / "evaluations" / "greedy", right=0.8)
    (tmp_path / "e f").mkdir()
    for argv, message in (
        (["a", "e f"], "evaluate run='e f' split=test"),
        (["a"], "needs two systems"),
        (["a", "c", "--test", "t"], "--test t: must be bootstrap or randomisation"),
        (["a", "c", "--split=train"], "--split train: must be test or val"),
        (["a", "c", "--splitt=test"], "did you mean --split"),
        (["a", "c", "./a"], "a is there twice"),
        (["a", "c", "split=val"], "split=val: no such option; did you mean --split?"),
        (["a", "nope"], "there is no directory nope"),
        (["a", "c", "--split", "val"], r"a has no translations of the val split(.|\n)*evaluate run=a split=val"),
        (["a", "d"], r"d has no translations of the test split(.|\n)*There are some in d/evaluations/greedy"),
        (["a", "b"], "files of different lengths: test.source.txt 60, test.reference.txt 60, test.txt 1 lines"),
    ):
        with pytest.raises(UserError, match=message):
            main(argv)
