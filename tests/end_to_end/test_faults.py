"""Faults from outside, in the middle of a training: a process, memory, a server or data that is gone."""

import contextlib
import os
import resource
import shutil
import signal
import time
from pathlib import Path

from seqtrain.errors import GO_ON_LATER
from seqtrain.runs.checkpoints import read_checkpoint
from seqtrain.runs.wandb_offline import find, read
from tests.end_to_end.conftest import Seqtrain, manifest, message, metrics
from tests.end_to_end.warm import Started, halting

LONG = "trainer.max_epochs=500"


def logged(run: Path, process: Started, lines: int = 10) -> None:
    """Waits until so many lines are logged."""
    deadline = time.monotonic() + 120
    log = run / "metrics.jsonl"
    while not log.exists() or log.read_bytes().count(b"\n") < lines:
        assert process.running, process.wait()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def children(process: int, words: str) -> list[int]:
    """The processes that one has started, of those that have some words in their command."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended by now
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == process and words in (place / "cmdline").read_text():
                found.append(int(place.name))
    return found


def limit_memory(process: int, megabytes: int) -> None:
    """Lets a process take so much more memory than it has now, and no more."""
    status = Path(f"/proc/{process}/status").read_text()
    now = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData")) << 10
    limit = now + (megabytes << 20)
    resource.prlimit(process, resource.RLIMIT_DATA, (limit, limit))


def test_a_rank_that_is_killed_ends_the_others(seqtrain: Seqtrain) -> None:
    run = seqtrain.folder / "run"
    first, second = seqtrain.ranks(*seqtrain.tiny, LONG, "hydra.run.dir=run")
    logged(run, first)
    second.send_signal(signal.SIGKILL)
    assert "rank 1 of 2 is gone" in message(first.wait(60), 1)
    record = manifest(run)
    assert record["status"] == "failed"
    assert "rank 1 of 2" in record["error"]


def test_a_rank_that_fails_alone_says_why_on_all(seqtrain: Seqtrain) -> None:
    """Memory that is short in one process; a wide layer, whose gradients do not fit any more."""
    run = seqtrain.folder / "run"
    words = [*seqtrain.tiny, LONG, "model.hidden=300", "data.batch_tokens=256", "hydra.run.dir=run"]
    first, second = seqtrain.ranks(*words)
    logged(run, first, 3)
    limit_memory(second.pid, 0)
    said = message(first.wait(60), 1)
    assert "rank 1 of 2 stopped: out of memory in step" in said
    assert "training: a batch of" in message(second.wait(60), 1)
    assert manifest(run)["status"] == "failed"


def test_a_run_that_still_trains_is_not_trained_by_another_process(seqtrain: Seqtrain) -> None:
    words = [*seqtrain.tiny, LONG, "resume=auto", "hydra.run.dir=run"]
    process = seqtrain.begin(*words)
    logged(seqtrain.folder / "run", process)
    said = message(seqtrain(*words), 2)
    assert f"another process trains in run: process {process.pid} on {os.uname().nodename}" in said
    process.send_signal(signal.SIGTERM)
    assert process.wait().returncode == GO_ON_LATER
    assert len(manifest(seqtrain.folder / "run").get("resumed", [])) == 0
    assert not (seqtrain.folder / "run" / ".lock").exists()


def test_a_process_that_lightning_started_is_missed_and_none_is_left(seqtrain: Seqtrain) -> None:
    run = seqtrain.folder / "run"
    process = seqtrain.begin(*seqtrain.tiny, LONG, "trainer.devices=2", "hydra.run.dir=run")
    logged(run, process)
    (child,) = children(process.pid, "seqtrain")
    os.kill(child, signal.SIGKILL)
    assert "rank 1 of 2 was killed by SIGKILL" in message(process.wait(60), 1)
    assert manifest(run)["status"] == "failed"


def test_out_of_memory_names_the_batch_and_the_last_checkpoint_stays(seqtrain: Seqtrain) -> None:
    run = seqtrain.folder / "run"
    last = run / "checkpoints" / "last.ckpt"
    words = [*seqtrain.tiny, LONG, "model.hidden=300", "data.batch_tokens=256", "trainer.val_check_interval=4"]
    process = seqtrain.begin(*words, "~callbacks.bleu", "hydra.run.dir=run")
    while not last.exists():
        assert process.running, process.wait()
        time.sleep(0.005)
    limit_memory(process.pid, 0)
    said = message(process.wait(60), 1)
    assert "out of memory in step" in said
    assert "data.batch_tokens=" in said
    assert manifest(run)["status"] == "failed"
    assert read_checkpoint(last)["global_step"] >= 4


def test_wandb_goes_and_the_training_goes_on(seqtrain: Seqtrain, trained: Path) -> None:
    """Its server at the start, its process in the middle; what it has in the end is what the run's own record has.

    Nor is it disturbed by another program's process of W&B's, which is gone from the start.
    """
    run = seqtrain.folder / "run"
    nobody = {"WANDB_MODE": None, "WANDB_API_KEY": "x" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    nobody |= {"WANDB_SERVICE": "3-999-unix-/nowhere/socket"}
    nobody |= halting(seqtrain.folder)
    process = seqtrain.begin(*seqtrain.tiny, "trainer.max_epochs=3", "logger=wandb", "hydra.run.dir=run", **nobody)
    with process.halted():
        (service,) = children(process.pid, "wandb-core")
        os.kill(service, signal.SIGKILL)
    done = process.wait()
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "W&B: offline (127.0.0.1 does not answer)" in done.stderr + done.stdout
    assert (done.stderr + done.stdout).count("the run goes on offline") == 1
    assert manifest(run)["results"] == manifest(trained)["results"]
    (found,) = read(find(run / "wandb")).values()
    assert found.manifest["status"] == "finished"
    assert found.source.lines() == metrics(run)


def test_data_that_goes_in_the_middle_is_not_missed(seqtrain: Seqtrain) -> None:
    folder, cache, run = (seqtrain.folder / name for name in ("data", "cache", "run"))
    folder.mkdir()
    for split, count in {"train": 300, "val": 20, "test": 20}.items():
        rows = (f"{'a b c d e'[: 3 + i % 7]} f\tg {'h i j k'[: 2 + i % 6]}\n" for i in range(count))
        (folder / f"{split}.tsv").write_text("".join(rows))
    tiny = [
        word for word in seqtrain.tiny if not word.startswith(("data.size", "data.val_", "data.test_", "data.cache"))
    ]
    files = [f"data.{split}=data/{split}.tsv" for split in ("train", "val", "test")]
    words = [*tiny, "data=pairs", *files, f"data.cache={cache}", "trainer.max_epochs=2", "hydra.run.dir=run"]
    process = seqtrain.begin(*words, **halting(seqtrain.folder))
    with process.halted():
        shutil.rmtree(folder)
        shutil.rmtree(cache)
    done = process.wait()
    assert done.returncode == 0, done.stderr
    assert manifest(run)["results"]["test/nll"] > 0
