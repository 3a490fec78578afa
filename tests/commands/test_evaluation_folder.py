"""Evaluations that differ in anything that the result depends on do not share a folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from seqtrain.commands.evaluate import folder
from seqtrain.decoding.settings import Decoding
from seqtrain.runs.loading import Loaded
from seqtrain.runs.record import Run

GREEDY = Decoding()


class Pairs:
    """As much of a data module as is asked for."""

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    config = OmegaConf.create({"trainer": {"precision": "32-true", "max_epochs": 3}})
    run = Run(tmp_path / "run")
    return Loaded(run, config, Pairs("ab"), None, run.checkpoints / "best.ckpt", 7)


def test_the_name_says_what_was_measured(loaded: Loaded) -> None:
    place = folder(loaded, Decoding(beam=4), "test")
    assert place.parent == loaded.run.directory / "evaluations"
    assert place.name.startswith("pairs-test-best-beam4-")
    assert len(place.name.rpartition("-")[2]) == 8


@pytest.mark.parametrize(
    "changes",
    [
        {"data": Pairs("cd")},
        {"step": 8},
        {"checkpoint": Path("elsewhere/best.ckpt")},
        {"config": OmegaConf.create({"trainer": {"precision": "bf16-mixed"}})},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_evaluation_has_another_folder(loaded: Loaded, changes: dict[str, Any]) -> None:
    assert folder(replace(loaded, **changes), GREEDY, "test") != folder(loaded, GREEDY, "test")


@pytest.mark.parametrize("other", [{"beam": 2}, {"length_penalty": 0.5}, {"max_length": 9}])
def test_another_search_has_another_folder(loaded: Loaded, other: dict[str, Any]) -> None:
    assert folder(loaded, Decoding(**other), "test") != folder(loaded, GREEDY, "test")


def test_what_a_search_does_not_depend_on_changes_nothing(loaded: Loaded) -> None:
    assert folder(loaded, Decoding(too_long="split"), "test") == folder(loaded, GREEDY, "test")


def test_the_same_one_again_has_the_same_folder_wherever_the_run_is(loaded: Loaded, tmp_path: Path) -> None:
    run = Run(tmp_path / "moved")
    longer = OmegaConf.create({"trainer": {"precision": "32-true", "max_epochs": 5}})
    moved = replace(loaded, run=run, checkpoint=run.checkpoints / "best.ckpt", config=longer)
    assert folder(moved, GREEDY, "test").name == folder(loaded, GREEDY, "test").name
