"""A training on a stream that breaks off in the middle, in two processes, and goes on once it is mended."""

import pytest

from seqtrain.data.captions import drawn
from seqtrain.runs.checkpoints import read_checkpoint
from tests.end_to_end.conftest import Seqtrain, manifest, message

SETTINGS = (
    "data=pairs",
    "data.streaming=true",
    "data.pool=30",
    "data.batch_tokens=400",
    "data.tokenizer_pairs=150",
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


def test_two_processes_stop_where_the_stream_breaks_and_go_on_when_it_is_mended(
    seqtrain: Seqtrain, stream: list[str]
) -> None:
    run, last = seqtrain.folder / "run", seqtrain.folder / "run" / "checkpoints" / "last.ckpt"
    shard = seqtrain.folder / "2.tsv"
    content = shard.read_text()
    lines = content.splitlines()
    shard.write_text("\n".join([*lines[:59], lines[59].replace("\t", " "), *lines[60:], ""]))
    ended = [rank.wait() for rank in seqtrain.ranks(*stream, f"hydra.run.dir={run}")]
    assert "2.tsv, line 60 has 1 columns, not 2" in message(ended[0], 1)
    assert (ended[1].returncode, ended[1].stderr) == (1, "")  # what all processes find is said once
    assert manifest(run)["status"] == "failed"
    shard.write_text(content)
    before = read_checkpoint(last)
    for rank in seqtrain.ranks(f"resume={run}"):
        assert rank.wait().returncode == 0
    after = read_checkpoint(last)
    assert 0 < before["global_step"] < after["global_step"] == 30
    assert before["Pairs"]["trained"] == before["global_step"]
    assert after["Pairs"]["trained"] == 30
    assert before["Pairs"]["cut"] == after["Pairs"]["cut"]
    assert manifest(run)["data"]["stream"]["digest_of"] == "names and sizes of shards"
