"""What a training goes on from."""

from pathlib import Path

import pytest
import torch

from seqtrain.commands.resuming import checkpoint_to_resume
from seqtrain.errors import UserError
from seqtrain.runs.checkpoints import AtomicCheckpointIO, read_checkpoint, set_aside

NAMES = ("last.ckpt", "previous.ckpt", "best.ckpt")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with three checkpoints."""
    for step, name in enumerate(("best.ckpt", "last.ckpt", "last.ckpt")):
        AtomicCheckpointIO().save_checkpoint(
            {"state_dict": {"w": torch.ones(50)}, "global_step": step}, tmp_path / "run" / "checkpoints" / name
        )
    (tmp_path / "run" / "manifest.json").write_text("{}")
    return tmp_path / "run"


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def test_a_run_that_is_named_is_gone_on_with_wherever_the_new_one_is_written(run: Path, tmp_path: Path) -> None:
    last = run / "checkpoints" / "last.ckpt"
    assert checkpoint_to_resume(str(run), tmp_path / "other") == (last, {})
    assert checkpoint_to_resume(str(last), tmp_path / "other") == (last, {})
    assert checkpoint_to_resume("auto", run) == (last, {})
    assert checkpoint_to_resume("auto", tmp_path / "other") == (None, {})
    assert checkpoint_to_resume(None, run) == (None, {})


def test_the_newest_that_is_whole_is_taken(run: Path) -> None:
    files = [run / "checkpoints" / name for name in NAMES]
    assert [read_checkpoint(file)["global_step"] for file in files] == [2, 1, 0]
    for number, file in enumerate(files[:-1]):
        damage(file)
        chosen, wrong = checkpoint_to_resume("auto", run)
        assert chosen == files[number + 1]
        assert list(wrong) == files[: number + 1]
        assert all(str(path) in reason for path, reason in wrong.items())
    damage(files[-1])
    for resume in (str(run), "auto"):
        with pytest.raises(UserError, match=r"no checkpoint to go on from: .*last.*previous.*best") as caught:
            checkpoint_to_resume(resume, run)
        assert caught.value.code == 2
    with pytest.raises(UserError, match=r"last\.ckpt"):
        checkpoint_to_resume(str(files[0]), run)


def test_a_damaged_one_does_not_take_the_place_of_the_one_before(run: Path) -> None:
    last, previous = (run / "checkpoints" / name for name in NAMES[:2])
    damage(last)
    set_aside(last, "damaged")
    AtomicCheckpointIO().save_checkpoint({"state_dict": {}, "global_step": 3}, last)
    assert [read_checkpoint(file)["global_step"] for file in (last, previous)] == [3, 1]
