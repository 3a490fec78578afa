"""A user's own text: learnt from, measured in bits per character, and measured again on another text."""

import json
import math
from pathlib import Path

import pytest

from seqtrain.commands import evaluate
from tests.end_to_end.conftest import Seqtrain, manifest, metrics

TINY = ("model.embedding=8", "model.hidden=16", "trainer.max_epochs=2", "trainer.log_every_n_steps=1", "logger=none")


def test_own_text(
    seqtrain: Seqtrain, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.txt").write_text("she sells sea shells by the sea shore\n" * 60)
    options = ("data.batch_size=4", "data.bptt=20", "trainer.accelerator=cpu", "optimizer.lr=0.02")
    done = seqtrain("model=lstm", "data=chars", "data.path=own.txt", *options, *TINY, "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    assert manifest(run)["data"]["sizes"] == {"train": 2052, "val": 114, "test": 114}
    assert json.loads((run / "tokenizer" / "vocabulary.json").read_text()) == [*"\n abehlorsty"]
    lines = metrics(run)
    bits = [line["train/bits"] for line in lines if "train/bits" in line]
    assert len(bits) == 2 * 26
    assert bits[0] > math.log2(8) > bits[-1]
    assert "bits" in done.stderr + done.stdout

    (tmp_path / "other.txt").write_text("the shells she sells are sea shells, I'm sure\n")
    (tmp_path / "own.txt").unlink()  # not needed any more
    monkeypatch.chdir(tmp_path)
    assert evaluate.main([f"run={run}", "data.test_path=other.txt"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["data"]["sizes"] == {"test": 46}
    assert found["metrics"]["test/bits"] == pytest.approx(found["metrics"]["test/nll"] / math.log(2), abs=1e-3)
