"""Comparisons of runs; the numbers of systems that translate are those that the `sacrebleu` command prints."""

import csv
import json
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
from seqtrain.runs.local import read
from seqtrain.runs.significance import paired
from seqtrain.runs.texts import Texts, read_texts, require_same
from tests.commands.test_report import write_run

WORDS = ["a", "Man", "dog", "runs", "sits", "on", "under", "the", "red", "table"]


def texts(directory: Path, *, right: float, split: str = "test", size: int = 60) -> None:
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


def made(place: Path, *, right: float | None = None, seed: int = 1, **config: Any) -> Path:
    """A finished run; one that translates gets so many words right."""
    asked = [f"{key}={value}" for key, value in config.items()]
    nested: dict[str, Any] = {"seed": seed, "model": {"_target_": "seqtrain.models.gru.GRU", "hidden": 8}}
    for key, value in config.items():
        group, _, name = key.partition(".")
        nested.setdefault(group, {})[name] = value
    results = {"test/bleu": 100 * (right or 0.5), "test/nll": 1.0, "best/val/bleu": 30.0 + seed}
    chosen = {"model": "gru"}
    write_run(place, seed=seed, config=nested, overrides=asked, choices=chosen, results=results, record=2)
    if right is not None:
        texts(place, right=right)
    return place


@pytest.fixture
def systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three systems beside each other, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name, right in (("a", 0.8), ("b", 0.9), ("c", 0.82)):
        made(tmp_path / name, right=right)


def system(path: str, split: str = "test") -> Texts:
    return read_texts(read(Path(path)), path, split)


