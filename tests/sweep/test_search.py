"""A search from its first trial to its last, with trainings that are made up."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from seqtrain.config.compose import compose
from seqtrain.errors import UserError
from seqtrain.runs.files import write_json
from seqtrain.runs.record import Run
from seqtrain.sweep.search import Search
from seqtrain.sweep.settings import Settings
from seqtrain.sweep.space import Space
from seqtrain.sweep.study import Question

TWO = ("optimizer.lr=tag(log,interval(1e-4,1e-1))", "model.hidden=range(1,9)")


default = cache(lambda: compose([]))


def question(*overrides: str) -> Question:
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return Question(Space.of(parsed, default()), "val/nll", "min")


def training(
    directory: Path, result: Callable[[dict[str, Any]], float], *, stops_in: int | None = None
) -> Callable[[int, list[str]], None]:
    """What a search launches: a record that has a result of the values, or the error of finding it."""

    def launch(number: int, overrides: list[str]) -> None:
        place = directory / str(number)
        record = Run(place)
        write_json(record.manifest_path, {"status": "running"})
        if number == stops_in:
            record.finish("interrupted")
            raise SystemExit(1)
        try:
            values = {key: yaml.safe_load(value) for key, value in (line.split("=") for line in overrides)}
            record.finish("finished", results={"best/val/nll": result(values)})
        except ZeroDivisionError as error:
            record.finish("failed", error=error)

    return launch


def bowl(values: dict[str, Any]) -> float:
    return float((values["optimizer.lr"] - 0.01) ** 2 + values["model.hidden"])


def results(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((directory / "optimization_results.yaml").read_text())
    return content


def settings(trials: int, **others: Any) -> Settings:
    return Settings(**{"n_trials": trials, "sampler": "tpe", "seed": 1, **others})


def tried(directory: Path) -> list[float]:
    """The learning rates in the order in which they were tried."""
    return [t["params"]["optimizer.lr"] for t in sorted(results(directory)["trials"], key=lambda t: t["trial"])]


@contextmanager
def refused() -> Iterator[pytest.ExceptionInfo[UserError]]:
    with pytest.raises(UserError) as caught:
        yield caught


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def result(values: dict[str, Any]) -> float:
        hidden = values["model.hidden"]
        return float("nan") if hidden == 16 else 1 / (hidden - 8) if hidden != 32 else 0.01

    asked = question("model.hidden=choice(4,8,16,32,64)")
    with refused() as caught:
        Search(settings(9), asked, tmp_path, training(tmp_path, result)).run()
    assert caught.value.code == 1
    found = results(tmp_path)
    trials = {trial["params"]["model.hidden"]: trial for trial in found["trials"]}
    shown = capsys.readouterr().out
    # No values are tried twice.
    assert sorted(trials) == [4, 8, 16, 32, 64]
    assert "the search ends with 5 trials" in shown
    assert trials[8]["error"] == "ZeroDivisionError: division by zero"
    assert trials[16]["error"] == "best/val/nll is nan"
    assert {Run(tmp_path / str(trials[hidden]["trial"])).status for hidden in (8, 16)} == {"failed"}
    failed = sorted(trials[hidden]["trial"] for hidden in (8, 16))
    assert f"2 of 5 trials failed: {failed[0]}, {failed[1]}" in str(caught.value)
    assert (found["best_params"], found["best_value"]) == ({"model.hidden": 4}, -0.25)
    assert found["best_directory"] == str(tmp_path / str(trials[4]["trial"]))
    assert f"the best: trial {trials[4]['trial']}, best/val/nll -0.2500" in shown


def test_a_search_that_was_stopped_is_the_same_when_it_has_gone_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, whole, part = question(*TWO), tmp_path / "whole", tmp_path / "part"
    for directory in (whole, part):
        directory.mkdir()
    Search(settings(14), asked, whole, training(whole, bowl)).run()

    with pytest.raises(SystemExit):
        Search(settings(14), asked, part, training(part, bowl, stops_in=11)).run()
    assert f"resume=auto hydra.sweep.dir={part}" in capsys.readouterr().err
    assert len(results(part)["trials"]) == 11
    # What a killed process has written of a line is no line.
    with open(part / "optuna.journal", "a") as journal:
        journal.write('{"op_co')
    Search(settings(13), asked, part, training(part, bowl)).run()
    assert "trial 11 (12 of 13)" in capsys.readouterr().out
    Search(settings(14), asked, part, training(part, bowl)).run()
    assert "trial 12" not in capsys.readouterr().out
    assert results(part)["trials"] == results(whole)["trials"]
    assert len(set(tried(whole))) == 14


def test_what_is_learned_changes_what_is_tried(tmp_path: Path) -> None:
    def opposite(values: dict[str, Any]) -> float:
        return -bowl(values)

    found = {}
    for name, result, sampler in (("a", bowl, "tpe"), ("b", opposite, "tpe"), ("c", bowl, "random")):
        (tmp_path / name).mkdir()
        Search(settings(12, sampler=sampler), question(*TWO), tmp_path / name, training(tmp_path / name, result)).run()
        found[name] = tried(tmp_path / name)
    assert found["a"][:10] == found["b"][:10] == found["c"][:10]
    assert len({found[name][-1] for name in found}) == 3


def test_the_seed_is_the_search_s_own(tmp_path: Path) -> None:
    found = []
    for seed in (1, 1, 2):
        place = tmp_path / str(len(found))
        place.mkdir()
        Search(settings(2, seed=seed), question(*TWO), place, training(place, bowl)).run()
        found.append(tried(place))
    assert found[0] == found[1] != found[2]


def test_another_search_is_not_gone_on_with(tmp_path: Path) -> None:
    Search(settings(1), question(*TWO), tmp_path, training(tmp_path, bowl)).run()
    with refused() as caught:
        Search(settings(2), question(TWO[0], "model.hidden=range(1,8)"), tmp_path, training(tmp_path, bowl))
    assert "differs from this one in model.hidden" in str(caught.value)
    (tmp_path / "optuna.journal").write_text("garbage\n")
    with refused() as caught:
        Search(settings(2), question(*TWO), tmp_path, training(tmp_path, bowl))
    assert f"{tmp_path / 'optuna.journal'}: holds no search that can be read" in str(caught.value)
