"""What an evaluation measures with: the run's callbacks, on one device."""

from pathlib import Path
from typing import Any

import pytest

from seqtrain.commands.evaluate import measuring
from seqtrain.config.compose import compose
from seqtrain.decoding.settings import Decoding
from seqtrain.runs.chosen import choose
from tests.commands.test_before_torch import made


def named(overrides: list[str], directory: Path) -> dict[str, Any]:
    found = measuring(compose(overrides).callbacks, Decoding(beam=3), directory)
    return {type(callback).__name__: callback for callback in found.values()}


def test_callbacks_are_set_up_as_in_the_training(tmp_path: Path) -> None:
    settings = ["bleu.edges=[3,5]", "bleu.resamples=0", "bleu.save=false", "buckets.number=3", "attention_maps=null"]
    settings.append("memory_maps=null")
    found = named([f"callbacks.{setting}" for setting in settings], tmp_path)
    assert set(found) == {"BLEU", "Buckets"}
    bleu, buckets = found["BLEU"], found["Buckets"]
    assert (bleu.edges, bleu.resamples, bleu.save, bleu.decoding.beam) == ([3, 5], 0, True, 3)
    assert (buckets.number, buckets.validation) == (3, True)
    assert bleu.directory == buckets.directory == str(tmp_path)


def test_translations_are_scored_in_any_case(tmp_path: Path) -> None:
    assert set(named(["callbacks=none"], tmp_path)) == {"BLEU"}
    assert named(["callbacks.attention_maps.examples=2"], tmp_path)["AttentionMaps"].examples == 2


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([], (1, 1, "auto")),
        (["trainer.devices=2", "trainer.strategy=ddp"], (2, 1, "ddp")),
        (["decoding=beam"], (1, 1, "auto")),
    ],
)
def test_one_device_measures_unless_more_are_asked_for(tmp_path: Path, asked: list[str], expected: Any) -> None:
    run = made(tmp_path / "run", "trainer.devices=2", "trainer.strategy=ddp", "trainer.num_nodes=3")
    trainer = choose([f"run={run}", *asked]).config.trainer
    assert (trainer.devices, trainer.num_nodes, trainer.strategy) == expected
