"""A run's directory."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from seqtrain.errors import UserError
from seqtrain.runs.environment import changes, environment, git_state, surroundings
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


def test_a_run_that_is_gone_on_with_keeps_what_its_configuration_was(run: Run) -> None:
    other = OmegaConf.create({"model": {"hidden": 16, "twice": 8, "new": 1}, "seed": 1, "resume": "auto"})
    run.resume(CONFIG)
    run.resume(other)
    assert [part["changed"] for part in run.manifest["resumed"]] == [{}, {"model.hidden": 8, "model.new": None}]
    assert run.manifest["config"]["model"]["hidden"] == 16


def test_a_plain_configuration_has_nothing_from_outside(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "seen")
    assert run.plain_config({})["model"] == {"hidden": 8, "twice": 8}
    run.config_path.write_text("tags: ['${oc.env:SECRET}']\nseed: 1\n")
    assert run.plain_config({}) == {"tags": ["${oc.env:SECRET}"], "seed": 1}


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


LAUGHS = "a: &a [1, 1]\n" + "".join(
    f"{b}: &{b} [{', '.join(f'*{a}' for _ in range(9))}]\n" for a, b in pairwise("abcdefghi")
)


@pytest.mark.parametrize("text", ["[" * 100000, '{"a": ' * 900 + "1" + "}" * 900, "{", "\xff"])
def test_a_manifest_that_cannot_be_read_is_one_message(run: Run, text: str) -> None:
    run.manifest_path.write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match="damaged"):
        _ = run.manifest


DOUBLING = "".join(f"k{i}: ${{k{i + 1}}}${{k{i + 1}}}\n" for i in range(40)) + "k40: x\n"


@pytest.mark.parametrize("text", [LAUGHS, DOUBLING, "[" * 5000, "a: ["])
def test_a_configuration_that_cannot_be_read_is_one_message(run: Run, text: str) -> None:
    run.manifest_path.unlink()
    for path in (run.config_path, run.overrides_path):
        path.write_text(text)
    for read in (lambda: run.config, lambda: run.plain_config({}), lambda: run.overrides):
        with pytest.raises(UserError, match="damaged"):
            read()


@pytest.mark.parametrize("name", ["manifest.json", "metrics.jsonl", ".hydra/config.yaml", ".hydra/overrides.yaml"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(run: Run, name: str) -> None:
    (run.directory / name).unlink(missing_ok=True)
    os.mkfifo(run.directory / name)
    program = """if True:
        import sys
        from pathlib import Path
        from seqtrain.runs.record import Run
        run = Run(Path(sys.argv[1]))
        print(run.metrics(), run.manifest["status"], run.plain_config({})["seed"], run.overrides)
    """
    command = [sys.executable, "-c", program, str(run.directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    said = "[] running 1" if name == "metrics.jsonl" else f"UserError: cannot read {run.directory / name}"
    assert said in done.stdout + done.stderr


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


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The folder of a package in a repository."""
    package = tmp_path / "repository" / "code"
    package.mkdir(parents=True)
    (package / "__init__.py").write_bytes(b"a = 1\n")
    (package / "windows.py").write_bytes(b"a = 1\r\nb = 2\r\n")
    (package / "latin.py").write_bytes(b"# \xe4\na = 1\n")
    assert git_state(package / "__init__.py") is None
    git(package.parent, "init")
    git(package.parent, "config", "diff.noprefix", "true")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-m", "a")
    return package


def git(folder: Path, *arguments: str, given: bytes | None = None) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, input=given)


def test_git_state(package: Path) -> None:
    code = package / "__init__.py"
    state = git_state(code)
    assert state is not None
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    assert changes(package) == b""
    code.write_text("a = 2\n")
    assert git_state(code) == {**state, "dirty": True}
    (package / "installed.py").touch()
    assert git_state(package / "installed.py") is None


def test_changes_can_be_applied_and_have_no_other_files(package: Path) -> None:
    top = package.parent
    changed = {
        "code/__init__.py": b"a = 2\n",
        "code/windows.py": b"a = 1\r\nb = 3\r\n",
        "code/latin.py": b"# \xe4\xf6\na = 2\n",
        "code/new.py": b"\xe4 = 1\r\n",
        "conf/model/new \xe4.yaml": b"a: 1\n",
        "hydra_plugins/new.py": b"a = 1\n",
    }
    others = ["notes.txt", "notes.py", "diary/notes.yaml", "code/notes.txt", "code/data.bin"]
    for name in [*changed, *others]:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(changed.get(name, b"secret"))
    content = changes(package)
    assert content is not None
    assert b"secret" not in content
    git(top, "clone", ".", "again")
    git(top / "again", "apply", "--whitespace=nowarn", given=content)
    assert {name: (top / "again" / name).read_bytes() for name in changed} == changed
    assert not [name for name in others if (top / "again" / name).exists()]


def test_what_git_does_not_tell_is_not_taken_for_no_changes(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (package / "__init__.py").write_text("a = 2\n")
    whole = shutil.which("git")
    fake = package.parent / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\n[ "$1" = diff ] && exit 128\nexec {whole} "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=os.pathsep)
    assert changes(package) is None
    found, content = surroundings("changes.diff")
    assert content == b""
    assert found["git"] is None or found["git"]["changes"] is None


def test_environment_is_json() -> None:
    assert json.loads(json.dumps(environment()))["python"].startswith("3.")


def test_needs_no_torch() -> None:
    program = (
        "import sys, seqtrain.runs.record; sys.exit(any(m in sys.modules for m in ('torch', 'pytorch_lightning')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
