"""A neural Turing machine, trained on short sequences, tested on longer ones and others; and one that blows up."""

import json
import re
from pathlib import Path

import pytest

from seqtrain.commands import evaluate
from tests.end_to_end.conftest import Seqtrain, manifest, metrics

TINY = (
    "data.bits=2",
    "data.max_length=3",
    "data.test_lengths=[2,5]",
    "data.size=64",
    "data.val_size=10",
    "data.test_size=10",
    "model.hidden=16",
    "model.slots=8",
    "model.width=4",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
    "logger=none",
)


def test_copy(seqtrain: Seqtrain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = seqtrain("model=ntm", "data=copy", *TINY, "callbacks.memory_maps.examples=2", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    results = manifest(run)["results"]
    assert results["test/chance_bits"] == 2 * (2 + 5) / 2
    assert 0 < results["test/wrong_bits"] < results["test/chance_bits"]
    assert len([line for line in metrics(run) if "train/bits" in line]) == 2 * 4
    assert len(list((run / "figures").glob("memory-*.png"))) == 2
    rows = json.loads((run / "buckets.json").read_text())["length"]
    assert [(row["low"], row["count"]) for row in rows] == [(2, 5), (5, 5)]

    assert evaluate.main([f"run={run}", "data.test_lengths=[9]"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metrics"]["test/chance_bits"] == 18
    assert len(list(run.glob("evaluations/*/figures/memory-*.png"))) == 2


def test_a_weighting_that_is_not_finite_stops_the_run(seqtrain: Seqtrain, tmp_path: Path) -> None:
    """With the step, the head and the value; what was saved before is there."""
    settings = ("optimizer=sgd", "optimizer.lr=1e38", "callbacks.clipping.norm=null", "model.clamp=null")
    done = seqtrain("model=ntm", "data=copy", *TINY, *settings, "hydra.run.dir=run")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    said = r"training step 1: the weighting of (read|write) head 1 is nan at step \d+ of a sequence"
    assert re.search(said, done.stderr)
    assert manifest(tmp_path / "run")["status"] == "failed"
