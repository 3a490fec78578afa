"""Two processes share the streams of a text, and each carries the state of its own."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models.test_carried_state import chars, model
from tests.tiny import trainer

SIZES = {"size": 5000, "val_share": 0.8, "test_share": 0.0}
"""Ten batches of training, and text to validate on that fills two streams."""

PROGRAM = """
import json, os, sys
from functools import partial
import torch
from pathlib import Path
from tests.models.test_carried_state import chars, model
from tests.models.test_carried_state_ranks import SIZES
from tests.tiny import trainer

folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
data = chars(**SIZES)
network = model(data, "lstm", dropout=0.0)
network.optimize_with(partial(torch.optim.SGD, lr=0.5))
fitted = trainer(folder, devices=2, num_nodes=1, strategy="ddp", use_distributed_sampler=False)
fitted.fit(network, datamodule=data)
if rank == 0:
    torch.save(network.state_dict(), folder / "weights.pt")
result = {"bits": float(fitted.callback_metrics["val/bits"])}
(folder / f"{rank}.json").write_text(json.dumps(result))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ranks")
    (path / "program.py").write_text(textwrap.dedent(PROGRAM))
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(path / "program.py"), str(path)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return path


def results(folder: Path) -> list[dict[str, Any]]:
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_two_processes_train_as_one_does_on_the_same_streams(folder: Path, tmp_path: Path) -> None:
    data = chars(**SIZES)
    alone = model(data, "lstm")
    alone.optimize_with(lambda parameters: torch.optim.SGD(parameters, lr=0.5))
    fitted = trainer(tmp_path)
    fitted.fit(alone, datamodule=data)
    torch.testing.assert_close(torch.load(folder / "weights.pt"), dict(alone.state_dict()), rtol=1e-4, atol=1e-5)
    bits = float(fitted.callback_metrics["val/bits"])
    assert [result["bits"] for result in results(folder)] == pytest.approx([bits, bits], rel=1e-4)
