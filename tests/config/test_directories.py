"""Existing runs are not written over, and are gone on with when asked."""

import json
from pathlib import Path

import pytest
import yaml

from seqtrain.config.compose import parse
from seqtrain.config.directories import find_resumed, refuse_existing, resumed_overrides
from seqtrain.errors import UserError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    directory = tmp_path / "it's a run"
    (directory / ".hydra").mkdir(parents=True)
    (directory / "checkpoints").mkdir()
    (directory / "manifest.json").write_text("{}")
    before = ["model=gru", "seed=1", "++optimizer.amsgrad=true", "resume=elsewhere"]
    (directory / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(before))
    return directory


def test_an_existing_run_is_refused_with_both_ways_on(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"already holds a run") as caught:
        refuse_existing(run)
    assert f"resume={run}" in str(caught.value)
    assert "hydra.run.dir=PATH" in str(caught.value)
    refuse_existing(tmp_path / "new" / "deeper")
    assert not (tmp_path / "new").exists()


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        refuse_existing(tmp_path / "file" / "run")


def test_overrides_of_the_run_come_first(run: Path) -> None:
    checkpoint = run / "checkpoints" / "last.ckpt"
    checkpoint.write_text("")
    for named in (run, checkpoint):
        resumed = find_resumed(str(named))
        assert resumed.directory == run
        assert resumed.checkpoints == [checkpoint]
    overrides = resumed_overrides(["resume=now", "seed=2", "optimizer.amsgrad=false"], resumed)
    assert overrides[:4] == ["model=gru", "resume=now", "seed=2", "optimizer.amsgrad=false"]
    assert parse(overrides[4:])[0].value() == str(run)


ATTACKS = [
    "++hydra.callbacks.x={_target_: pathlib.Path.touch, self: {_target_: pathlib.Path, _args_: [PWNED]}}",
    "++hydra.job_logging.handlers.x={\\(\\): os.mkdir, path: PWNED}",
    "hydra.sweeper._target_=os.system",
    "+hydra/launcher=basic",
    "@hydra.launcher=basic",
    "+data@hydra.callbacks=captions",
    "+data@_global_.hydra=captions",
    "++hydra={callbacks: {}}",
    "experiment=../../run/evil",
    "+experiment=[../../run/evil]",
    "+experiment=/anywhere/evil",
    "+experiment='.${oc.decode:.}/evil'",
]


@pytest.mark.parametrize("line", ATTACKS)
def test_what_a_foreign_run_says_cannot_run_code(run: Path, line: str) -> None:
    (run / "checkpoints" / "last.ckpt").write_text("")
    (run / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(["seed=2", line]))
    with pytest.raises(UserError, match="it could run any code"):
        resumed_overrides([], find_resumed(str(run)))


def test_what_a_run_is_recorded_with_is_taken(run: Path) -> None:
    (run / "checkpoints" / "last.ckpt").write_text("")
    lines = [
        "model=gru",
        "data.root=../x",
        "group='${hydra:runtime.choices.model}'",
        "+model={hidden: 7}",
        "~callbacks.bleu",
    ]
    (run / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(lines))
    assert resumed_overrides([], find_resumed(str(run)))[:-1] == lines


@pytest.mark.parametrize("content", [b"\xff\xfe", b"3", b"[a", b"key", b"- not an override"])
def test_a_damaged_record_is_refused(run: Path, content: bytes) -> None:
    (run / "checkpoints" / "last.ckpt").write_text("")
    (run / ".hydra" / "overrides.yaml").write_bytes(content)
    with pytest.raises(UserError):
        resumed_overrides([], find_resumed(str(run)))


def test_where_nothing_can_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be created: File name too long") as caught:
        refuse_existing(tmp_path / "new" / ("x" * 300))
    assert caught.value.code == 1
    with pytest.raises(UserError, match="cannot be"):
        refuse_existing(Path("/proc/x"))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_gone_on_with(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no checkpoint to go on from"):
        find_resumed(str(run))
    with pytest.raises(UserError, match=r"Runs there: .*it's a run"):
        find_resumed(str(tmp_path / "other"))
    with pytest.raises(UserError, match="holds no run"):
        find_resumed(str(tmp_path))
    (tmp_path / "x.ckpt").write_text("")
    with pytest.raises(UserError, match="not in a run's directory"):
        find_resumed(str(tmp_path / "x.ckpt"))


def test_checkpoints_are_tried_from_the_newest_on(run: Path) -> None:
    for names in (["best.ckpt"], ["previous.ckpt", "best.ckpt"], ["last.ckpt", "previous.ckpt", "best.ckpt"]):
        (run / "checkpoints" / names[0]).write_text("")
        assert [file.name for file in find_resumed(str(run)).checkpoints] == names


def test_what_a_run_was_started_with_is_in_its_manifest_too(run: Path) -> None:
    """Hydra's file may be cut short, in a process that was killed."""
    (run / "checkpoints" / "last.ckpt").write_text("")
    (run / "manifest.json").write_text(json.dumps({"overrides": ["model=lstm", "seed=5"]}))
    (run / ".hydra" / "overrides.yaml").write_text("- model=l")
    assert resumed_overrides([], find_resumed(str(run)))[:-1] == ["model=lstm", "seed=5"]
