"""Mistakes in the arguments of `evaluate` and `translate` show at once: one message, before torch is imported."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from seqtrain.config.compose import compose
from seqtrain.errors import UserError
from seqtrain.runs.chosen import choose
from seqtrain.runs.record import Run
from tests.processes import ROOT, WITHOUT_TORCH, assert_one_message

Seqtrain = Callable[..., subprocess.CompletedProcess[str]]


def made(directory: Path, *overrides: str) -> Path:
    """A run that has a record and a file where its checkpoint would be."""
    Run.create(directory, compose(list(overrides)), overrides=list(overrides))
    (directory / "checkpoints").mkdir()
    (directory / "checkpoints" / "best.ckpt").touch()
    return directory


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that translates, `run`, and one that labels, `brackets`."""
    folder = tmp_path_factory.mktemp("runs")
    made(folder / "run", "data.size=100", "trainer.limit_test_batches=2", "debug=fast")
    made(folder / "brackets", "data=brackets")
    return folder


@pytest.fixture
def seqtrain(place: Path) -> Seqtrain:
    """Runs `python -m seqtrain` beside the runs; importing torch is a failure."""

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", dedent(WITHOUT_TORCH), *argv]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=60)

    return run


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("evaluate", "run= is needed"),
        ("evaluate rn=x", "rn=x: no such key; did you mean run? Keys: run, checkpoint, split, data, decoding, trainer"),
        ("evaluate run=nope", "no run at nope: there is no such directory"),
        ("evaluate run=run split=foo", "split=foo: must be test or val"),
        ("evaluate run=run spilt=val", "spilt=val: no such key; did you mean split?"),
        ("evaluate run=run model.hidden=3", "model= cannot be changed for a run that is trained"),
        ("evaluate run=run decoding.beem=3", "decoding.beem=3: no such key; did you mean decoding.beam?"),
        ("evaluate run=run decoding.n_best=3", "decoding.n_best=3 is more than decoding.beam=1"),
        ("evaluate run=run checkpoint=last", "has no last.ckpt"),
        ("evaluate run=run checkpoint=x.ckpt", "there is no checkpoint at x.ckpt"),
        ("evaluate run=run data=brackets", "run was trained for translation, but the data is labelling"),
        ("evaluate run=run data=pairs data.test=[a.de,a.en]", "data.test: a.de is not there"),
        ("evaluate run=run data=pairs", "data.test names no file"),
        ("evaluate run=run data=multi30k data.root=nowhere", "there is nothing at data.root=nowhere"),
        ("translate --foo", "--foo: no such option"),
        ("translate", "run= is needed"),
        ("translate run=run --n-best 0", "--n-best 0: must be 1 or more"),
        ("translate run=run --input nofile", "cannot read nofile: No such file"),
        ("translate run=brackets", "brackets was trained for labelling, not for translation"),
        ("answer run=brackets --json", "brackets was trained for labelling, not for answering"),
    ],
)
def test_mistakes(seqtrain: Seqtrain, argv: str, message: str) -> None:
    done = seqtrain(*argv.split())
    assert_one_message(done, message)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("evaluate", ["run=", "checkpoint=best|last|averaged|PATH", "split=", "data=", "decoding="]),
        ("translate", ["run=", "checkpoint=best|last|averaged|PATH", "--input", "--output", "--n-best", "decoding="]),
        ("answer", ["run=", "checkpoint=best|last|averaged|PATH", "--input", "--output", "--json"]),
        ("reproduce", ["RUN", "--check", "out=", "tolerance=", "data.KEY=", "trainer.accelerator=", "logger="]),
    ],
)
def test_help_lists_every_option(seqtrain: Seqtrain, command: str, options: list[str]) -> None:
    done = seqtrain(command, "--help")
    assert done.returncode == 0, done.stderr
    described = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    for option in options:
        assert any(word.startswith(option) for word in described), option
    first = done.stdout.splitlines()[0]
    overview = seqtrain("--help").stdout
    assert f"  {command} " in overview
    assert first in overview


def test_what_made_the_training_shorter_does_not_count(place: Path) -> None:
    trainer = choose([f"run={place / 'run'}"]).config.trainer
    assert (trainer.limit_test_batches, trainer.fast_dev_run, trainer.max_epochs) == (1.0, False, -1)
    asked = choose([f"run={place / 'run'}", "trainer.limit_test_batches=3", "trainer.accelerator=cpu"]).config.trainer
    assert (asked.limit_test_batches, asked.fast_dev_run, asked.accelerator) == (3, False, "cpu")


def test_groups_that_are_not_touched_stay_the_run_s(place: Path) -> None:
    config = choose([f"run={place / 'run'}", "decoding=beam", "decoding.length_penalty=0.5"]).config
    assert (config.data.size, config.decoding.beam, config.decoding.length_penalty) == (100, 5, 0.5)
    with pytest.raises(UserError, match="was trained for translation"):
        choose([f"run={place / 'run'}", "data=brackets"])
