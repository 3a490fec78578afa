"""The command line as a user meets it: in a process of its own, in an empty directory."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from tests.processes import RANKS, ROOT, WITHOUT_TORCH, assert_one_message

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def seqtrain(tmp_path: Path) -> Run:
    """Runs `python -m seqtrain` in an empty directory; importing torch is a failure."""
    return _runner(tmp_path, ROOT)


def _runner(place: Path, root: Path) -> Run:
    work = place / "work"
    work.mkdir()

    def run(*argv: str, code: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name not in RANKS}
        return subprocess.run(
            [sys.executable, "-c", dedent(code or WITHOUT_TORCH), *argv],
            cwd=work,
            env={**environment, "PYTHONPATH": str(root), **variables},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def _nothing_written(place: Path) -> bool:
    return list((place / "work").iterdir()) == []


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["help"], ["train", "--help"], ["model=gru", "-h"]])
def test_help_lists_everything(seqtrain: Run, argv: list[str]) -> None:
    done = seqtrain(*argv)
    assert done.returncode == 0, done.stderr
    for group in ("model", "data"):
        for file in (ROOT / "conf" / group).glob("*.yaml"):
            assert f"  {file.stem} " in done.stdout
            assert file.read_text().splitlines()[0].lstrip("# ") in done.stdout
    assert "  train " in done.stdout
    assert "optimizer=:" in done.stdout


def test_help_is_quick(seqtrain: Run) -> None:
    def seconds() -> float:
        start = time.perf_counter()
        assert seqtrain("--help").returncode == 0
        return time.perf_counter() - start

    assert any(seconds() < 2 for _ in range(5))  # other processes may run beside this one


def test_version(seqtrain: Run) -> None:
    assert seqtrain("--version").stdout.startswith("seqtrain 0.")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["model.hiden=300"], "model.hiden=300: no such key; did you mean model.hidden? Keys of model=gru: "),
        (["modle=gru"], "modle: no such key; did you mean model?"),
        (["model=gruu"], "model=gruu: no such option; did you mean gru?"),
        (["optimizer.lr=abc"], "optimizer.lr='abc': must be a number above 0"),
        (["+foo=1"], "foo=1: no such key"),
        (["model._target_=os.system"], "model._target_=os.system: not a class that model may name"),
        (["trian"], "trian: no such command; did you mean train?"),
        (["seed=1", "evaluate"], "evaluate: not an override, which is written KEY=VALUE"),
        (["seed=1,2"], "seed=1,2: several values; for one run each add -m"),
        (["-m", "seed=1,2", "model.hiden=1,2"], "job 0 (seed=1 model.hiden=1): model.hiden=1: no such key"),
        (["-m", "seed=1,-2"], "job 1 (seed=-2): seed=-2: must be a whole number"),
        (["resume=auto"], "resume=auto has to know which directory to look in: add hydra.run.dir=PATH"),
        (["resume=nowhere"], "resume=nowhere: no such run or checkpoint"),
        (["-m", "resume=nowhere", "seed=1,2"], "resume=nowhere: "),
        (["--experimental-rerun", "x.pickle"], "--experimental-rerun: loads a pickle"),
        (["--config-dir", "nowhere"], "--config-dir nowhere: no such directory"),
        (["--cfg", "job", "model.hiden=3"], "model.hiden=3: no such key; did you mean model.hidden?"),
        (["--cfg", "job", "decoding.n_best=3"], "decoding.n_best=3 is more than decoding.beam=1"),
        (["--cfg", "job", "-m", "seed=1,2"], "--cfg shows one job, but -m asks for several"),
        (["--resolve"], "--resolve: only goes with --cfg"),
        (["--nope"], "--nope: no such option; did you mean --info? Options: --cfg, "),
        (["seed=1", "--multirum"], "--multirum: no such option; did you mean --multirun?"),
        (["--config-name", "confg"], f"no such file in {ROOT / 'conf'}; did you mean config? Files there: config"),
        (["callbacks.clipping.value=1"], "set callbacks.clipping.norm=null too"),
    ],
)
def test_mistakes_are_one_message_and_leave_nothing(
    seqtrain: Run, tmp_path: Path, argv: list[str], message: str
) -> None:
    done = seqtrain(*argv)
    assert_one_message(done, message)
    assert _nothing_written(tmp_path)


def test_hydra_s_flags_work_without_torch(seqtrain: Run, tmp_path: Path) -> None:
    job = seqtrain("--cfg", "job", "--package", "model", "model.hidden=7")
    assert "hidden: 7" in job.stdout, job.stderr
    assert "dir: runs/" in seqtrain("--cfg", "hydra", "hydra.run.dir=runs/${now:%Y}").stdout
    assert "seed: 3" in seqtrain("seed=3", "--cfg", "all", "--resolve").stdout
    assert "Config search path" in seqtrain("--info", "searchpath").stdout
    assert "Hydra" in seqtrain("--hydra-help").stdout
    assert _nothing_written(tmp_path)


def test_an_existing_run_is_refused(seqtrain: Run, tmp_path: Path) -> None:
    run = tmp_path / "work" / "run"
    run.mkdir()
    (run / "manifest.json").write_text("{}")
    done = seqtrain("hydra.run.dir=run")
    assert done.returncode == 2
    assert "run already holds a run" in done.stderr
    assert "resume=run" in done.stderr
    assert "hydra.run.dir=PATH" in done.stderr
    assert [file.name for file in run.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    ("variables", "words", "message"),
    [
        ({"WORLD_SIZE": "1", "RANK": "0"}, ["trainer.devices=2"], "torchrun has started 1 process, but"),
        (
            {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"},
            ["trainer=ddp", "trainer.num_nodes=2"],
            "srun --nodes=2 --ntasks-per-node=2",
        ),
        ({}, ["trainer.num_nodes=2"], "torchrun --nnodes=2 --nproc-per-node=1"),
    ],
)
def test_processes_that_do_not_fit_the_trainer_are_refused(
    variables: dict[str, str], words: list[str], message: str, seqtrain: Run, tmp_path: Path
) -> None:
    assert_one_message(seqtrain(*words, **variables), message)
    assert _nothing_written(tmp_path)


LAUNCH = """
    import os, sys
    from pathlib import Path
    from seqtrain.config.launch import launch
    from seqtrain.errors import UserError

    def run(cfg, settings):
        place = Path(os.environ["SEQTRAIN_RUN_DIR"])
        print("ran", place.name, cfg.seed, cfg.model.hidden, sorted(os.listdir(place)), sys.argv[1:])
        # What Lightning sets for a job's processes is gone when the next job begins.
        assert os.environ.setdefault("MASTER_PORT", place.name) == place.name
        if cfg.seed == 8:
            raise UserError("seed 8 brings bad luck", "take another", code=1)
        if cfg.seed == 9:
            raise ZeroDivisionError("a bug")

    code = launch(sys.argv[1:], run)
    assert "torch" not in sys.modules
    sys.exit(code)
