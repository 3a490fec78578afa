"""Runs read back from W&B: its folders, and a server that W&B's own client asks."""

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import wandb
from omegaconf import OmegaConf

from seqtrain.callbacks.checkpoints import Checkpoints
from seqtrain.commands.train import end
from seqtrain.errors import UserError
from seqtrain.runs.checkpoints import AtomicCheckpointIO
from seqtrain.runs.collect import collect
from seqtrain.runs.metrics import MetricsFile
from seqtrain.runs.record import Run
from seqtrain.runs.records import RunRecord
from seqtrain.runs.wandb import WandB
from seqtrain.runs.wandb_log import BLOCK
from tests.processes import ROOT
from tests.runs.wandb_server import Logged, Server
from tests.tiny import Numbers, Regression, trainer

CONFIG = OmegaConf.create({"seed": 1, "model": {"hidden": 256, "eps": 1e-8, "limit": float("inf")}, "tags": []})


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No key, no settings, nothing from this machine."""
    for name in [name for name in os.environ if name.startswith("WANDB_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    yield
    wandb.teardown()


class CrashAfter(pl.Callback):
    """Fails in the step after so many."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise RuntimeError("power cut")


def part(run: Path, *callbacks: pl.Callback, resume: bool = False) -> None:
    """A training of 40 steps, or as far as it gets; validated, and saved, every 8."""
    if resume:
        record = Run(run)
        record.resume(CONFIG)
    else:
        record = Run.create(run, CONFIG, choices={"model": "gru"})
    loggers = [MetricsFile(directory=str(run)), WandB(directory=str(run), mode="offline")]
    for logger in loggers:
        logger.log_hyperparams({**OmegaConf.to_container(CONFIG), "run": record.described()})
    saving = Checkpoints(dirpath=str(run / "checkpoints"), monitor="val/loss", mode="min")
    options: dict[str, Any] = {"max_epochs": 10, "check_val_every_n_epoch": 2, "enable_checkpointing": True}
    fitted = trainer(run, saving, *callbacks, logger=loggers, plugins=[AtomicCheckpointIO()], **options)
    last = run / "checkpoints" / "last.ckpt" if resume else None
    try:
        fitted.fit(Regression(), datamodule=Numbers(), ckpt_path=last)
    except RuntimeError as error:
        end(record, loggers, "failed", error=error)
        return
    for logger in loggers:
        logger.log_metrics({"test/a": math.nan, "test/b": math.inf, "test/c": -math.inf, "test/d": 0.0}, step=40)
        for step in range(41, 220):  # enough for several blocks of W&B's log
            logger.log_metrics({"after": 1 / step, "epoch": 10.0}, step=step)
    (run / "hypotheses").mkdir()
    (run / "hypotheses" / "test.txt").write_text("Ein Hund läuft.\n", "utf-8")
    (run / "buckets.json").write_text('{"length": [{"low": 1, "high": 2, "accuracy": 0.5}]}')
    end(record, loggers, "finished", results={"test/d": 0.0, "test/a": math.nan, "test/b": math.inf})


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that failed in step 29, five steps after a checkpoint, and went on from that."""
    run = tmp_path_factory.mktemp("runs") / "resumed"
    part(run, CrashAfter(29))
    shutil.copytree(run, run.parent / "failed", symlinks=True)
    part(run, resume=True)
    wandb.teardown()
    return run


def only(*places: Path | str) -> RunRecord:
    (found,) = collect([str(place) for place in places])
    return found


def same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    """Whether lines are equal, NaN to NaN, in whatever order the metrics are in a line."""
    return [repr(sorted(_floats(line))) for line in one] == [repr(sorted(_floats(line))) for line in other]


def _floats(line: dict[str, Any]) -> list[tuple[str, float]]:
    return [(name, float(value)) for name, value in line.items()]


def logs(run: Path) -> list[Path]:
    return sorted(run.glob("wandb/offline-run-*/*.wandb"), key=lambda log: log.stat().st_mtime)


def test_the_parts_of_a_resumed_run_are_its_own_record(resumed: Path) -> None:
    local, logged = only(resumed), only(resumed / "wandb")
    lines = local.source.lines()
    steps = [line["step"] for line in lines if "train/loss" in line]
    assert steps == list(range(40))
    assert same(logged.source.lines(), lines)
    assert json.dumps(logged.manifest, sort_keys=True) == json.dumps(local.manifest, sort_keys=True)  # NaN is not NaN
    assert (logged.config, logged.status, logged.name, logged.choices) == (
        local.config,
        "finished",
        "resumed",
        local.choices,
    )
    assert logged.config["model"]["limit"] == math.inf
    assert logged.curve("val/loss") == local.curve("val/loss")
    assert [str(value) for _, value in logged.curve("test/a") + logged.curve("test/c")] == ["nan", "-inf"]
    assert str(logged.results) == str(local.results)
    assert logged.source.text("hypotheses/test.txt") == "Ein Hund läuft.\n"
    assert logged.buckets("length") == local.buckets("length") != []
    assert logged.source.text("gradient_flow.json") is None


def test_a_part_alone(resumed: Path) -> None:
    first, second = (only(log.parent) for log in logs(resumed))
    assert (first.status, second.status) == ("failed", "finished")
    assert first.manifest["error"] == "RuntimeError: power cut"
    assert first.config == second.config
    assert json.loads(first.source.text("manifest.json") or "")["status"] == "failed"
    assert [line["step"] for line in first.source.lines("train/loss")] == list(range(29))
    assert second.source.lines("train/loss")[0]["step"] == 24
    assert same(first.source.lines(), only(resumed.parent / "failed").source.lines())


def test_folders_that_were_moved(resumed: Path, tmp_path: Path) -> None:
    for log in logs(resumed):
        shutil.copytree(log.parent, tmp_path / log.parent.name, symlinks=True)
    away = resumed.rename(resumed.with_name("away"))
    try:
        moved = only(tmp_path)
        assert moved.source.text("hypotheses/test.txt") == "Ein Hund läuft.\n"
        assert len(moved.source.lines("train/loss")) == 40
    finally:
        away.rename(resumed)


def test_a_run_counts_once(resumed: Path, tmp_path: Path) -> None:
    first, second = logs(resumed)
    assert only(resumed, resumed / "wandb", first).place == str(resumed)
    assert len(only(second, first.parent, resumed / "wandb" / "latest-run").source.lines("train/loss")) == 40
    assert len(only(f"{resumed.parent}/*/wandb/offline-run-*").source.lines("train/loss")) == 40
    assert [record.name for record in collect([str(resumed.parent), str(first)])] == ["failed", "resumed"]


def test_what_is_whole_of_a_cut_or_damaged_log_is_read(resumed: Path, tmp_path: Path) -> None:
    _, log = logs(resumed)
    whole, lines = log.read_bytes(), only(log).source.lines()
    assert len(whole) > 2 * BLOCK
    copy, chance, found = tmp_path / log.name, random.Random(1), []
    for size in sorted(chance.randrange(len(whole)) for _ in range(40)):
        copy.write_bytes(whole[:size])
        try:
            run = only(copy)
        except UserError:
            assert size < BLOCK
        else:
            found.append(len(run.source.lines()))
            assert same(run.source.lines(), lines[: found[-1]])
            assert (run.status, run.config) == ("running", only(log).config)
    assert found[0] < found[-1]
    assert found == sorted(found)
    place = BLOCK + BLOCK // 2
    copy.write_bytes(whole[:place] + bytes(100) + whole[place + 100 :])
    kept = {line["step"] for line in only(copy).source.lines()}
    assert {line["step"] for line in lines} > kept > {24, 219}
    assert only(copy).status == "finished"


KILLED = """
    import os, signal, sys, wandb
    quiet = wandb.Settings(console="off", silent=True)
    wandb.init(mode="offline", dir=".", project="p", id="foreign1", config={"lr": 1}, settings=quiet).finish()
    ours = {"seed": 3, "run": {"record": 2, "status": "running", "started": "2026-01-01"}}
    run = wandb.init(mode="offline", dir=".", project="p", id="killed01", config=ours, settings=quiet)
    for step in range(400):
        run.log({"train/loss": 1.0 / (step + 1), "trainer/global_step": step})
    while os.path.getsize(os.path.join(run.dir, "..", "run-killed01.wandb")) < 32768:
        pass
    os.kill(os.getpid(), signal.SIGKILL)
