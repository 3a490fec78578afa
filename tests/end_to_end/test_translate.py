"""Text in, translations out: lines, files, a terminal."""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from seqtrain.commands.translate import main
from tests.end_to_end.conftest import Seqtrain


@pytest.fixture(scope="module")
def texts(trained: Path) -> tuple[list[str], list[str]]:
    """The test split and what the training's test made of it."""
    folder = trained / "hypotheses"
    return (folder / "test.source.txt").read_text().splitlines(), (folder / "test.txt").read_text().splitlines()


def test_a_line_in_a_line_out(seqtrain: Seqtrain, trained: Path, texts: tuple[list[str], list[str]]) -> None:
    sources, hypotheses = texts
    lines = [sources[0], "", *sources[1:6], "  ", "Ein \u2603 lacht\u2028laut ."]
    done = seqtrain("translate", f"run={trained}", stdin="\ufeff" + "\r\n".join(lines))
    assert done.returncode == 0, done.stderr
    out = done.stdout.split("\n")
    assert out[-1] == ""
    assert len(out) == len(lines) + 1
    assert out[0] == hypotheses[0]
    assert out[1] == out[7] == ""
    assert out[2:7] == hypotheses[1:6]
    assert done.stderr.endswith("1 tokens of the input are unknown to the tokenizer\n")


def test_the_texts_of_the_test_come_out_again_whatever_n_best_the_run_has(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = trained / "hypotheses"
    assert main([f"run={trained}", "--input", str(texts / "test.source.txt"), "decoding.n_best=3"]) == 0
    assert capsys.readouterr().out == (texts / "test.txt").read_text()


def test_files_and_n_best(seqtrain: Seqtrain, trained: Path, texts: tuple[list[str], list[str]]) -> None:
    (seqtrain.folder / "in.txt").write_text("\n".join([*texts[0][:2], ""]) + "\n")
    done = seqtrain("translate", f"run={trained}", "--input", "in.txt", "--output", "out.txt", "--n-best", "3")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    rows = [line.split("\t") for line in (seqtrain.folder / "out.txt").read_text().splitlines()]
    assert [row[0] for row in rows] == ["1"] * 3 + ["2"] * 3 + ["3"]
    for number in ("1", "2"):
        scores = [float(score) for n, score, _ in rows if n == number]
        assert scores == sorted(scores, reverse=True)
    assert rows[-1][2] == ""


def test_a_reader_that_has_enough(seqtrain: Seqtrain, trained: Path, texts: tuple[list[str], list[str]]) -> None:
    process = seqtrain.start(
        "translate", f"run={trained}", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stdin as stdin:
        stdin.write("\n".join(texts[0] * 40).encode())
    assert process.stderr.read() == b""
    assert process.wait(60) == 1


def test_a_conversation(seqtrain: Seqtrain, trained: Path, texts: tuple[list[str], list[str]]) -> None:
    ours, theirs = pty.openpty()
    process = seqtrain.start(
        "translate", f"run={trained}", stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    os.close(theirs)
    os.write(ours, f"{texts[0][0]}\n\n".encode() + b"\x04")
    out, error = process.communicate(timeout=120)
    os.close(ours)
    assert process.returncode == 0, error
    assert "de → en; a sentence a line, Ctrl-D ends." in error.decode()
    assert out.decode().splitlines()[:1] == texts[1][:1]
    assert out.decode().splitlines()[1:] == [""]  # no prompts where the output is no terminal
