"""A small search as a user makes it: trials that are trained, others that fail, and the best one trained again."""

import shlex

import yaml

from tests.end_to_end.conftest import Seqtrain, manifest

WORDS = (
    *("-m", "sweep=optuna", "data=adding", "data.size=40", "data.val_size=10", "data.test_size=10"),
    *("trainer.max_epochs=1", "trainer.accelerator=cpu", "trainer.log_every_n_steps=1", "logger=none"),
    *("optimizer=sgd", "scheduler=constant"),
    "optimizer.lr=choice(0.1,1e30)",  # the last one diverges
    "model.hidden=choice(3,9000000)",  # more than any machine has memory for
    *("hydra.sweeper.n_trials=9", "hydra.sweep.dir=all"),
)


def test_a_search_finds_the_best_which_can_be_trained_again(seqtrain: Seqtrain) -> None:
    done = seqtrain(*WORDS)
    assert done.returncode == 1, done.stderr
    assert "seqtrain: 3 of 4 trials failed: " in done.stderr
    assert done.stderr.count("Traceback") == 2
    place = seqtrain.folder / "all"
    found = yaml.safe_load((place / "optimization_results.yaml").read_text())
    records = {trial["trial"]: manifest(place / str(trial["trial"])) for trial in found["trials"]}
    assert sorted(records) == [0, 1, 2, 3]
    for trial in found["trials"]:
        record = records[trial["trial"]]
        wrong = trial["params"]["optimizer.lr"] > 1, trial["params"]["model.hidden"] > 3
        assert record["group"] == "all"
        assert record["status"] == ("failed" if any(wrong) else "finished")
        assert trial.get("error") == record.get("error")
        assert wrong != (False, False) or trial["value"] == record["results"]["best/val/mse"]
        assert wrong != (True, False) or trial["error"] == "there is no best/val/mse: no validation was finite"
    best = found["trials"][0]
    assert (found["best_value"], found["best_params"]) == (best["value"], {"optimizer.lr": 0.1, "model.hidden": 3})
    assert found["best_directory"] == f"all/{best['trial']}"
    assert f"the best: trial {best['trial']}, best/val/mse " in done.stdout

    assert found["best_command"] in done.stdout
    program, words = found["best_command"].split("seqtrain ", 1)
    assert program == "python -m "
    again = seqtrain(*shlex.split(words), "hydra.run.dir=again")
    assert again.returncode == 0, again.stderr
    assert manifest(seqtrain.folder / "again")["results"] == records[best["trial"]]["results"]

    changed = seqtrain(*WORDS, "resume=auto", "model.layers=2")
    assert "model.layers was 1 and is 2" in changed.stderr
    assert seqtrain(*WORDS, "resume=auto").returncode == 1
    assert {number: manifest(place / str(number)) for number in records} == records
