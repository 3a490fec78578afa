"""A training on a stream that breaks off in the middle, in two processes, and goes on once it is mended."""

from pathlib import Path

import pytest
import torch

from seqtrain.data.captions import drawn
from seqtrain.runs.checkpoints import read_checkpoint
from tests.end_to_end.conftest import Seqtrain, manifest, message

SETTINGS = (
    "data=pairs",
    "data.streaming=true",
    "data.pool=30",
    "data.batch_tokens=400",
    "data.vocabulary=100",
    "model.embedding=8",
    "model.hidden=8",
    "trainer.accelerator=cpu",
    "trainer.max_steps=30",
    "trainer.max_epochs=-1",
    "trainer.val_check_interval=8",
    "trainer.check_val_every_n_epoch=null",
    "callbacks.bleu=null",
    "logger=none",
)


@pytest.fixture
def stream(seqtrain: Seqtrain) -> list[str]:
    """Three shards and what to train on them with."""
    captions = list(drawn(split="train", size=311, seed=1))
    lines = [f"{said['de']}\t{said['en']}\n" for said in captions]
    for name, some in {"0": lines[:150], "1": lines[150:151], "2": lines[151:300], "val": lines[300:]}.items():
        (seqtrain.folder / f"{name}.tsv").write_text("".join(some))
    return [*SETTINGS, "data.train=[0.tsv,1.tsv,2.tsv]", "data.val=val.tsv", f"data.cache={seqtrain.cache}"]


def weights(run: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = read_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"]
    return found


def test_two_processes_stop_where_the_stream_breaks_and_go_on_when_it_is_mended(
    seqtrain: Seqtrain, stream: list[str]
) -> None:
    run, whole = seqtrain.folder / "run", seqtrain.folder / "whole"
    for rank in seqtrain.ranks(*stream, f"hydra.run.dir={whole}"):
        assert rank.wait().returncode == 0
    shard = seqtrain.folder / "2.tsv"
    content = shard.read_text()
    lines = content.splitlines()
    # Of the same size, so that the tokenizer is the one that was learnt from what is right.
    shard.write_text("\n".join([*lines[:59], lines[59].replace("\t", " "), *lines[60:], ""]))
    ended = [rank.wait() for rank in seqtrain.ranks(*stream, f"hydra.run.dir={run}")]
    for done in ended:
        said = message(done, 1)
        assert "2.tsv, line 60 has 1 columns, not 2" in said
    assert manifest(run)["status"] == "failed"
    shard.write_text(content)
    alone = seqtrain(f"resume={run}", "trainer.devices=1", "trainer.strategy=auto")
    assert "processes 2" in message(alone, 2)
    for rank in seqtrain.ranks(f"resume={run}"):
        assert rank.wait().returncode == 0
    first, second = weights(run), weights(whole)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert manifest(run)["data"]["stream"]["digest_of"] == "names and sizes of shards"