def cells(text: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|") and "---" not in line]


def test_the_table_is_the_commands(systems: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a", "b", "c", "by=name"]) == 0
    found = cells(capsys.readouterr().out)
    start = found.index(["test, bootstrap", "BLEU", "BLEU lc", "chrF"])
    rows = found[start + 1 : start + 4]
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
    signature, found = paired([system("a"), system("c")], "randomisation", name)
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
    main(["a", "b", "by=name", "test=bootstrap"])
    found = cells(capsys.readouterr().out)
    lines = found[next(i for i, row in enumerate(found) if row[0] == "BLEU by words of the source") :]
    counts = [int(count) for count in re.findall(r"n=(\d+)", " ".join(lines[0]))]
    assert sum(counts) == 60
    assert lines[0][1].startswith("4–6 ")
    both = [Path(f"b/hypotheses/test{part}.txt").read_text().split("\n")[:-1] for part in ("", ".reference")]
    short = [[line for i, line in enumerate(side) if 4 <= 4 + i % 17 <= 6] for side in both]
    assert lines[2][1].startswith(f"{sacrebleu.BLEU().corpus_score(short[0], [short[1]]).score:.2f} ")


def test_a_group_of_seeds_is_tested_by_the_one_that_was_the_best_in_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(PairedTest._DEFAULT_SAMPLES, "bs", 20)
    for seed in (1, 2):
        made(tmp_path / f"small-{seed}", right=0.7 + seed / 10, seed=seed, **{"model.hidden": 8})
        made(tmp_path / f"wide-{seed}", right=0.6 + seed / 10, seed=seed, **{"model.hidden": 16})
    main(["small-*", "wide-*"])
    found = cells(capsys.readouterr().out)
    assert [row[0] for row in found if row[0].startswith("model.hidden=")][:4] == [
        *("model.hidden=8", "model.hidden=16"),
        *("model.hidden=8 (small-2) (baseline)", "model.hidden=16 (wide-2)"),
    ]


def test_what_is_not_finished_stands_for_nothing_and_evaluations_are_chosen_as_their_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(PairedTest._DEFAULT_SAMPLES, "bs", 20)
    made(tmp_path / "other", right=0.7, **{"model.hidden": 16})
    for seed in (1, 2, 3):
        place = made(tmp_path / f"run-{seed}", right=0.7, seed=seed, **{"model.hidden": 8})
        texts(place / "evaluations" / "beam", right=0.7 + seed / 100)
        (place / "evaluations" / "beam" / "results.json").write_text(json.dumps({"metrics": {"test/bleu": 1.0}}))
    manifest = json.loads(Path("run-3/manifest.json").read_text())
    Path("run-3/manifest.json").write_text(json.dumps({**manifest, "status": "interrupted"}))
    main(["run-*", "other"])
    assert "model.hidden=8 (run-2) (baseline)" in capsys.readouterr().out
    main(["run-*/evaluations/beam", "other"])
    assert "(run-3/beam) (baseline)" in capsys.readouterr().out


def test_what_is_given_first_is_the_baseline(systems: None, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = json.loads(Path("b/manifest.json").read_text())
    Path("b/manifest.json").write_text(json.dumps({**manifest, "started": "2031"}))
    for first, second in ("ab", "ba"):
        main([first, second, "by=name"])
        assert f"| {first} (baseline) |" in capsys.readouterr().out


def test_runs_that_are_no_seeds_of_each_other_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made(tmp_path / "a", seed=1, **{"model.hidden": 8})
    made(tmp_path / "b", seed=2, **{"model.hidden": 8, "resume": "b"})
    made(tmp_path / "c", seed=2, **{"model.hidden": 16})
    main(["a", "b", "c", "by=model"])
    text = capsys.readouterr().out
    assert "- gru: its runs differ in model.hidden, not in the seed alone" in text
    assert "- gru: 2 runs have the seed 2; each counts" in text
    main(["a", "b"])
    text = capsys.readouterr().out
    assert "| gru | 50.00 ± 0.0000 |" in text  # a run that was gone on with stays in its group
    assert "not in the seed alone" not in text


def test_other_sources_are_refused_with_the_first_line_that_differs(systems: None) -> None:
    file = Path("b/hypotheses/test.source.txt")
    lines = file.read_text("utf-8").split("\n")
    lines[6] = "something else"
    file.write_text("\n".join(lines), "utf-8")
    with pytest.raises(
        UserError, match=r"a and b cannot be compared: 1 of 60 sources differ, first in line 7: .*'something else'"
    ):
        main(["a", "b", "by=name"])


def test_other_sizes_are_refused(systems: None, tmp_path: Path) -> None:
    texts(tmp_path / "short", right=0.8, size=10)
    write_run(tmp_path / "short")
    with pytest.raises(UserError, match="the sources are 60 sentences and 10"):
        require_same(system("a"), system("short"))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("data", [{"data": {"fingerprint": letter * 64}} for letter in "ab"]),
        ("tokenizer", [{"tokenizer_hash": letter * 64} for letter in "ab"]),
        ("signature", [{"signatures": {"bleu": f"case:{case}"}} for case in ("mixed", "lc")]),
        ("reference", [{}, {}]),
    ],
)
def test_what_is_not_comparable_is_refused_unless_it_is_allowed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    fields: list[dict[str, Any]],
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, own in enumerate(fields):
        place = write_run(tmp_path / f"run{number}", results={"test/bleu": 1.0}, **own)
        if kind == "reference":
            (place / "hypotheses").mkdir()
            (place / "hypotheses" / "test.reference.txt").write_text(f"{number}\n")
    argv = ["run0", "run1", "by=name", "test=none"]
    with pytest.raises(UserError, match=rf"side by side:\n  different {kind}.*: .*run0; .*run1(.|\n)*allow={kind}"):
        main(argv)
    assert main([*argv, f"allow={kind}"]) == 0
    assert f"\n- different {kind}" in capsys.readouterr().out


def test_the_test_data_counts_that_a_result_is_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two runs and an evaluation with the same training data, one has another test set."""
    monkeypatch.chdir(tmp_path)
    splits = {"train": "a" * 64, "test": "b" * 64}
    for name in ("run0", "run1"):
        write_run(tmp_path / name, results={"test/nll": 1.0}, data={"fingerprint": "f" * 64, "splits": splits})
    place = tmp_path / "run1" / "evaluations" / "other"
    place.mkdir(parents=True)
    (place / "results.json").write_text(
        json.dumps({"metrics": {"test/nll": 0.5}, "data": {"splits": {"test": "c" * 64}}})
    )
    assert main(["run0", "run1", "by=name"]) == 0
    with pytest.raises(UserError, match=r"different test data: bbbbbbbbbbbb of run0; cccccccccccc of run1/other"):
        main(["run0", str(place), "by=name"])


def test_references_that_are_allowed_to_differ_leave_the_test_out(
    systems: None, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("b/hypotheses/test.reference.txt").write_text("other\n" * 60)
    assert main(["a", "b", "by=name", "allow=reference"]) == 0
    assert "- not tested: a and b cannot be compared: 60 of 60 references differ" in capsys.readouterr().out


def test_many_systems_are_compared_without_a_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(13):
        made(tmp_path / f"run{number}", right=0.5)
    assert main(["run*", "by=name"]) == 0
    assert "- not tested: 13 systems are too many" in capsys.readouterr().out
    with pytest.raises(UserError, match="13 systems are too many"):
        main(["run*", "by=name", "test=bootstrap"])


def test_what_differs_is_shown_and_only_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for hidden in (8, 16):
        for seed in (1, 2):
            settings = {"model.hidden": hidden, "optimizer.lr": 0.1 * seed, "data.size": 5}
            made(tmp_path / f"{hidden}-{seed}", seed=seed, **settings)
    main(["*-*", "by=model.hidden", "metric=test/nll"])
    found = cells(capsys.readouterr().out)
    start = found.index(["differs", "16", "8"])
    assert found[start + 1 : start + 3] == [["model.hidden", "16", "8"], ["optimizer.lr", "0.1, 0.2", "0.1, 0.2"]]
    assert len(found) == start + 3
    assert found[0][:2] == ["arm", "test/nll"]


def test_everything_is_written_and_is_the_same(
    systems: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(PairedTest._DEFAULT_SAMPLES, "bs", 20)
    lines = [{"step": step, "train/loss": 1 / (1 + step), "train/tokens_per_second": 100.0} for step in range(1000)]
    lines.append({"step": 1000, "train/loss": "NaN"})
    Path("a/metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    main(["a", "b", "by=name", "out=out"])
    assert sorted(file.name for file in Path("out").iterdir()) == [
        *("comparison.html", "comparison.json", "comparison.md", "runs.csv")
    ]
    found = json.loads(Path("out/comparison.json").read_text(), parse_constant=pytest.fail)
    assert Path("out/comparison.md").read_text() in capsys.readouterr().out
    assert [group["label"] for group in found["groups"]] == ["a", "b"]
    assert found["groups"][0]["results"]["test/bleu"] == {"mean": 80.0, "sd": 0.0, "n": 1, "best": 80.0}
    assert found["groups"][0]["per_second"] == 100.0
    assert found["groups"][1]["results"]["test/nll"]["best"] == 1.0
    (line,) = found["curves"][0]["lines"]
    assert len(line["points"]) <= 301
    assert line["points"][-1] == [999, 0.001, 0.0, 1]
    assert [row["scores"]["BLEU"]["p"] is None for row in found["significance"]["rows"]] == [True, False]
    rows = list(csv.DictReader(Path("out/runs.csv").read_text().splitlines()))
    assert [(row["arm"], float(row["test/bleu"])) for row in rows] == [("a", 80.0), ("b", 90.0)]
    assert "test/bleu" in Path("out/comparison.html").read_text()


def test_evaluations_are_compared_as_runs_are(systems: None, capsys: pytest.CaptureFixture[str]) -> None:
    place = Path("a/evaluations/greedy")
    texts(place, right=0.85)
    found = {"metrics": {"test/bleu": 12.0}, "decoding": {"beam": 5}, "signatures": {"bleu": "s"}}
    (place / "results.json").write_text(json.dumps(found))
    main(["a", str(place), "test=none", "allow=signature"])
    rows = {row[0]: row[1] for row in cells(capsys.readouterr().out)}
    assert (rows["gru"], rows["evaluation=greedy"]) == ("80.00", "12.00")
    assert rows["decoding.beam"] == "–"


def test_mistakes(systems: None, tmp_path: Path) -> None:
    (tmp_path / "b" / "hypotheses" / "test.txt").write_text("one\n")
    (tmp_path / "e f").mkdir()
    (tmp_path / "file").touch()
    made(tmp_path / "old")
    write_run(tmp_path / "new", record=99)
    for argv, message in (
        ([], "compare needs runs"),
        (["a", "e f"], "e f is neither the directory of a run nor of a multirun"),
        (["a", "test=t"], "test=t: must be bootstrap, randomisation or none"),
        (["a", "c", "test=bootstrap,none"], "test=bootstrap,none: must be"),
        (["a", "c", "split=train"], "split=train: must be test or val"),
        (["a", "c", "allow=dat"], "allow=dat: must be data, tokenizer, reference or signature"),
        (["a", "c", "splitt=test"], r"splitt=test: no such option; did you mean split\?"),
        (["a", "c", "--split=val"], "--split: no such option"),
        (["a", "nope"], "no run at nope: there is no such directory"),
        (["nope*"], r"no run at nope\*: the pattern matches none"),
        (["a", "c", "by=modle"], r"by=modle: no run has that key; did you mean model\?"),
        (["a", "c", "metric=test/belu"], r"no run has that result; did you mean test/bleu\?"),
        (["a", "c", "out=file"], "out=file: is a file, not a directory"),
        (["a", "c", "split=val"], r"a has no translations of the val split(.|\n)*evaluate run=a split=val"),
        (["a", "test=bootstrap"], "one group of runs, and a test holds two against each other"),
        (["a", "b", "by=name"], "b/hypotheses has files of different lengths: test.source.txt 60, .* test.txt 1 lines"),
        (["old", "new"], "manifest.json is of version 99 of the record, and this seqtrain reads up to 2"),
    ):
        with pytest.raises(UserError, match=message):
            main(argv)


def test_no_torch_is_needed(systems: None) -> None:
    program = (
        "import sys; from seqtrain.commands.compare import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    )
    words = [sys.executable, "-c", program, "a", "c", "test=none", "out=out"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.stdout.endswith("False\n"), done.stderr