"""


def test_a_job_runs_in_its_directory(seqtrain: Run) -> None:
    done = seqtrain("hydra.run.dir=a b", "optimizer.amsgrad=true", code=LAUNCH)
    assert done.returncode == 0, done.stderr
    assert "ran a b 1 " in done.stdout
    assert "'.hydra'" in done.stdout


def test_jobs_of_a_multirun_each_have_a_directory_and_a_mistake_in_one_lets_the_others_run(
    seqtrain: Run, tmp_path: Path
) -> None:
    done = seqtrain("-m", "seed=1,8,2", "model.hidden=5", "++model.dropout=0.5", "hydra.sweep.dir=all", code=LAUNCH)
    assert done.returncode == 1
    ran = [line.split(" [")[0] for line in done.stdout.splitlines() if line.startswith("ran")]
    assert ran == ["ran 0 1 5", "ran 1 8 5", "ran 2 2 5"]
    assert "'seed=8', 'model.hidden=5'" in done.stdout
    assert "'--multirun'" not in done.stdout
    assert done.stderr == "seqtrain: seed 8 brings bad luck\n  take another\n"
    assert sorted(path.name for path in (tmp_path / "work" / "all").iterdir()) == ["0", "1", "2", "multirun.yaml"]


def test_a_real_error_keeps_its_traceback(seqtrain: Run) -> None:
    done = seqtrain("seed=9", code=LAUNCH)
    assert done.returncode == 1
    assert "ZeroDivisionError: a bug" in done.stderr
    assert "in run" in done.stderr


def test_further_processes_of_a_run_write_where_the_first_does(seqtrain: Run, tmp_path: Path) -> None:
    run = tmp_path / "work" / "it's one"
    run.mkdir()
    (run / "manifest.json").write_text("{}")
    done = seqtrain("seed=3", 'hydra.run.dir="elsewhere"', code=LAUNCH, LOCAL_RANK="1", SEQTRAIN_RUN_DIR=str(run))
    assert done.returncode == 0, done.stderr
    assert "ran it's one 3" in done.stdout
    assert not (tmp_path / "work" / "elsewhere").exists()


@pytest.fixture
def begun(seqtrain: Run, tmp_path: Path) -> Path:
    """A run `run` with a checkpoint."""
    first = seqtrain("hydra.run.dir=run", "seed=4", "model.hidden=6", code=LAUNCH)
    assert first.returncode == 0, first.stderr
    run = tmp_path / "work" / "run"
    (run / "manifest.json").write_text("{}")
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "last.ckpt").write_text("")
    return run


def test_resuming_takes_what_the_run_was_started_with(seqtrain: Run, begun: Path) -> None:
    for resume in ("run", "run/checkpoints/last.ckpt"):
        again = seqtrain(f"resume={resume}", "model.hidden=7", code=LAUNCH)
        assert "ran run 4 7 " in again.stdout, again.stderr
    assert "ran run 1 7" in seqtrain("resume=auto", "hydra.run.dir=run", "model.hidden=7", code=LAUNCH).stdout
    assert "ran new 1 " in seqtrain("resume=auto", "hydra.run.dir=new", code=LAUNCH).stdout


@pytest.mark.parametrize(
    "line",
    [
        "++hydra.callbacks.x={_target_: pathlib.Path.touch, self: {_target_: pathlib.Path, _args_: [PWNED]}}",
        "++hydra.job_logging.handlers.x={\\(\\): os.mkdir, path: PWNED}",
    ],
)
def test_a_foreign_run_runs_no_code(seqtrain: Run, tmp_path: Path, begun: Path, line: str) -> None:
    (begun / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump([line]))
    done = seqtrain("resume=run")
    assert done.returncode == 2
    assert "it could run any code" in done.stderr
    assert "Traceback" not in done.stderr
    assert [place.name for place in (tmp_path / "work").iterdir()] == ["run"]


def test_a_resumed_run_can_be_written_elsewhere_but_not_over_another(
    seqtrain: Run, tmp_path: Path, begun: Path
) -> None:
    elsewhere = seqtrain("resume=run", "hydra.run.dir=other", code=LAUNCH)
    assert "ran other 4 6 " in elsewhere.stdout, elsewhere.stderr
    (tmp_path / "work" / "other" / "manifest.json").write_text("{}")
    refused = seqtrain("resume=run", "hydra.run.dir=other")
    assert refused.returncode == 2
    assert "other already holds a run" in refused.stderr


def test_one_file_and_one_yaml_add_a_model(tmp_path: Path) -> None:
    root = tmp_path / "copy"
    for name in ("seqtrain", "conf"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "seqtrain" / "models" / "echo.py").write_text(
        dedent(
            '''
            """An architecture that somebody adds."""
            from typing import Any

            from seqtrain.config.types import Positive
            from seqtrain.models.base import SequenceModel


            class Echo(SequenceModel):
                tasks = ("labelling",)

                def __init__(self, *, width: Positive = 3, **options: Any) -> None:
                    super().__init__(**options)
                    self.width = width
            '''
        )
    )
    (root / "conf" / "model" / "echo.yaml").write_text(
        "# Echo: says it again\n_target_: seqtrain.models.echo.Echo\nwidth: 3\n"
    )
    run = _runner(tmp_path, root)
    assert re.search("^  echo +Echo: says it again$", run("--help").stdout, re.MULTILINE)
    refused = run("model=echo", "data=multi30k").stderr
    assert refused.startswith("seqtrain: model=echo does labelling, but data=multi30k is translation; models that do")
    assert len(refused.splitlines()) == 1
    assert "did you mean model.width? Keys of model=echo: width" in run("model=echo", "model.widht=3").stderr
    made = run(
        code="""
        from seqtrain.config.allow import build
        from seqtrain.config.compose import compose
        model = build(compose(["model=echo", "model.width=5"]).model, "model", task=None)
        print(type(model).__name__, model.width)
        """
    )
    assert made.stdout == "Echo 5\n", made.stderr


def test_the_console_script_is_the_module() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"seqtrain": "seqtrain.__main__:main"}
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="seqtrain")
    from seqtrain.__main__ import main

    assert script.load() is main
