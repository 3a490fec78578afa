"""Exported weights give the outputs of the checkpoint that they come from."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from seqtrain.commands.export import main as export
from seqtrain.decoding.settings import Decoding
from seqtrain.errors import UserError
from seqtrain.models.attention import Attention
from seqtrain.runs.chosen import choose
from seqtrain.runs.exported import load_exported, read_weights, write_weights
from seqtrain.runs.loading import load
from seqtrain.tasks.translation import Translation
from tests.end_to_end.conftest import Seqtrain, manifest, message


def test_the_model_of_an_exported_file_translates_as_the_run_does(seqtrain: Seqtrain, own: Path) -> None:
    done = seqtrain("export", "run=run")
    assert done.returncode == 0, done.stderr
    file = own / "weights.safetensors"
    assert done.stdout.startswith("run/weights.safetensors: ")
    loaded = load(choose([f"run={own}"]))
    loaded.data.setup("test")
    model = load_exported(file)
    for batch in loaded.data.test_dataloader():
        assert model.translate(batch, Decoding(max_length=8)) == loaded.model.translate(batch, Decoding(max_length=8))
    _, said = read_weights(file)
    record = manifest(own)
    assert said["tokenizer_hash"] == record["tokenizer_hash"]
    assert said["commit"] == record["git"]["commit"]
    assert (said["step"], said["checkpoint"]) == (str(loaded.step), "best.ckpt")


def test_shared_parameters_are_written_once_and_are_shared_again(tmp_path: Path) -> None:
    task = Translation(source_vocabulary=9, target_vocabulary=9, shared=True)
    sizes = {"embedding": 4, "hidden": 6, "layers": 1, "tie_embeddings": True}
    model = Attention(task=task, **sizes).eval()  # type: ignore[arg-type]
    write_weights(tmp_path / "w", model, {"_target_": "seqtrain.models.attention.Attention", **sizes})
    again = load_exported(tmp_path / "w")
    with safe_open(str(tmp_path / "w"), framework="pt") as file:
        assert len(file.keys()) == len(list(model.parameters())) + len(list(model.buffers()))
    assert len(list(again.parameters())) == len(list(model.parameters())) < len(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))


def test_what_cannot_be_exported_or_read(own: Path, seqtrain: Seqtrain, tmp_path: Path) -> None:
    assert "no such key; did you mean checkpoint?" in message(seqtrain("export", "run=run", "chekpoint=last"), 2)
    shutil.copytree(own, tmp_path / "two")
    for words, wrong in ((["run=run,two"], "an ensemble"), (["run=run", "out=run"], "cannot write"), ([], "run= is")):
        with pytest.raises(UserError, match=wrong):
            export([word.replace("=run", f"={own}").replace(",two", f",{tmp_path / 'two'}") for word in words])
    (tmp_path / "cut").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    for name in ("cut", "nothing"):
        with pytest.raises(UserError, match="holds no exported weights"):
            load_exported(tmp_path / name)
