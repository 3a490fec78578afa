"""Trainings that are sent to SLURM: to programs that take its place, and, where there is one, to a real one."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Seqtrain, manifest, message
from tests.slurm.cluster import Cluster

TINY = (
    *("launcher=slurm", "data=adding", "data.size=40", "data.val_size=10", "data.test_size=10", "model.hidden=3"),
    *("trainer.max_epochs=1", "trainer.accelerator=cpu", "trainer.log_every_n_steps=1", "logger=none"),
)
SWEEP = ("-m", *TINY, "seed=1,2", "hydra.sweep.dir=all")


def works(*command: str) -> bool:
    return shutil.which(command[0]) is not None and not subprocess.run(command, capture_output=True).returncode


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path / "cluster")


def test_jobs_are_sent_as_one_array_and_again_until_they_are_finished(seqtrain: Seqtrain, cluster: Cluster) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return seqtrain.begin(*words, PATH=cluster.path).wait()

    place = seqtrain.folder / "all"
    script = place / "slurm" / "array.sbatch"
    done = run(*SWEEP)
    assert done.returncode == 0, done.stderr
    assert "sent: array 41, 2 jobs; script and logs are in all/slurm" in done.stdout
    assert cluster.said("sent") == ["--parsable all/slurm/array.sbatch"]
    assert "#SBATCH --array=0,1\n" in script.read_text()
    assert not (place / "0").exists()

    trained = cluster.task(script, 0, **seqtrain.environment | {"PATH": cluster.path})
    assert trained.returncode == 0, trained.stderr
    assert manifest(place / "0")["status"] == "finished"
    assert manifest(place / "0")["config"]["seed"] == 1
    assert "finished before" in cluster.task(script, 0).stdout
    shutil.copytree(place / "0", place / "1")
    (place / "1" / "manifest.json").write_text(json.dumps({**manifest(place / "0"), "status": "running"}))

    cluster.file("queue", "41_1|RUNNING\n")
    assert "| 1 | seed=2 | RUNNING | running | 1 | 1 |" in run("jobs", "all").stdout
    again = run(*SWEEP, "resume=auto").stdout
    assert "0: finished before\n1: in the queue as 41_1, RUNNING\nnothing is left to send" in again
    other = run(*(word.replace("seed=1,2", "seed=1,3") for word in SWEEP), "resume=auto")
    assert "job 1 is in the queue as 41_1, asked for as seed=2, now seed=3" in message(other, 2)

    cluster.file("queue", "")
    with (place / "0" / "metrics.jsonl").open("a") as log:
        log.write('{"step": 9, "val/mse": NaN}\n')
    shown = run("jobs", "all").stdout
    assert re.search(r"\| 0 \| seed=1 \|  \| finished \|.*\| val/mse \d", shown), shown
    assert "| 1 | seed=2 |  | lost |" in shown
    assert "resume=auto hydra.sweep.dir=all" in shown
    assert "sent: array 42, 1 job;" in run(*SWEEP, "resume=auto").stdout
    assert "#SBATCH --array=1\n" in script.read_text()

    (place / "1" / "manifest.json").write_text("{")
    damaged = run("jobs", "all")
    assert "all/1/manifest.json: Expecting property name" in message(damaged, 2)
    assert "| 0 | seed=1 |  | finished |" in damaged.stdout
    assert "| 1 | seed=2 |  | damaged |" in damaged.stdout
    assert "to send again" not in damaged.stdout


def test_a_finished_run_is_sent_to_be_made_longer(seqtrain: Seqtrain, cluster: Cluster) -> None:
    assert seqtrain(*TINY, "launcher=local", "hydra.run.dir=one").returncode == 0
    sent = seqtrain.begin("launcher=slurm", "resume=one", "trainer.max_epochs=2", PATH=cluster.path).wait()
    assert "sent: array 41, 1 job;" in sent.stdout, sent.stderr
    script = seqtrain.folder / "one" / "slurm" / "array.sbatch"
    trained = cluster.task(script, 0, **seqtrain.environment | {"PATH": cluster.path})
    assert trained.returncode == 0, trained.stderr
    record = manifest(seqtrain.folder / "one")
    assert (record["status"], record["config"]["trainer"]["max_epochs"]) == ("finished", 2)
    assert record["resumed"][0]["changed"] == {"trainer.max_epochs": 1}
    assert "finished before" in cluster.task(script, 0).stdout


def test_slurm_refuses_or_is_not_there(seqtrain: Seqtrain, cluster: Cluster) -> None:
    cluster.file("refusal", "sbatch: error: invalid partition specified: nope\n")
    done = seqtrain.begin(*TINY, "hydra.run.dir=one", PATH=cluster.path).wait()
    assert "SLURM: error: invalid partition specified: nope" in message(done, 2)
    cluster.file("refusal", "sbatch: error: Unable to contact slurm controller (connect failure)\n")
    done = seqtrain.begin(*TINY, "hydra.run.dir=one", PATH=cluster.path).wait()
    assert "Unable to contact" in message(done, 1)
    assert not (seqtrain.folder / "one" / "manifest.json").exists()


@pytest.mark.skipif(not (works("sbatch", "--version") and works("squeue")), reason="there is no SLURM here")
def test_a_real_slurm_trains_what_it_is_sent(seqtrain: Seqtrain) -> None:
    done = seqtrain(*TINY, "hydra.launcher.time=00:05:00", "hydra.run.dir=one")
    assert done.returncode == 0, done.stderr
    job = json.loads((seqtrain.folder / "one" / "slurm" / "jobs.json").read_text())["jobs"]["0"]["id"]
    deadline = time.monotonic() + 180
    try:
        while subprocess.run(["squeue", "-h", "-j", job], capture_output=True).stdout:
            assert time.monotonic() < deadline, (seqtrain.folder / "one" / "slurm" / "0.log").read_text()
            time.sleep(0.5)
    finally:
        subprocess.run(["scancel", job], capture_output=True)
    assert "| finished |" in seqtrain("jobs", "one").stdout
    assert manifest(seqtrain.folder / "one")["results"]["test/mse"] > 0