"""

READ = """
    import sys
    from seqtrain.runs.collect import collect
    assert not {"torch", "wandb"} & set(sys.modules)
    print([(run.status, run.seed) for run in collect(["wandb"])], "torch" in sys.modules)
"""


def test_a_killed_process_and_a_run_of_another_program(tmp_path: Path) -> None:
    def python(text: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", "\n".join(line[4:] for line in text.splitlines())]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)

    done = python(KILLED)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (tmp_path / "wandb" / "offline-run-x").mkdir()
    (tmp_path / "wandb" / "offline-run-x" / "run-killed01.wandb").touch()  # a part of which nothing had been written
    (tmp_path / "wandb" / "offline-run-y").mkdir()
    (tmp_path / "wandb" / "offline-run-y" / "run-early001.wandb").touch()  # a run of which nothing had been written
    done = python(READ)
    assert done.stdout == "[('running', 3)] False\n", done.stderr
    foreign, early = done.stderr.splitlines()
    assert foreign == "W&B's folders: left out 1 W&B runs that seqtrain did not log."
    assert early.startswith(f"left out: nothing can be read of {Path('wandb/offline-run-y/run-early001.wandb')}")
    killed = only(tmp_path / "wandb")
    steps = [step for step, _ in killed.curve("train/loss")]
    assert steps == list(range(len(steps))) != []
    (other,) = tmp_path.glob("wandb/*-foreign1/*.wandb")
    with pytest.raises(UserError, match=r"is no run of seqtrain: there is no manifest"):
        collect([str(other)])
    with pytest.raises(UserError, match=r"nothing can be read of .*run-killed01.wandb: it is empty"):
        collect([str(tmp_path / "wandb" / "offline-run-x")])
    (tmp_path / "other.wandb").write_text("not a log")
    with pytest.raises(UserError, match="nothing can be read of"):
        collect([str(tmp_path / "other.wandb")])


ROWS: list[dict[str, Any]] = [
    {"trainer/global_step": 4, "train/loss": 2.5, "epoch": 0},
    {"trainer/global_step": 9, "train/loss": "NaN", "val/loss": 1.0, "epoch": 0},
    {"trainer/global_step": 14, "train/loss": 1.5, "epoch": 1},
    {"trainer/global_step": 14, "val/loss": 0.9, "epoch": 1, "samples": {"_type": "table-file"}},
    {"trainer/global_step": 10, "trainer/rewound_to": 10},
    {"trainer/global_step": 14, "train/loss": 1.25, "epoch": 1},
]


def ours(identity: str, seed: int, **options: Any) -> Logged:
    about = {"record": 2, "status": "running", "started": f"2026-01-0{seed}", "resumed": [{}]}
    rows = [{"_step": place, **row} for place, row in enumerate(ROWS)]
    config = {"seed": seed, "model": {"hidden": 256}, "run": about}
    return Logged(identity, config, rows=rows, files={"hypotheses/test.txt": "Ein Hund läuft.\n"}, **options)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    runs = [ours("aaaa", 1, group="g"), ours("bbbb", 2, state="crashed", tags=["t"]), Logged("foreign1", {"lr": 1})]
    found = Server({"me/project": runs, "me/empty": [], "me/foreign": [Logged("foreign2", {"lr": 1})]})
    monkeypatch.setenv("WANDB_BASE_URL", found.url)
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    yield found
    wandb.teardown()
    found.close()


def test_a_run_on_a_server(server: Server) -> None:
    run = only("wandb:me/project/aaaa")
    assert (run.place, run.name, run.status, run.seed) == ("wandb:me/project/aaaa", "run aaaa", "running", 1)
    assert not {"RunHistoryKeys", "RunFiles"} & set(server.asked)  # nothing but the run itself
    assert str(run.curve("train/loss")) == "[(4, 2.5), (9, nan), (14, 1.25)]"
    assert run.curve("val/loss") == [(9, 1.0)]
    assert run.curve("val/bleu") == []
    assert [sorted(line) for line in run.source.lines()][1] == ["epoch", "step", "train/loss", "val/loss"]
    assert run.source.text("hypotheses/test.txt") == "Ein Hund läuft.\n"
    assert run.source.text("buckets.json") is None


def test_runs_of_a_project(server: Server, caplog: pytest.LogCaptureFixture, resumed: Path) -> None:
    def seeds(place: str) -> list[int | None]:
        return [run.seed for run in collect([place])]

    assert seeds("wandb:me/project") == [1, 2]
    assert "left out 1 W&B runs" in caplog.text
    assert seeds("wandb:me/project/runs/bbbb") == [2]
    assert seeds("wandb:me/project?group=g") == [1]
    assert seeds("wandb:me/project?tags=t&state=crashed&config.model.hidden=256") == [2]
    assert seeds('wandb:me/project?{"config.seed": {"$in": [1, 7]}}') == [1]
    assert only("wandb:me/project/bbbb").status == "failed"  # W&B has not heard of it for long
    server.projects["me/project"].append(ours((resumed / "wandb" / "id").read_text().strip(), 3))
    assert [run.name for run in collect(["wandb:me/project", str(resumed)])] == ["run aaaa", "run bbbb", "resumed"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("wandb:project", "cannot tell which W&B runs are meant"),
        ("wandb:me/project?grup=g", "W&B's runs have no grup; did you mean group?"),
        ("wandb:me/project?group", "no KEY=VALUE"),
        ("wandb:me/project?{group", "no JSON"),
        ("wandb:me/project/missing", "no such run or project"),
        ("wandb:me/missing", "no such run or project"),
        ("wandb:me/empty", "no run there"),
        ("wandb:me/project?group=x", "no run there"),
        ("wandb:me/foreign", "is no run of seqtrain"),
    ],
)
def test_what_a_server_does_not_have(server: Server, place: str, message: str) -> None:
    with pytest.raises(UserError) as raised:
        collect([place])
    assert message in str(raised.value)
    assert place.partition("?")[0] in str(raised.value)


def test_a_server_that_refuses_or_is_not_there(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.status = 401
    with pytest.raises(UserError, match="W&B refuses the key"):
        collect(["wandb:me/project"])
    server.status = 404
    with pytest.raises(UserError, match="W&B's client says"):
        collect(["wandb:me/project"])
    server.close()
    with pytest.raises(UserError, match=r"W&B \(127.0.0.1\) does not answer"):
        collect(["wandb:me/project"])
    monkeypatch.delenv("WANDB_API_KEY")
    with pytest.raises(UserError, match=r"no key for 127.0.0.1\n  Log in"):
        collect(["wandb:me/project"])
