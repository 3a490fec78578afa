"""What cannot be sent is refused before anything is written."""

from argparse import Namespace
from pathlib import Path

import pytest

from seqtrain.config import launch
from seqtrain.errors import UserError
from tests.slurm.cluster import Cluster


@pytest.fixture(autouse=True)
def _cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", Cluster(tmp_path / "cluster").path)


def prepare(*overrides: str, multirun: bool = True, extra: Path | None = None) -> list[str]:
    flags = Namespace(multirun=multirun, config_path=None, config_dir=extra, config_name=None)
    return launch.prepare(launch.Request(flags, ["launcher=slurm", "data=adding", *overrides]))


def refusal(*overrides: str, multirun: bool = True) -> str:
    with pytest.raises(UserError) as caught:
        prepare(*overrides, multirun=multirun)
    assert caught.value.code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["hydra.launcher.partitoin=x"], "no such key; did you mean hydra.launcher.partition?"),
        (["hydra.launcher.time=90"], "hydra.launcher.time=90: must be a time as 02:30:00 or 1-12:00:00"),
        (["hydra.launcher.extra=[constraint]"], "'constraint': must be an option of sbatch"),
        (["hydra.launcher.tasks_per_node=2"], "the trainer has trainer.devices=1\n  Set trainer.devices=2"),
        (["hydra.launcher.nodes=2", "trainer.devices=2"], "the trainer has trainer.num_nodes=1"),
        (["trainer.devices=auto"], "SLURM has to know how many processes to start"),
        (["trainer.devices=1,2"], "these are of several (nodes x devices): 1 x 1, 1 x 2"),
        (["optimizer.lr=1e-3,no"], "job 1 (launcher=slurm data=adding optimizer.lr=no)"),
        (["seed=1,2", "hydra.sweep.dir=all", "hydra.sweep.subdir=x"], "seed=2): would write to all/x, as job 0 does"),
        (["sweep=optuna", "model.hidden=choice(3,4)"], "launcher=slurm waits for none"),
    ],
)
def test_mistakes(overrides: list[str], message: str) -> None:
    assert message in refusal(*overrides)


def test_a_single_training_is_checked_too(tmp_path: Path) -> None:
    assert "trainer has trainer.devices=1" in refusal("hydra.launcher.tasks_per_node=2", multirun=False)
    given = prepare("hydra.run.dir=one", multirun=False)
    assert "hydra.mode=MULTIRUN" in given
    assert "hydra.sweep.dir='one'" in given
    assert not (tmp_path / "one").exists()


def test_a_file_of_one_s_own(tmp_path: Path) -> None:
    (tmp_path / "launcher").mkdir()
    file = tmp_path / "launcher" / "mine.yaml"
    text = "# @package _global_\ndefaults:\n  - slurm\nhydra:\n  launcher:\n"
    file.write_text(f"{text}    partition: gpu\n    time: 02:30:00\n")
    prepare("launcher=mine", extra=tmp_path)
    file.write_text(f"{text}    partitoin: gpu\n")
    with pytest.raises(UserError, match=r"hydra.launcher.partitoin='gpu': no such key; did you mean"):
        prepare("launcher=mine", extra=tmp_path)


def test_without_sbatch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "needs sbatch, which is not there" in refusal()


def test_several_processes_would_send_everything_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"JOB_ID": "7", "STEP_ID": "0", "PROCID": "0", "NTASKS": "2"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert "Start it once" in refusal("hydra.sweep.dir=x")
