"""Reproducing a run that was trained: the same numbers to the bit, and what it takes to say that they are not."""

import json
from pathlib import Path
from typing import Any

from tests.end_to_end.conftest import Seqtrain, manifest, message


def change(run: Path, **fields: Any) -> None:
    (run / "manifest.json").write_text(json.dumps({**manifest(run), **fields}))


def test_reproduced_to_the_bit_and_what_is_not(seqtrain: Seqtrain) -> None:
    own, place = seqtrain.folder / "run", f"data.cache={seqtrain.cache}"
    assert seqtrain(*seqtrain.tiny, "data.size=50", "trainer.max_epochs=2", "hydra.run.dir=run").returncode == 0
    done = seqtrain("reproduce", "run", "out=again", place, "logger=csv")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "nothing differs" in done.stdout
    assert "19 of 19 results are equal to the bit" in done.stdout
    again = seqtrain.folder / "again"
    record, whole = manifest(again), manifest(own)
    assert record["results"] == whole["results"]
    assert record["parent"] == {"run": str(own), "why": "reproduced"}
    assert (again / "csv").is_dir()
    assert "Captions, 50 train" in (again / "seqtrain.log").read_text()
    found = json.loads((again / "reproduction.json").read_text())
    assert (found["reproduced"], found["bits_expected"], found["tolerance"]) == (True, True, 0)
    assert all(curve["equal"] == curve["then"] == curve["now"] for curve in found["curves"])

    # It is there, and only compared; the record now says something else.
    change(own, results={**whole["results"], "test/nll": whole["results"]["test/nll"] * 1.01})
    done = seqtrain("reproduce", "run", "out=again")
    assert done.returncode == 1, done.stderr
    assert "off: test/nll" in (again / "reproduction.md").read_text()


def test_what_differs_is_shown_before_anything_is_done(seqtrain: Seqtrain, own: Path) -> None:
    done = seqtrain("reproduce", "run", "--check")
    assert done.returncode == 0, done.stderr
    assert "nothing differs" in done.stdout
    change(own, numerics={**manifest(own)["numerics"], "threads": 7})
    done = seqtrain("reproduce", "run", "--check")
    assert done.returncode == 1, done.stderr
    assert "| threads | 7 | 1 | yes |" in done.stdout
    assert not (seqtrain.folder / "reproductions").exists()


def test_other_data_is_no_reproduction(seqtrain: Seqtrain, own: Path) -> None:
    done = seqtrain("reproduce", "run", "out=again", "data.size=299", f"data.cache={seqtrain.cache}")
    assert "the data is not the run's" in message(done, 1)
    assert not (seqtrain.folder / "again").exists()
