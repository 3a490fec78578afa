"""The tables of the results: they are what the commands beside them make of the runs that are kept there."""

import re
import shlex
from pathlib import Path

import pytest

from seqtrain.commands.compare import main

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "results" / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^python -m seqtrain compare (.*)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_comparison_is_what_its_command_makes(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    words = shlex.split(command)
    (kept,) = (Path(word.removeprefix("out=")) for word in words if word.startswith("out="))
    main([f"out={tmp_path}" if word.startswith("out=") else word for word in words])
    for name in ("comparison.md", "runs.csv"):
        made = (tmp_path / name).read_text(encoding="utf-8").replace(f"out={tmp_path}", f"out={kept}")
        assert made == (kept / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("study", ["babi_10k", "babi_1k"])
def test_means_over_tasks_are_those_of_the_reports(study: str) -> None:
    report = (ROOT / "docs" / "results" / "studies" / study / "report.md").read_text(encoding="utf-8")
    made = dict(re.findall(r"^\| (mean|above 5) \| (.*) \|$", report, re.MULTILINE)[:2])
    table = TEXT.split(f"questions ([report](studies/{study}/report.md))", 1)[1].split("\n\n", 1)[0]
    for line in table.splitlines()[2:]:
        _, _, mean, failed, *_ = (cell.strip() for cell in line.split("|"))
        assert mean in made["mean"].split(" | "), line
        assert failed in made["above 5"].split(" | "), line


@pytest.mark.parametrize("pair", ["de-en", "en-de"])
def test_scores_of_translators_are_those_of_the_comparisons(pair: str) -> None:
    page = (ROOT / "docs" / "results" / "multi30k" / pair / "comparison.md").read_text(encoding="utf-8")
    made = set(re.findall(r"\b\d\d\.\d\d\b", page))
    section = TEXT.split("## Multi30k", 1)[1].split("### What it took", 1)[0]
    tables = dict(zip(("de-en", "en-de"), section.split("English to German:", 1), strict=True))
    rows = [line.split("|")[3:6] for line in tables[pair].splitlines() if re.match(r"\| `\w+` \| (greedy|beam)", line)]
    told = {number for row in rows for number in re.findall(r"\d\d\.\d\d", " ".join(row))}
    assert told
    assert told <= made
