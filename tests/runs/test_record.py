"""A run's directory."""

import hashlib
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from seqtrain.errors import UserError
from seqtrain.runs.environment import changes, environment, git_state
from seqtrain.runs.record import Run

CONFIG = OmegaConf.create({"model": {"hidden": 8, "twice": "${model.hidden}"}, "seed": 1})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", CONFIG, overrides=["seed=1"], seed=1, choices={"model": "gru"})


def test_begins_as_running_with_its_environment(run: Run) -> None:
    manifest = json.loads((run.directory / "manifest.json").read_text())
    assert manifest["status"] == "running"
    assert manifest["seed"] == 1
    assert manifest["overrides"] == ["seed=1"]
    assert manifest["versions"]["pytorch-lightning"]
    assert manifest["hardware"]["cores"] >= 1
    assert manifest["hardware"]["memory_gib"] > 0
    assert run.config.model.twice == 8


def test_the_record_is_enough_to_do_it_again(run: Run) -> None:
    manifest = run.manifest
    assert manifest["record"] == 2
    assert manifest["config"] == {"model": {"hidden": 8, "twice": 8}, "seed": 1}
    # Every package that seqtrain stands on, those that only others ask for included.
    for name in ("torch", "hydra-core", "sympy", "aiohttp", "pyyaml"):
        assert manifest["versions"][name] == metadata.version(name)
    assert not {"pytest", "ruff"} & manifest["versions"].keys()
    pins = Path(__file__).parents[2] / "constraints.txt"
    assert manifest["lock"] == hashlib.sha256(pins.read_bytes()).hexdigest()


def test_a_record_of_the_first_version_is_read_and_one_of_a_later_is_refused(run: Run) -> None:
    old = {"status": "finished", "versions": {"torch": "2.0"}, "results": {"test/nll": 1.0}}
    run.manifest_path.write_text(json.dumps(old))
    nothing = dict.fromkeys(("config", "lock", "numerics", "parent"))
    assert run.manifest == {**old, **nothing, "record": 2}
    assert run.config.model.twice == 8  # of the file
    run.manifest_path.write_text(json.dumps({**old, "record": 3}))
    with pytest.raises(UserError, match="is of version 3 of the record, and this seqtrain reads up to 2"):
        _ = run.manifest
    run.manifest_path.write_text("[]")
    with pytest.raises(UserError, match="holds no JSON object"):
        _ = run.manifest


def test_configuration_that_hydra_wrote_is_left(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text("seed: 7\n")
    (tmp_path / ".hydra" / "overrides.yaml").write_text("- seed=7\n")
    made = Run.create(tmp_path, CONFIG, overrides=["ignored=1"])
    assert made.config_path.read_text() == "seed: 7\n"
    assert made.manifest["overrides"] == ["seed=7"]


def test_fields_are_merged_and_it_ends(run: Run) -> None:
    run.write_manifest(parameters=10)
    run.write_manifest(fingerprint="ab")
    run.finish("failed", results={"test/bleu": 12.5}, error=ValueError("oh"))
    opened = Run.open(run.directory)
    assert opened.status == "failed"
    assert opened.manifest["parameters"] == 10
    assert opened.manifest["fingerprint"] == "ab"
    assert opened.manifest["results"] == {"test/bleu": 12.5}
    assert opened.manifest["error"] == "ValueError: oh"
    assert opened.manifest["finished"] >= opened.manifest["started"]
    opened.resume(CONFIG)
    assert opened.status == "running"
    assert opened.manifest["error"] is None
    assert len(opened.manifest["resumed"]) == 1
    assert [p.name for p in run.directory.iterdir() if p.name.endswith(".part")] == []


def test_a_run_is_not_overwritten(run: Run) -> None:
    with pytest.raises(UserError, match="resume="):
        Run.create(run.directory, CONFIG)


def test_what_is_no_run(tmp_path: Path, run: Run) -> None:
    with pytest.raises(UserError, match="no such directory"):
        Run.open(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"manifest\.json and \.hydra/config\.yaml missing(.|\n)*are runs in it: run"):
        Run.open(tmp_path)
    run.config_path.unlink()
    with pytest.raises(UserError, match=r"config\.yaml missing"):
        Run.open(run.directory)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        Run.open(tmp_path / "file")


def test_damaged_record(run: Run) -> None:
    run.manifest_path.write_text("{")
    with pytest.raises(UserError, match="damaged"):
        _ = Run.open(run.directory).status
    run.config_path.write_text("a: ${nothing}\n")
    with pytest.raises(UserError, match="damaged"):
        _ = run.config


def test_checkpoints(run: Run) -> None:
    with pytest.raises(UserError, match=r"has no best\.ckpt \(its status: running\)"):
        run.checkpoint("best")
    run.checkpoints.mkdir()
    (run.checkpoints / "last.ckpt").touch()
    assert run.checkpoint("last") == run.checkpoints / "last.ckpt"
    assert Run.open(run.checkpoints / "last.ckpt").directory == run.directory
    with pytest.raises(UserError, match=r"There is last\.ckpt"):
        run.checkpoint("best")


def test_metrics_without_the_line_that_was_cut_short(run: Run) -> None:
    assert run.metrics() == []
    run.metrics_path.write_text('{"step": 0}\n{"step": 1}\n{"st')
    assert run.metrics() == [{"step": 0}, {"step": 1}]


def test_git_state(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    code, other = tmp_path / "code.py", tmp_path / "installed.py"
    assert git_state(code) is None
    code.write_text("a = 1\n")
    git("init")
    git("add", "code.py")
    git("commit", "-m", "a")
    state = git_state(code)
    assert state is not None
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    assert changes(code) == ""
    code.write_text("a = 2\n")
    assert git_state(code) == {**state, "dirty": True}
    other.write_text("b = 1\n")
    (tmp_path / "data.bin").write_bytes(b"\0" * 99)
    assert git_state(other) is None
    differing = changes(code)
    # Applied to the commit it gives the same files again.
    git("clone", ".", "again")
    done = subprocess.run(["git", "apply"], cwd=tmp_path / "again", input=differing, text=True, check=False)
    assert done.returncode == 0
    assert (tmp_path / "again" / "code.py").read_text() == "a = 2\n"
    assert (tmp_path / "again" / "installed.py").read_text() == "b = 1\n"
    assert not (tmp_path / "again" / "data.bin").exists()


def test_environment_is_json() -> None:
    assert json.loads(json.dumps(environment()))["python"].startswith("3.")


def test_needs_no_torch() -> None:
    program = (
        "import sys, seqtrain.runs.record; sys.exit(any(m in sys.modules for m in ('torch', 'pytorch_lightning')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
