"""Commands in processes of their own, as a user runs them, and one small trained run that the tests share."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end import warm
from tests.processes import RANKS, ROOT

SETTINGS = (
    "data.size=300",
    "data.val_size=20",
    "data.test_size=20",
    "data.vocabulary=200",
    "data.batch_tokens=128",
    "model.embedding=16",
    "model.hidden=16",
    "decoding.max_length=20",
    "optimizer.lr=0.01",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
    "logger=none",
    "callbacks.bleu.resamples=50",
)
"""A training on captions of a few seconds."""


class Seqtrain:
    """Runs `python -m seqtrain` in a folder; what it caches is shared by all.

    Called, it is a process that has imported PyTorch already, which takes most of the time of a small training:
    `start` and `cold` are what a user runs.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.cache = cache
        self.tiny = [*SETTINGS, f"data.cache={cache}"]

    @property
    def environment(self) -> dict[str, str]:
        ours = {"PYTHONPATH": str(ROOT), "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"}
        return {name: value for name, value in os.environ.items() if name not in RANKS} | ours

    def __call__(self, *words: str | Path, stdin: str | bytes = b"") -> subprocess.CompletedProcess[str]:
        return self.begin(*words, stdin=stdin).wait()

    def begin(self, *words: str | Path, stdin: str | bytes = b"", **environment: str | None) -> warm.Started:
        """The same, begun and not waited for; with variables of its own, or without one that is None."""
        given = stdin.encode() if isinstance(stdin, str) else stdin
        variables = {name: value for name, value in (self.environment | environment).items() if value is not None}
        return warm.Started([str(word) for word in words], self.folder, variables, given)

    def ranks(
        self, *words: str | Path, number: int = 2, strategy: str | None = "ddp", **environment: str
    ) -> list[warm.Started]:
        """The processes of one run, begun as `torchrun` begins them; `strategy` is None where the words say which."""
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(number)} | environment
        common |= {"LOCAL_WORLD_SIZE": str(number), "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "test"}
        asked = [*words, f"trainer.devices={number}", *([f"trainer.strategy={strategy}"] if strategy else [])]
        return [self.begin(*asked, RANK=str(rank), LOCAL_RANK=str(rank), **common) for rank in range(number)]

    def cold(
        self, *words: str | Path, preexec_fn: Callable[[], None] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=240,
            preexec_fn=preexec_fn,
        )

    def start(self, *words: str | Path, **options: Any) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self.command(*words), cwd=self.folder, env=self.environment, **options)

    @staticmethod
    def command(*words: str | Path) -> list[str]:
        return [sys.executable, "-m", "seqtrain", *map(str, words)]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def seqtrain(tmp_path: Path, cache: Path) -> Seqtrain:
    return Seqtrain(tmp_path, cache)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A run on captions that ended well. Not to be written to: see `own`."""
    folder = tmp_path_factory.mktemp("trained")
    run = Seqtrain(folder, cache)
    done = run.cold(*run.tiny, "trainer.max_epochs=3", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr + done.stdout
    (folder / "stdout").write_text(done.stdout)
    (folder / "stderr").write_text(done.stderr)
    return folder / "run"


@pytest.fixture
def own(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained run, to spoil."""
    return shutil.copytree(trained, tmp_path / "run")


def manifest(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "manifest.json").read_text())
    return content


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def message(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one message of a command that failed as it should."""
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    assert done.returncode == code, done.stderr
    assert done.stderr.count("seqtrain: ") == 1, done.stderr
    return done.stderr
