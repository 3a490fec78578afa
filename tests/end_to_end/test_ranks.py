"""Two processes of one run, as `torchrun` starts them: one directory, one set of messages, and the numbers of one."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import Seqtrain, manifest

NOISE = ("Initializing distributed", "sync_dist", "Missing logger folder", "distributed_backend", "srun", "Warning")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def run(place: Path, cache: Path) -> Path:
    """A run of two processes, to whom nobody has said where to write; with odd numbers of sentences."""
    ours = Seqtrain(place, cache)
    tiny = [word for word in ours.tiny if word != "logger=none"]
    sizes = ["data.val_size=21", "data.test_size=19", "trainer.accumulate_grad_batches=3"]
    words = [*tiny, *sizes, "trainer.max_epochs=1", "logger=wandb", "logger.mode=offline"]
    first, second = (begun.wait() for begun in ours.ranks(*words))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    (place / "first").write_text(first.stdout + first.stderr)
    (place / "second").write_text(second.stdout + second.stderr)
    (directory,) = (place / "runs" / "captions-gru").iterdir()
    return directory


def test_rank_zero_alone_speaks_and_writes(place: Path, run: Path) -> None:
    said = (place / "first").read_text()
    assert said.count("epoch 1/1") == said.count("translate run=") == 1
    assert not [noise for noise in NOISE if noise in said]
    assert (place / "second").read_text() == ""
    assert manifest(run)["ranks"] == 2
    assert len(list(run.glob("wandb/offline-run-*"))) == 1
    assert {file.name for file in run.glob("*.log")} == {"seqtrain.log"}
    steps = [line["step"] for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())]
    assert sorted(steps) == steps


def test_an_evaluation_by_two_processes_is_that_of_one(place: Path, cache: Path, run: Path) -> None:
    ours = Seqtrain(place, cache)
    alone = ours("evaluate", f"run={run}")
    first, second = (begun.wait() for begun in ours.ranks("evaluate", f"run={run}"))
    assert alone.returncode == first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert second.stdout == ""
    one, two = metrics(alone.stdout), metrics(first.stdout)
    assert one == two
    tested = {name: round(value, 4) for name, value in manifest(run)["results"].items() if name in one}
    assert tested == {name: one[name] for name in tested}
    assert {"test/bleu", "test/nll"} <= tested.keys()


def test_what_is_wrong_is_said_once_and_nobody_waits(tmp_path: Path, cache: Path) -> None:
    ours = Seqtrain(tmp_path, cache)
    first, second = (begun.wait() for begun in ours.ranks(*ours.tiny, "model.hiden=3"))
    assert first.returncode == second.returncode == 2
    assert first.stderr.count("seqtrain: model.hiden=3: no such key") == 1
    assert second.stderr == second.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_what_all_find_wrong_on_the_way_is_said_once(tmp_path: Path, cache: Path) -> None:
    ours = Seqtrain(tmp_path, cache)
    first, second = (begun.wait() for begun in ours.ranks(*ours.tiny, "data.val_size=1"))
    assert first.returncode == second.returncode == 2
    assert first.stderr.count("too few for 2 processes") == 1
    assert second.stderr == second.stdout == ""


def metrics(printed: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(printed)["metrics"]
    return found
