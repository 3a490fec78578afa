"""Studies: every one of them composes, and what is finished is not made again."""

import os
import subprocess
import sys
from argparse import Namespace
from functools import cache
from pathlib import Path
from textwrap import dedent

import pytest

from seqtrain.config.allow import build
from seqtrain.config.compose import Composed, compose, compose_job, jobs
from seqtrain.config.job import check_job
from seqtrain.config.launch import prepare
from seqtrain.config.places import options
from seqtrain.config.running import Request
from seqtrain.config.study import Study, problems
from seqtrain.runs.record import Run

ROOT = Path(__file__).parents[1]
STUDIES = sorted(options("study"))
BY_TASK = ("babi_10k", "babi_1k")
"""Studies whose arms have a run for each task."""
BITS = ("copy", "repeat_copy", "associative_recall", "ngrams", "priority_sort")
LECTURE = {"lecture/translation": "captions", "lecture/memory": "babi_sim"}
RECIPES = {**dict.fromkeys((*BY_TASK, "babi_joint"), "babi"), **{name: name for name in BITS}, **LECTURE}
"""Studies of what recipes reach, and the data of those."""
ARMS = {file.stem for file in (ROOT / "conf" / "arm").glob("*.yaml")}


@cache
def arms_of(study: str) -> list[Composed]:
    """One job of each arm."""
    part = ["data.task=3"] if study in BY_TASK else []
    lines = jobs([f"study={study}", "seed=1", *part])
    return [compose_job(line, number=number) for number, line in enumerate(lines)]


@pytest.mark.parametrize("study", STUDIES)
def test_every_arm_composes_and_has_a_directory_of_its_own(study: str, tmp_path: Path) -> None:
    made = arms_of(study)
    for variant in ("en", "en-10k"):
        (tmp_path / variant).mkdir()
        for split in ("train", "test"):
            for task in range(1, 21):
                text = "1 Mary moved.\n2 Who moved?\tMary\t1\n" * 20
                (tmp_path / variant / f"qa{task}_task_{split}.txt").write_text(text)
    for job in made:
        if RECIPES.get(study) == "babi":
            job.cfg.data.root = str(tmp_path)
        check_job(job)
    labels = [job.cfg.study.arm for job in made]
    middle = "-3" if study in BY_TASK else ""
    assert [str(job.directory) for job in made] == [f"multirun/{study}/{label}{middle}-1" for label in labels]
    assert len(set(labels)) == len(labels) > 1
    assert {job.choices["study"] for job in made} == {study}
    recipes = {f"{job.choices['model']}-{RECIPES[study]}" for job in made} if study in RECIPES else set()
    assert {job.choices["recipe"] for job in made if "recipe" in job.choices} == recipes
    assert all(job.cfg.resume == "auto" and job.cfg.study.metrics and job.cfg.study.title for job in made)


def test_every_arm_is_used_and_every_study_is_documented() -> None:
    page = (ROOT / "docs" / "studies.md").read_text()
    used = {job.choices.get("arm") for study in STUDIES for job in arms_of(study)}
    based_on = {"rnn", "irnn", "lstm"}
    assert used | based_on >= ARMS
    for study in STUDIES:
        assert f"| `{study}` |" in page


def test_arms_of_characters_have_as_many_parameters() -> None:
    from seqtrain.tasks.transduction import Transduction

    task = Transduction(vocabulary=45, classes=45)
    models = [build(job.cfg.model, "model", task=task) for job in arms_of("chars")]
    sizes = [sum(p.numel() for p in model.parameters()) for model in models]
    assert max(sizes) < 1.02 * min(sizes)


def test_what_a_study_says_of_itself_is_checked() -> None:
    assert list(problems({"title": "x", "metrics": ["test/nll"], "goal": "min", "baselines": {"chance": 0.5}})) == []
    (unknown,) = problems({"metric": "test/nll"})
    assert "study.metric='test/nll': no such key; did you mean study.metrics?" in unknown
    (wrong,) = problems({"goal": "most"})
    assert wrong == "study.goal='most': must be one of min, max"
    assert next(problems("x")).startswith("study='x': must be a mapping")
    assert Study.read({"arm": "rnn", "goal": "most", "new": 1}) == Study(arm="rnn")


LAUNCH = """
    import json, os, sys
    from pathlib import Path
    from seqtrain.config.launch import launch
    from seqtrain.errors import UserError

    def run(cfg, settings):
        place = Path(os.environ["SEQTRAIN_RUN_DIR"])
        print("ran", place.name, sys.argv[-1])
        if cfg.seed == 2 and not (place / "manifest.json").exists():
            (place / "manifest.json").write_text('{"status": "failed"}')
            raise ZeroDivisionError("a bug")
        (place / "manifest.json").write_text('{"status": "finished"}')

    for words in (sys.argv[1:], [*sys.argv[1:], "study.title=New"], [*sys.argv[1:], "model.hidden=7"]):
        try:
            print("code", launch(words, run))
        except (ZeroDivisionError, UserError) as error:
            print(type(error).__name__, error)
    assert "torch" not in sys.modules
"""


def test_a_failed_run_does_not_end_a_study_and_finished_ones_are_left_alone(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", dedent(LAUNCH), "study=anbn", "arm=lstm", "seed=2,1"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("[")]
    # What further processes of a job are started with is one run, although the study asks for many.
    ran = [f"ran lstm-{seed} hydra.mode=RUN" for seed in (2, 1)]
    assert lines[:3] == [*ran, "ZeroDivisionError a bug"], done.stderr
    assert lines[3:6] == [ran[0], "lstm-1: finished before", "code 0"]
    refused = "lstm-2 holds a run that was finished with another configuration: model.hidden was 16 and is 7"
    assert refused in lines[6]
    assert "hydra.sweep.dir=PATH" in lines[7]


def test_one_run_of_a_study_can_be_gone_on_with_by_itself(tmp_path: Path) -> None:
    Run.create(tmp_path, compose([]), overrides=["study=anbn", "arm=lstm", "seed=1"])
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    flags = Namespace(multirun=False, config_path=None, config_dir=None, config_name=None)
    overrides = prepare(Request(flags, [f"resume={tmp_path}"]))
    assert overrides[:3] == ["study=anbn", "arm=lstm", "seed=1"]
    assert overrides[-2:] == ["hydra.mode=RUN", f"hydra.run.dir='{tmp_path}'"]
