"""Reports on runs that were written by hand: what is in the tables, and what is said of the rest."""

import csv
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from seqtrain.commands import compare
from seqtrain.commands.report import main
from seqtrain.errors import UserError
from seqtrain.runs.collect import arms, collect
from seqtrain.runs.markdown import number

STUDY = {"title": "Lengths", "metrics": ["test/accuracy", "test/nll"], "by": ["length"], "curves": ["val/nll"]}
ACCURACY = {"rnn": {1: 0.5, 2: 0.7, 3: 0.6}, "rnn+clipping": {1: 0.9, 2: 0.8, 3: 0.95}}


def write_run(place: Path, *, study: dict[str, Any] | None = None, seed: int = 1, **manifest: Any) -> Path:
    """A run's directory as a training leaves it."""
    (place / ".hydra").mkdir(parents=True, exist_ok=True)
    config = {"seed": seed, **({"study": study} if study else {})}
    (place / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    fields = {"status": "finished", "started": f"2030-01-01T00:00:0{seed}", "parameters": 1234, **manifest}
    (place / "manifest.json").write_text(json.dumps(fields))
    return place


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    for hour, (arm, seeds) in enumerate(ACCURACY.items()):
        for seed, accuracy in seeds.items():
            place = write_run(
                tmp_path / "lengths" / f"{arm}-{seed}",
                study={**STUDY, "arm": arm, "baselines": {"chance": 0.5}},
                seed=seed,
                started=f"2030-01-01T0{hour}:00:0{seed}",
                choices={"study": "lengths", "arm": arm, "model": "rnn"},
                results={"test/accuracy": accuracy, "test/nll": 1 - accuracy, "val/nll": 0.5},
                training_seconds=10.0 * seed,
                git={"commit": "0123456789abcdef", "dirty": False},
                data={"fingerprint": "f" * 64},
            )
            buckets = [
                {"low": 1, "high": 9, "count": 5, "accuracy": accuracy},
                {"low": 10, "high": 19, "count": 5, "accuracy": accuracy / 2},
            ]
            (place / "buckets.json").write_text(json.dumps({"length": buckets}))
            lines = [{"step": step, "epoch": 0, "val/nll": 1 / (step + 1)} for step in (1, 2, 3)]
            (place / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "lengths"


def table(text: str, name: str) -> dict[str, list[str]]:
    """The rows of the Markdown table whose head begins with a name, by their first cell."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {name} |"))
    rows = [lines[start]]
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(line)
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
    return {row[0]: row[1:] for row in cells}


def test_means_deviations_and_best_are_over_seeds(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(sweep)]) == 0
    text = (sweep / "report.md").read_text()
    assert text in capsys.readouterr().out
    rows = table(text, "arm")
    assert rows["arm"] == ["test/accuracy", "best", "test/nll", "seeds", "parameters", "training, s"]
    for arm, seeds in ACCURACY.items():
        values = list(seeds.values())
        mean, deviation = statistics.mean(values), statistics.stdev(values)
        assert rows[arm][:2] == [f"{mean:.4f} ± {deviation:.4f}", f"{max(values):.4f}"]
        assert rows[arm][3:] == ["3", "1,234", "20"]
    assert rows["*chance*"][0] == "0.5000"
    by = table(text, "accuracy by length")
    assert by["accuracy by length"] == ["1–9", "10–19"]
    assert by["rnn"][1] == "0.3000 ± 0.0500"
    assert text.startswith("# Lengths\n")
    assert "python -m seqtrain study=lengths\n" in text
    assert "commit 0123456789ab;" in text
    assert "not counted" not in text


def test_every_run_is_a_row_of_the_csv_and_figures_are_drawn(sweep: Path) -> None:
    flow = {"layer": "l", "distance": [0, 1], "loss": [1.0, "NaN"], "state": [1.0, 0.1]}
    (sweep / "rnn-1" / "gradient_flow.json").write_text(json.dumps([{**flow, "step": 0}, {**flow, "step": 9}]))
    out = sweep.parent / "docs"
    main([str(sweep), f"out={out}"])
    rows = list(csv.DictReader((out / "runs.csv").open()))
    assert [(row["arm"], row["seed"], row["status"]) for row in rows] == [
        (arm, str(seed), "finished") for arm, seeds in ACCURACY.items() for seed in seeds
    ]
    assert [float(row["test/accuracy"]) for row in rows] == [v for seeds in ACCURACY.values() for v in seeds.values()]
    names = sorted(path.name for path in out.iterdir())
    assert names == ["curves.png", "gradient_flow.png", "length.png", "report.md", "runs.csv"]
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in names if name.endswith(".png"))
    assert not (sweep / "report.md").exists()


def test_what_is_missing_is_said_and_not_counted(sweep: Path) -> None:
    study = {**STUDY, "arm": "rnn"}
    chosen = {"study": "lengths"}
    write_run(sweep / "rnn-4", study=study, seed=4, status="failed", error="ValueError: no\nmore", choices=chosen)
    write_run(sweep / "rnn-5", study=study, seed=5, results={"test/accuracy": float("nan")}, choices=chosen)
    write_run(sweep / "rnn-6", study=study, seed=6, status="running", results={"test/accuracy": 1.0}, choices=chosen)
    data = {"fingerprint": "e" * 64}
    write_run(sweep / "irnn-7", study={**study, "arm": "irnn"}, seed=7, results={}, choices=chosen, data=data)
    diverged = {"test/accuracy": float("inf"), "test/nll": 1.0}
    write_run(sweep / "gru-8", study={**study, "arm": "gru"}, seed=8, results=diverged, choices=chosen)
    main([str(sweep)])
    text = (sweep / "report.md").read_text()
    rows = table(text, "arm")
    assert rows["rnn"][0].startswith("0.6000 ±")
    assert rows["rnn"][3] == "3 of 6"
    assert rows["irnn"][0] == ""
    assert rows["gru"][0] == "diverged"
    notes = [line for line in text.splitlines() if line.startswith("- ")]
    assert "- rnn-4: failed: ValueError: no; not counted" in notes
    assert "- rnn-5: test/accuracy is nan: it diverged; not counted" in notes
    assert "- rnn-6: running; not counted" in notes
    assert "- irnn-7: has no test/accuracy" in notes
    assert "- the runs were made with different data: eeeeeeeeeeee, ffffffffffff" in notes


def test_what_a_terminal_would_take_for_a_command_is_an_escape(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\u202e\udc80"
    study, git = {**STUDY, "title": hostile, "arm": f"new\n| {hostile}"}, {"commit": hostile}
    for place in sweep.iterdir():
        config = place / ".hydra" / "config.yaml"
        config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), "study": study}))
    write_run(sweep / "x", study=study, status="failed", error=hostile, git=git, choices={"study": "lengths"})
    compare.main([str(sweep)])
    text = capsys.readouterr().out
    assert all(line.isprintable() for line in text.splitlines())
    assert "- x: failed: \\x1b]0;owned\\x07\\x1b[2J\\u202e\\udc80; not counted" in text
    assert "| new\\n\\| \\x1b]0" in text


def test_a_run_that_ended_before_its_record_began_is_named(sweep: Path) -> None:
    place = write_run(sweep / "rnn-9", study={**STUDY, "arm": "rnn"}, seed=9)
    (place / "manifest.json").unlink()
    (place / ".hydra" / "overrides.yaml").write_text("[seed=9]")
    records = collect([str(sweep)])
    assert [record.status for record in records if record.name == "rnn-9"] == ["not begun"]


def test_other_runs_are_told_apart_by_their_overrides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number_, (seed, rate) in enumerate([(1, 0.1), (2, 0.1), (1, 0.2)]):
        overrides = [f"seed={seed}", f"optimizer.lr={rate}", "data=parity"]
        write_run(tmp_path / str(number_), seed=seed, overrides=overrides, results={"test/accuracy": rate})
    found = {arm.label: [record.seed for record in arm.records] for arm in arms(collect([str(tmp_path)]))}
    assert found == {"optimizer.lr=0.1": [1, 2], "optimizer.lr=0.2": [1]}
    compare.main([str(tmp_path)])
    assert table(capsys.readouterr().out, "arm")["optimizer.lr=0.1"][:2] == ["0.1000 ± 0.0000", "0.1000"]
    with pytest.raises(UserError, match=r"runs of no study\n  Compare them: seqtrain compare"):
        main([str(tmp_path)])


def test_groups_whose_labels_would_be_long_are_called_by_their_model(tmp_path: Path) -> None:
    for number_ in range(2):
        asked = [f"model.dropout=0.{number_}{'1' * 60}", "data=parity"]
        write_run(tmp_path / str(number_), overrides=asked, choices={"model": "gru"})
    assert [arm.label for arm in arms(collect([str(tmp_path)]))] == ["gru", "gru (1)"]


def test_a_study_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"adding has no runs in multirun/adding\n  Make them: .* study=adding"):
        main(["adding"])
    chosen = {"study": "adding"}
    write_run(tmp_path / "multirun" / "adding" / "rnn-1", study={**STUDY, "arm": "rnn"}, choices=chosen, results={})
    main(["adding", "out=docs"])
    assert "python -m seqtrain report multirun/adding\n" in (tmp_path / "docs" / "report.md").read_text()


def test_runs_that_translate_are_shown_by_length_without_their_intervals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = {"test/bleu": 31.2, "test/bleu_mean": 31.1, "test/bleu_ci": 0.9, "test/nll": 2.0}
    place = write_run(tmp_path / "runs" / "0", results=results, choices={"model": "gru"})
    rows = [{"low": 1, "high": 9, "count": 5, "bleu": 40.0}, {"low": 10, "high": 19, "count": 5, "bleu": 20.0}]
    (place / "buckets.json").write_text(json.dumps({"length": rows}))
    compare.main([str(tmp_path / "runs")])
    text = capsys.readouterr().out
    assert table(text, "arm")["arm"][:3] == ["test/bleu", "best", "test/nll"]
    assert table(text, "bleu by length")["gru"] == ["40.00", "20.00"]


def test_parts_are_shown_by_themselves_and_their_mean_is_the_result(tmp_path: Path) -> None:
    """Of twenty tasks, say: one run for each, or one run for all."""
    study = {
        "metrics": ["test/error", "test/supported"],
        "goal": "min",
        "parts": "data.task",
        "failed": 0.05,
        "floor": "test/majority_error",
        "selected": {"best": ["one", "half", "hlaf"], "none": ["none"]},
        "published": {"paper": [1.0, 50.0, 3.0]},
    }
    chosen = {"study": "tasks"}

    def add(name: str, arm: str, task: Any, *, validation: float = 0.5, **results: float) -> Path:
        place = tmp_path / name
        found = {f"test/{metric}": value for metric, value in results.items()} | {"best/val/accuracy": validation}
        began = f"2030-01-01T0{len(list(tmp_path.iterdir()))}:00:00"
        fields = {"started": began, "choices": chosen, "results": found, "training_seconds": 5.0}
        write_run(place, study={**study, "arm": arm}, **fields)
        config = yaml.safe_load((place / ".hydra" / "config.yaml").read_text())
        (place / ".hydra" / "config.yaml").write_text(yaml.safe_dump({**config, "data": {"task": task}}))
        return place

    add("one-1", "one", 1, error=0.02, majority_error=0.8, supported=0.9)
    add("one-2", "one", 2, error=0.06, majority_error=0.4, supported=0.7)
    add("half-1", "half", 1, validation=0.6, error=0.01, majority_error=0.8)
    place = add("joint", "joint", "all", error=0.2, majority_error=0.6)
    rows = [{"low": task, "high": task, "count": 9, "accuracy": 1 - task / 10} for task in (1, 2)]
    (place / "buckets.json").write_text(json.dumps({"task": rows}))
    main([str(tmp_path)])
    text = (tmp_path / "report.md").read_text()
    found = table(text, "arm")
    assert {arm: found[arm][0] for arm in ("one", "half", "joint")} == {"one": "0.0400", "half": "", "joint": "0.1500"}
    assert found["one"][2:] == ["0.8000", "1", "1,234", "10"]
    assert found["half"][3] == "0 of 1"
    tasks = table(text, "test/error by task, %")
    assert tasks == {
        "test/error by task, %": ["one", "half", "joint", "best, selected", "*majority_error*", "*paper*"],
        "1": ["2.0", "1.0", "10.0", "1.0", "80.0", "1.0"],
        "2": ["6.0", "", "20.0", "6.0", "40.0", "50.0"],
        "mean": ["4.0", "", "15.0", "3.5", "60.0", "25.5"],
        "above 5": ["1", "", "2", "1", "2", "1"],
    }
    assert table(text, "test/supported by task, %")["mean"] == ["80.0"]
    compare.main([str(tmp_path), f"out={tmp_path / 'out'}"])
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [(group["complete"], group["runs"]) for group in found["groups"]] == [(1, 1), (0, 1), (1, 1)]
    first, second = found["parts"]
    assert (first["name"], first["parts"], first["limit"], second["metric"]) == ("task", [1, 2], 5.0, "test/supported")
    columns = {column["label"]: (column["values"], column["mean"], column["failed"]) for column in first["columns"]}
    assert columns["one"] == ([2.0, 6.0], 4.0, 1)
    assert columns["half"] == ([1.0, None], None, None)
    assert columns["paper"] == ([1.0, 50.0], 25.5, 1)
    notes = [line for line in text.splitlines() if line.startswith("- ")]
    assert notes == [
        "- half, seed 1: nothing for task 2; not in the means",
        "- best, selected: half for task 1",
        "- best, selected: no runs of hlaf",
        "- none, selected: no runs of none",
    ]


def test_a_metric_can_be_asked_for(sweep: Path) -> None:
    main([str(sweep), "metric=val/nll"])
    rows = table((sweep / "report.md").read_text(), "arm")
    assert rows["arm"][0] == "val/nll"
    assert "*chance*" not in rows


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "report needs a study"),
        (["nowhere"], "no run at nowhere: there is no such directory"),
        (["empty"], "empty is neither the directory of a run nor of a multirun"),
        (["several"], "There are multiruns in it: sweep"),
        (["lengths", "ouput=x"], "ouput=x: no such option; did you mean out?"),
        (["lengths", "--out"], "--out: no such option"),
        (["lengths", "lengths/rnn-1"], "several paths, and no directory for their report"),
        (["lengths", "out=file"], "out=file: is a file, not a directory"),
        (
            ["lengths", "metric=test/acuracy"],
            "no run has that result; did you mean test/accuracy?",
        ),
        (["lengths", "other", "out=x"], "these are runs of several studies: lengths, other"),
        (["damaged"], "cannot read"),
    ],
)
def test_mistakes_are_one_message(sweep: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str) -> None:
    place = sweep.parent
    monkeypatch.chdir(place)
    (place / "empty").mkdir()
    (place / "file").write_text("")
    write_run(place / "other", study={**STUDY, "arm": "rnn"}, choices={"study": "other"})
    write_run(place / "several" / "sweep" / "0")
    write_run(place / "damaged", results={})
    (place / "damaged" / "manifest.json").write_text("{")
    before = sorted(place.rglob("*"))
    with pytest.raises(UserError) as caught:
        main(words)
    assert message in str(caught.value)
    assert sorted(place.rglob("*")) == before


def test_a_damaged_run_among_others_is_left_out(sweep: Path, caplog: pytest.LogCaptureFixture) -> None:
    damaged = write_run(sweep / "damaged\x1b[2J")
    (damaged / "manifest.json").write_text("{")
    for place in (str(sweep), f"{sweep}/*"):
        caplog.clear()
        assert len(collect([place])) == 6
        (message,) = caplog.messages
        assert message.startswith("left out: cannot read")
        assert message.isprintable()
    for places in ([str(damaged)], [str(sweep), str(damaged)], [f"{sweep}/dam*"]):
        with pytest.raises(UserError, match="cannot read"):
            collect(places)


def test_numbers_say_what_they_can() -> None:
    assert [number(value) for value in (0.98412, 3.21e-5, 0, 1234.5, 45.678, float("inf"))] == [
        "0.9841",
        "3.21e-05",
        "0.0000",
        "1,234",
        "45.68",
        "inf",
    ]


def test_no_torch_is_needed(sweep: Path) -> None:
    program = "import sys; from seqtrain.commands.report import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, str(sweep)], capture_output=True, text=True, timeout=120)
    assert done.stdout.endswith("False\n"), done.stderr
