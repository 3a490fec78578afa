"""Whether two runs are one and the same: what they found, what they wrote and what they would go on from."""

from pathlib import Path
from typing import Any

import torch

from seqtrain.runs.checkpoints import read_checkpoint
from tests.end_to_end.conftest import manifest, metrics

TIMING = ("train/tokens_per_second", "train/examples_per_second", "train/data_share")


def assert_same(whole: Path, resumed: Path) -> None:
    """Two runs' results, curves, texts, weights and all that a training goes on from."""
    assert manifest(resumed)["results"] == manifest(whole)["results"]
    ours, theirs = (
        [{key: value for key, value in line.items() if key not in TIMING} for line in metrics(run)]
        for run in (resumed, whole)
    )
    assert ours == theirs
    for file in (whole / "hypotheses").glob("*"):
        assert (resumed / "hypotheses" / file.name).read_bytes() == file.read_bytes()
    for name in ("best.ckpt", "last.ckpt"):
        mine, other = (read_checkpoint(run / "checkpoints" / name) for run in (resumed, whole))
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "ema", "randomness", "validation", "carried"):
            assert equal(mine.get(part), other.get(part)), (name, part)


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)
