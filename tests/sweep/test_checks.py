"""What is wrong with a search shows before its first trial."""

from argparse import Namespace
from pathlib import Path

import pytest

from seqtrain.config import launch
from seqtrain.errors import UserError
from seqtrain.sweep import checks


def prepare(*overrides: str, multirun: bool = True, extra: Path | None = None) -> list[str]:
    flags = Namespace(multirun=multirun, config_path=None, config_dir=extra, config_name=None)
    return launch.prepare(launch.Request(flags, list(overrides)))


def refusal(*overrides: str, multirun: bool = True) -> str:
    with pytest.raises(UserError) as caught:
        prepare(*overrides, multirun=multirun)
    assert caught.value.code == 2
    return str(caught.value)


HIDDEN = ("sweep=optuna", "data=brackets", "model.hidden=choice(8,16)")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sweep=optuna", "seed=3"], "a search needs a key to search in"),
        ([*HIDDEN, "model.dropout=interval(0,2)"], "model.dropout=interval(0,2): model.dropout=2.0: must be a number"),
        ([*HIDDEN, "model=choice(gru,memn2n)"], "model=choice(gru,memn2n): model.hidden=8: no such key"),
        ([*HIDDEN, "data=choice(brackets,adding)"], "trials would be judged by val/accuracy, others by val/mse"),
        ([*HIDDEN, "hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials=0: must be a whole number of at least 1"),
        ([*HIDDEN, "hydra.sweeper.sampler=grid"], "hydra.sweeper.sampler='grid': must be one of tpe, random"),
        ([*HIDDEN, "hydra.sweeper.seed=1,2"], "hydra.sweeper.seed=1,2: Hydra's own keys cannot be searched"),
        ([*HIDDEN, "hydra.sweep.subdir=all"], "Leave hydra.sweep.subdir out"),
        ([*HIDDEN, "~callbacks.checkpoint"], "there is no checkpoint that is the best"),
        ([*HIDDEN, "resume=auto"], "add hydra.sweep.dir=PATH"),
    ],
)
def test_mistakes_are_refused(overrides: list[str], message: str) -> None:
    assert message in refusal(*overrides)


def test_intervals_without_a_search_are_refused() -> None:
    assert "Search in it: sweep=optuna" in refusal("model.dropout=interval(0,0.5)")
    assert "to search for the best sweep=optuna" in refusal("model.dropout=interval(0,0.5)", multirun=False)


def test_without_optuna_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    assert "pip install 'seqtrain[sweep]'" in refusal(*HIDDEN)


def test_a_search_is_one_process_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert "Start it once" in refusal(*HIDDEN, "hydra.sweep.dir=x")


def test_a_search_is_gone_on_with_only_if_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "optuna.journal").touch()
    assert "already holds a search\n  Go on with it: resume=auto." in refusal(*HIDDEN, f"hydra.sweep.dir={tmp_path}")


def test_a_yaml_of_one_s_own_names_keys_and_the_command_line_comes_on_top(tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "mine.yaml").write_text(
        "# @package _global_\ndefaults: [optuna]\nhydra:\n  sweeper:\n    params:\n"
        "      optimizer.amsgrad: choice(true,false)\n      model.hidden: choice(8,16)\n      seed: choice(1,2)\n"
    )
    given = prepare("sweep=mine", "data=brackets", "model.hidden=4", "seed=3,4", multirun=False, extra=tmp_path)
    task = [override for override in given if not override.startswith("hydra.")]
    assert task[:3] == ["model.hidden=4", "sweep=mine", "data=brackets"]
    assert task[3:] == ["++optimizer.amsgrad=choice(true,false)", "seed=3,4"]
