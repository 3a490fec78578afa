"""The script that SLURM gets: what it asks for, and what it does about a training that ended."""

from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from seqtrain.slurm.script import Job, script
from seqtrain.slurm.settings import Settings, Size
from tests.slurm.cluster import Cluster

PLAIN = Settings.read(
    {
        **dict.fromkeys(Settings.__dataclass_fields__),
        **{"signal_seconds": 120, "requeue": True, "extra": [], "setup": []},
    }
)


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path / "cluster")


def written(cluster: Cluster, settings: Settings) -> Path:
    folder = cluster.folder.parent / "all" / "slurm"
    jobs = {number: Job(["seed=1", "tags='[a b]'"], folder.parent / str(number)) for number in (0, 3)}
    text = script(
        settings, Size(2, 4), jobs, folder=folder, command="python -m seqtrain", python="echo", place=Path("/a b")
    )
    folder.mkdir(parents=True)
    (folder / "array.sbatch").write_text(text)
    return folder / "array.sbatch"


def test_it_asks_for_what_was_set(cluster: Cluster) -> None:
    asked = replace(
        PLAIN,
        **{"partition": "gpu", "time": "1-12:00:00", "gpus_per_node": "a100:4", "cpus_per_task": 3, "memory": "16G"},
        **{"parallel": 2, "requeue": False, "extra": ["--constraint=v100"], "setup": ["greeting=hello"]},
    )
    file = written(cluster, asked)
    options = [line.removeprefix("#SBATCH --") for line in file.read_text().splitlines() if "#SBATCH" in line]
    assert {"array=0,3%2", 'chdir="/a b"', "nodes=2", "ntasks-per-node=4", "signal=USR1@120"} <= set(options)
    assert {"partition=gpu", "time=1-12:00:00", "gpus-per-node=a100:4", "cpus-per-task=3", "mem=16G"} <= set(options)
    assert {"no-requeue", "constraint=v100", "open-mode=append"} <= set(options)
    assert not any(option.startswith(("account", "qos")) for option in options)
    cluster.file("code", "75")
    assert cluster.task(file, 3).returncode == 75
    assert cluster.said("scontrol") == []


@pytest.mark.parametrize(
    ("codes", "state", "requeued"),
    [
        ([0], "RUNNING", 0),
        ([1], "RUNNING", 0),
        ([75, 75, 75, 75], "RUNNING", 4),
        ([75], "CANCELLED", 0),  # by somebody who does not want it back
        ([76, 138, 143], "RUNNING", 2),  # it never gets as far as its first step
        ([76, 76, 75, 76, 76], "RUNNING", 5),
        ([76, 76, 1, 76, 76], "RUNNING", 4),  # started again by hand
    ],
)
def test_what_was_stopped_goes_back_into_the_queue(
    cluster: Cluster, codes: list[int], state: str, requeued: int
) -> None:
    file = written(cluster, PLAIN)
    cluster.file("state", f"   JobState={state} Reason=None\n")
    for code in codes:
        cluster.file("code", str(code))
        assert cluster.task(file, 0).returncode == code
    assert cluster.said("scontrol").count("requeue 7_0") == requeued


def test_a_task_goes_back_by_itself(cluster: Cluster) -> None:
    file = written(cluster, PLAIN)
    cluster.file("code", "75")
    for number in (0, 3):
        cluster.task(file, number)
    assert cluster.said("scontrol") == ["show job 7_0", "requeue 7_0", "show job 7_3", "requeue 7_3"]


@pytest.mark.parametrize(
    ("extra", "gpus", "asked"),
    [([], None, "gpus-per-node=4"), (["--gres=gpu:4"], None, "gres=gpu:4"), ([], "a100:4", "gpus-per-node=a100:4")],
)
def test_gpus_are_asked_for(extra: list[str], gpus: str | None, asked: str) -> None:
    cfg = OmegaConf.create({"trainer": {"accelerator": "gpu", "devices": 4}})
    settings = replace(PLAIN, extra=extra, gpus_per_node=gpus)
    text = script(
        settings, Size.of(cfg, settings), {0: Job([], Path("x"))}, folder=Path("x"), command="", python="", place=Path()
    )
    assert [line for line in text.splitlines() if "gres" in line or "gpus" in line] == [f"#SBATCH --{asked}"]


def test_a_task_is_its_job_and_one_that_is_finished_is_left_alone(cluster: Cluster) -> None:
    file = written(cluster, PLAIN)
    assert cluster.task(file, 3).stdout == "-m seqtrain seed=1 tags='[a b]'\n"
    manifest = file.parents[1] / "3" / "manifest.json"
    manifest.parent.mkdir()
    manifest.write_text('{\n  "status": "finished"\n}\n')
    assert cluster.task(file, 3).stdout == f"finished before: {manifest.parent}\n"
