"""Two processes: every example counts once, random states of both are kept, a signal to one stops both."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from seqtrain.callbacks.bleu import BLEU
from seqtrain.errors import GO_ON_LATER, NO_FURTHER
from seqtrain.runs.checkpoints import read_checkpoint
from tests.tiny import Texts, Translator, trainer

PROGRAM = """
import json, os, signal, sys
import numpy as np
import pytorch_lightning as pl
import torch
from pathlib import Path
from torch.utils.data import DataLoader
from seqtrain.callbacks.bleu import BLEU
from seqtrain.callbacks.buckets import Buckets
from seqtrain.callbacks.clipping import GradientClipping
from seqtrain.callbacks.interruption import Interruption, InterruptionError
from seqtrain.callbacks.randomness import Randomness
from seqtrain.callbacks.throughput import Throughput
from seqtrain.errors import GO_ON_LATER, NO_FURTHER
from seqtrain.runs.checkpoints import AtomicCheckpointIO
from tests.tiny import Numbers, Regression, Texts, Translator, trainer

folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])

class Halves(Texts):
    # The last batch is given to both ranks, as a padding sampler would.
    def val_dataloader(self):
        batches = self.batches()
        mine = batches[rank::2] if rank == 0 else [*batches[rank::2], batches[-1]]
        return DataLoader(mine, batch_size=None)

    test_dataloader = val_dataloader

    def attributes(self, split):
        return {"place": np.arange(5)}

class Measured(Translator):
    def test_step(self, batch, batch_idx):
        return {"odd": (batch.index % 2).float()}

class Signal(pl.Callback):
    def on_train_batch_start(self, trainer, *_):
        if rank == 1 and trainer.global_step == 1 and trainer.current_epoch == 0:
            os.kill(os.getpid(), signal.SIGINT)

    def on_save_checkpoint(self, *_):
        if rank == 0:  # its own first one
            os.kill(os.getpid(), signal.SIGINT)

class Uneven(Numbers):
    def val_dataloader(self):
        return DataLoader(list(self.loader(2))[: 4 - 2 * rank], batch_size=None)

class InValidation(pl.Callback):
    def on_validation_batch_end(self, trainer, *_):
        if rank == 1 and not trainer.sanity_checking:
            os.kill(os.getpid(), signal.SIGUSR1)

options = dict(devices=2, num_nodes=1, strategy="ddp", use_distributed_sampler=False, plugins=[AtomicCheckpointIO()])
tester = trainer(folder, BLEU(), Buckets(number=2), **options)
tester.test(Measured(), datamodule=Halves(), verbose=False)
score = float(tester.callback_metrics["test/bleu"])
torch.manual_seed(rank)
callbacks = [Randomness(), GradientClipping(), Throughput(), Signal(), Interruption(directory=str(folder))]
fitted = trainer(folder, *callbacks, **options)
try:
    fitted.fit(Regression(dropout=0.5), datamodule=Numbers())
    stopped = False
except InterruptionError:
    stopped = True

place = folder / "validation"
last, codes, model = place / "checkpoints" / "last.ckpt", [], Regression(dropout=0.5)
for checkpoint in (None, last):
    fitted_again = trainer(place, Randomness(), InValidation(), Interruption(directory=str(place)), **options)
    try:
        fitted_again.fit(model, datamodule=Uneven(), ckpt_path=checkpoint)
    except InterruptionError as error:
        codes.append(error.code)
trainer(place, Randomness(), **options).fit(model, datamodule=Uneven(), ckpt_path=last)
found = {"bleu": score, "stopped": stopped, "step": fitted.global_step}
(folder / f"{rank}.json").write_text(json.dumps({**found, "codes": codes, "validated": model.validations}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ranks")
    (path / "program.py").write_text(textwrap.dedent(PROGRAM))
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*command, str(path / "program.py"), str(path)],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        preexec_fn=_default_signals,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return path


def _default_signals() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def results(folder: Path) -> list[dict[str, Any]]:
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_bleu_is_that_of_one_process(folder: Path, tmp_path: Path) -> None:
    alone = trainer(tmp_path, BLEU())
    alone.test(Translator(), datamodule=Texts(), verbose=False)
    first, second = results(folder)
    assert first["bleu"] == second["bleu"] == float(alone.callback_metrics["test/bleu"])
    written = [(path / "hypotheses" / "test.txt").read_text() for path in (folder, tmp_path)]
    assert written[0] == written[1]


def test_every_example_is_in_one_bucket_once(folder: Path) -> None:
    found = json.loads((folder / "buckets.json").read_text())
    first, second = {"low": 0, "high": 2, "count": 3, "odd": 1 / 3}, {"low": 3, "high": 4, "count": 2, "odd": 0.5}
    assert found == {"place": [pytest.approx(first), pytest.approx(second)]}


def test_signal_to_one_rank_stops_both_at_the_same_step(folder: Path) -> None:
    first, second = results(folder)
    assert first["stopped"]
    assert second["stopped"]
    assert first["step"] == second["step"] == 2


def test_signal_to_one_rank_breaks_the_validation_of_both_off(folder: Path) -> None:
    for rank in results(folder):
        assert rank["codes"] == [GO_ON_LATER, NO_FURTHER]
        assert [step for step, _ in rank["validated"]] == [4, 8]


def test_checkpoint_has_the_random_state_of_both(folder: Path) -> None:
    states = read_checkpoint(folder / "checkpoints" / "last.ckpt")["randomness"]["states"]
    assert len(states) == 2
    assert not torch.equal(states[0]["torch"], states[1]["torch"])
