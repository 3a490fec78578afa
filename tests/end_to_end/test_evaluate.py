"""A trained run is measured again: on its own data, on other data, with another search, and when it is damaged."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from seqtrain.config.allow import build
from seqtrain.config.compose import compose
from seqtrain.errors import UserError
from seqtrain.runs.chosen import choose
from seqtrain.runs.loading import load
from tests.end_to_end.conftest import Seqtrain, manifest, message

GERMAN = ["Ein Mann steht im Garten .", "Zwei Frauen laufen am Strand .", "Ein Hund schläft ."]
ENGLISH = ["A man is standing in the garden .", "Two women are running on the beach .", "A dog sleeps ."]


def test_the_test_of_the_training_comes_out_again(seqtrain: Seqtrain, own: Path) -> None:
    config = OmegaConf.load(own / ".hydra" / "config.yaml")
    config.trainer.update({"limit_test_batches": 1, "max_time": "00:00:00:01"})  # as a trial would have been trained
    OmegaConf.save(config, own / ".hydra" / "config.yaml")
    done = seqtrain("evaluate", f"run={own}")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    results = manifest(own)["results"]
    tested = {name: value for name, value in results.items() if name.startswith("test/")}
    assert found["metrics"] == pytest.approx(tested, abs=1e-3)
    assert found["signatures"] == manifest(own)["signatures"]
    (folder,) = own.glob("evaluations/captions-test-best-beam1-*")
    assert json.loads((folder / "results.json").read_text()) == found
    assert (folder / "hypotheses" / "test.txt").read_text() == (own / "hypotheses" / "test.txt").read_text()


def test_own_files_with_a_beam(seqtrain: Seqtrain, own: Path) -> None:
    for name, lines in (("own.de", GERMAN), ("own.en", ENGLISH)):
        (seqtrain.folder / name).write_text("\n".join(lines) + "\n")
    files = [
        "data=pairs",
        "data.test=[own.de,own.en]",
        "data.source=de",
        "data.target=en",
        f"data.cache={seqtrain.cache}",
    ]
    done = seqtrain("evaluate", "run=run", *files, "decoding=beam", "decoding.beam=2", "decoding.max_length=9")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["data"]["sizes"] == {"test": 3}
    assert found["decoding"]["beam"] == 2
    (hypotheses,) = own.glob("evaluations/pairs-test-best-beam2-*/hypotheses")
    assert (hypotheses / "test.source.txt").read_text().splitlines() == GERMAN
    assert len((hypotheses / "test.txt").read_text().splitlines()) == 3


def test_a_damaged_checkpoint_and_the_other_one(seqtrain: Seqtrain, own: Path) -> None:
    best = own / "checkpoints" / "best.ckpt"
    best.write_bytes(best.read_bytes()[:-5000])
    said = message(seqtrain("evaluate", "run=run"), 2)
    assert "best.ckpt is not a checkpoint, or is cut short" in said
    assert "last.ckpt" in said
    assert seqtrain("evaluate", "run=run", "checkpoint=last", "split=val").returncode == 0


def test_a_vocabulary_that_does_not_fit(cache: Path, own: Path) -> None:
    config = compose(["data.size=300", "data.vocabulary=150", f"data.cache={cache}"])
    data = build(config.data, "data", seed=1)
    data.prepare_data()
    data.setup("fit")
    data.save(own / "tokenizer")
    with pytest.raises(UserError, match=r"the checkpoint does not fit the model(.|\n)*the tokenizer of that run"):
        load(choose([f"run={own}"]))
