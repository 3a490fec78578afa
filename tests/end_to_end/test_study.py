"""A small study as a user makes it: made, stopped, gone on with and reported."""

import json
import shutil
from pathlib import Path
from textwrap import dedent

import pytest

from seqtrain.commands.report import main as report
from tests.end_to_end.conftest import Seqtrain, manifest

MINIATURE = """
    # @package _global_
    # Two arms, two seeds, seconds
    defaults:
      - common/runs
      - override /data: anbn
    model: {embedding: 4, hidden: 4, bidirectional: false, dropout: 0.0}
    data: {size: 20, max_n: 5, test_max_n: 12}
    trainer: {max_epochs: 2, log_every_n_steps: 1}
    study: {title: Miniature, metrics: [test/exact, test/nll], by: [n], each: exact, curves: [val/nll]}
    hydra: {sweeper: {params: {seed: "1,2", arm: "rnn,lstm"}}}
"""


def test_a_study_is_made_gone_on_with_and_reported(
    seqtrain: Seqtrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own" / "study").mkdir(parents=True)
    (tmp_path / "own" / "study" / "miniature.yaml").write_text(dedent(MINIATURE))
    place = tmp_path / "multirun" / "miniature"
    first = seqtrain("--config-dir", "own", "study=miniature")
    assert first.returncode == 0, first.stderr
    names = ["lstm-1", "lstm-2", "rnn-1", "rnn-2"]
    assert sorted(path.parent.name for path in place.glob("*/manifest.json")) == names
    record = manifest(place / "lstm-2")
    assert (record["status"], record["seed"]) == ("finished", 2)
    assert (record["choices"]["study"], record["choices"]["arm"]) == ("miniature", "lstm")
    assert record["training_seconds"] > 0

    shutil.rmtree(place / "rnn-2")
    before = manifest(place / "rnn-1")
    second = seqtrain("--config-dir", "own", "study=miniature", "arm=rnn")
    assert second.returncode == 0, second.stderr
    assert "rnn-1: finished before" in second.stdout
    assert manifest(place / "rnn-1") == before
    assert manifest(place / "rnn-2")["status"] == "finished"

    monkeypatch.chdir(tmp_path)
    assert report(["multirun/miniature"]) == 0
    text = (place / "report.md").read_text()
    means = {
        arm: sum(manifest(place / f"{arm}-{seed}")["results"]["test/nll"] for seed in (1, 2)) / 2
        for arm in ("rnn", "lstm")
    }
    for arm, mean in means.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| {arm} | ") and " ± " in line)
        assert f"{mean:.4f} ± " in row
        assert "| 2 |" in row
    assert "python -m seqtrain study=miniature\npython -m seqtrain report multirun/miniature\n" in text
    assert {path.name for path in place.glob("*.*")} == {
        *("multirun.yaml", "report.md", "runs.csv", "n.png", "curves.png")
    }
    buckets = json.loads((place / "rnn-1" / "buckets.json").read_text())
    assert sum(row["count"] for row in buckets["n"]) == 7
