"""Trainings that end otherwise than planned: stopped, diverged, out of space; and go on."""

import resource
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.end_to_end.conftest import Seqtrain, manifest, message, metrics
from tests.end_to_end.warm import halting

TIMING = ("train/tokens_per_second", "train/data_share")


def begun(seqtrain: Seqtrain, run: Path, *words: str, steps: int) -> "subprocess.Popen[bytes]":
    """A training in a process of its own that has logged so many steps."""
    process = seqtrain.start(
        *seqtrain.tiny, *words, f"hydra.run.dir={run}", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 120
    log = run / "metrics.jsonl"
    while not log.exists() or log.read_bytes().count(b"\n") < steps:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process


def untimed(run: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name not in TIMING} for line in metrics(run)]


def test_stopped_and_gone_on_with_is_the_same_run(seqtrain: Seqtrain, trained: Path) -> None:
    run = seqtrain.folder / "run"
    words = [*seqtrain.tiny, "trainer.max_epochs=3", "hydra.run.dir=run"]
    process = seqtrain.begin(*words, **halting(seqtrain.folder))
    with process.halted():
        process.send_signal(signal.SIGINT)
    assert "resume=" in message(process.wait(), 1)
    assert manifest(run)["status"] == "interrupted"
    assert (run / "checkpoints" / "last.ckpt").exists()
    done = seqtrain("resume=run")
    assert done.returncode == 0, done.stderr
    record, whole = manifest(run), manifest(trained)
    assert record["status"] == "finished"
    assert len(record["resumed"]) == 1
    assert record["results"] == whole["results"]
    assert untimed(run) == untimed(trained)


def test_a_second_ctrl_c_stops_at_once_and_the_multirun_too(seqtrain: Seqtrain) -> None:
    sweep = seqtrain.folder / "all"
    process = begun(
        seqtrain,
        sweep / "0",
        "-m",
        "seed=1,2",
        "trainer.max_epochs=500",
        "hydra.sweep.dir=all",
        steps=5,
    )
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 1, error
    assert b"Traceback" not in error + out
    assert manifest(sweep / "0")["status"] == "interrupted"
    assert not (sweep / "1" / "manifest.json").exists()


def test_a_training_that_diverges_has_failed(seqtrain: Seqtrain) -> None:
    words = ["optimizer=sgd", "optimizer.lr=1e30", "scheduler=constant", "callbacks.clipping.norm=null"]
    done = seqtrain(*seqtrain.tiny, *words, "callbacks.clipping.non_finite=stop", "hydra.run.dir=run")
    assert "not finite" in message(done, 1)
    record = manifest(seqtrain.folder / "run")
    assert record["status"] == "failed"
    assert "not finite" in record["error"]


def test_a_metric_that_does_not_exist(seqtrain: Seqtrain) -> None:
    done = seqtrain(
        *seqtrain.tiny,
        "callbacks.checkpoint.monitor=val/blue",
        "callbacks.checkpoint.mode=max",
        "hydra.run.dir=run",
    )
    said = message(done, 2)
    assert "callbacks.checkpoint.monitor=val/blue: no such metric" in said
    assert "val/bleu" in said


def test_a_full_disk(seqtrain: Seqtrain, own: Path) -> None:
    last = own / "checkpoints" / "last.ckpt"
    before = last.read_bytes()

    def no_space() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, len(before) // 2))

    done = seqtrain.cold("resume=run", "trainer.max_epochs=4", preexec_fn=no_space)
    said = message(done, 1)
    assert "cannot write" in said
    assert str(own) in said
    assert last.read_bytes() == before
    assert not list(own.rglob("*.part"))
    assert manifest(own)["status"] == "failed"
    assert seqtrain("resume=run", "trainer.max_epochs=4").returncode == 0
    assert manifest(own)["status"] == "finished"
