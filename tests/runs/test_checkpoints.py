"""Checkpoints: whole or not there, plain data only."""

import enum
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqtrain.callbacks.checkpoints import Checkpoints
from seqtrain.callbacks.early_stopping import EarlyStopping
from seqtrain.callbacks.randomness import Randomness
from seqtrain.errors import UserError
from seqtrain.runs.checkpoints import AtomicCheckpointIO, plain, read_checkpoint
from tests.tiny import Numbers, Regression, trainer

CONTENT = {"state_dict": {"w": torch.arange(1000.0)}, "global_step": 3}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "a.ckpt"
    AtomicCheckpointIO().save_checkpoint(CONTENT, path)
    return path


def test_round_trip(saved: Path) -> None:
    loaded = AtomicCheckpointIO().load_checkpoint(saved)
    assert loaded["global_step"] == 3
    assert torch.equal(loaded["state_dict"]["w"], CONTENT["state_dict"]["w"])  # type: ignore[index]
    assert [p.name for p in saved.parent.iterdir()] == ["a.ckpt"]


def test_a_whole_trainings_checkpoint_is_plain(tmp_path: Path) -> None:
    callbacks = [Checkpoints(dirpath=str(tmp_path), monitor="val/loss", mode="min"), Randomness()]
    stop = EarlyStopping(monitor="val/loss", mode="min")
    fitted = trainer(tmp_path, *callbacks, stop, enable_checkpointing=True, plugins=[AtomicCheckpointIO()])
    fitted.fit(Regression(), datamodule=Numbers())
    loaded = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert {"state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks", "randomness"} <= loaded.keys()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_cut_short(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match=r"a\.ckpt is not a checkpoint, or is cut short|a\.ckpt is damaged") as caught:
        read_checkpoint(saved)
    assert caught.value.code == 2


def test_any_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "small.ckpt"
    AtomicCheckpointIO().save_checkpoint({"state_dict": {"w": torch.ones(3)}, "global_step": 3}, path)
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        with pytest.raises(UserError, match=r"small\.ckpt"):
            read_checkpoint(path)


def test_the_records_of_an_archive_without_a_seal_are_compared(tmp_path: Path) -> None:
    torch.save(CONTENT, tmp_path / "plain.ckpt")
    assert read_checkpoint(tmp_path / "plain.ckpt")["global_step"] == 3
    content = bytearray((tmp_path / "plain.ckpt").read_bytes())
    content[bytes(content).index(np.arange(100, 110, dtype=np.float32).tobytes())] ^= 1
    (tmp_path / "plain.ckpt").write_bytes(content)
    with pytest.raises(UserError, match=r"the checksum of .*/data/0 does not match"):
        read_checkpoint(tmp_path / "plain.ckpt")


def test_not_a_checkpoint(tmp_path: Path) -> None:
    text = tmp_path / "readme.txt"
    text.write_text("hello")
    with pytest.raises(UserError, match="not a checkpoint"):
        read_checkpoint(text)
    with pytest.raises(UserError, match="no checkpoint at"):
        read_checkpoint(tmp_path / "nothing.ckpt")
    torch.save({"weights": torch.zeros(2)}, tmp_path / "weights.pt")
    with pytest.raises(UserError, match="no `state_dict`"):
        read_checkpoint(tmp_path / "weights.pt")


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("this must not run",))


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": {}, "extra": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(UserError, match="refused to load"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "evil.ckpt", weights_only=False)
    assert "must not run" not in capsys.readouterr().out


def test_plain_makes_plain_what_can_be() -> None:
    class Colour(enum.Enum):
        RED = "red"

    class Text(str): ...

    made = plain({"p": Path("/a"), "n": np.float64(1.5), "a": np.arange(3), "c": Colour.RED, "t": (Text("x"), [True])})
    assert made["p"] == "/a"
    assert made["n"] == 1.5
    assert type(made["n"]) is float
    assert made["a"].tolist() == [0, 1, 2]
    assert made["c"] == "red"
    assert made["t"] == ("x", [True])
    assert type(made["t"][0]) is str


def test_plain_says_where_it_cannot(saved: Path) -> None:
    with pytest.raises(TypeError, match=r"hyper_parameters\.task\[1\] holds a .*Evil"):
        AtomicCheckpointIO().save_checkpoint({**CONTENT, "hyper_parameters": {"task": [1, Evil()]}}, saved)
    assert read_checkpoint(saved)["global_step"] == 3


def test_full_disk_leaves_the_old_checkpoint(saved: Path) -> None:
    """A limit on the size of files stands for a disk that is full: the system refuses the write in the middle."""
    program = textwrap.dedent("""
        import resource, sys, torch
        from pathlib import Path
        from seqtrain.errors import UserError
        from seqtrain.runs.checkpoints import AtomicCheckpointIO
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            AtomicCheckpointIO().save_checkpoint({"state_dict": {"w": torch.zeros(1_000_000)}}, Path(sys.argv[1]))
        except UserError as error:
            print(error.code, error)
    """)
    done = subprocess.run([sys.executable, "-c", program, str(saved)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"1 cannot write {saved}: File too large"), done.stdout + done.stderr
    assert read_checkpoint(saved)["global_step"] == 3
    assert [p.name for p in saved.parent.iterdir()] == ["a.ckpt"]
