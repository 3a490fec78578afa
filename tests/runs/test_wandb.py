"""Weights & Biases: which mode, and an offline run that is read back by W&B's own tool."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
from omegaconf import OmegaConf

from seqtrain.callbacks.bleu import BLEU
from seqtrain.runs.record import Run
from seqtrain.runs.wandb import WandB
from seqtrain.runs.wandb_mode import answers, choose_mode
from tests.tiny import Numbers, Regression, Texts, Translator, trainer


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No key, no settings, nothing from this machine."""
    for name in [name for name in os.environ if name.startswith("WANDB_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    yield
    wandb.teardown()


def yes(url: str) -> bool:
    return True


def no(url: str) -> bool:
    return False


def test_auto_needs_a_key_and_an_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert choose_mode("auto", reachable=yes) == ("offline", "no key for api.wandb.ai: see `wandb login`")
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert choose_mode("auto", reachable=no) == ("offline", "api.wandb.ai does not answer")
    assert choose_mode("auto", reachable=yes)[0] == "online"
    monkeypatch.delenv("WANDB_API_KEY")
    (tmp_path / "netrc").write_text("machine wandb.example.org login user password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    assert choose_mode("auto", reachable=yes)[0] == "offline"
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert choose_mode("auto", reachable=yes)[0] == "online"


def test_environment_decides_in_place_of_auto_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for asked, mode in {"offline": "offline", "dryrun": "offline", "disabled": "disabled", "online": "online"}.items():
        monkeypatch.setenv("WANDB_MODE", asked)
        assert choose_mode("auto", reachable=no)[0] == mode
        assert choose_mode("offline", reachable=yes)[0] == "offline"


def test_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert answers(f"http://127.0.0.1:{port}")
    assert not answers(f"http://127.0.0.1:{port}", seconds=0.5)


def test_a_name_that_is_never_looked_up_costs_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    hang = threading.Event()

    def hangs(*_: object, **__: object) -> None:
        hang.wait(30)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", hangs)
    assert not answers("https://nowhere.example", seconds=0.1)
    hang.set()


def log_of(folder: Path) -> Path:
    """The log of the only offline run in `folder`, closed by W&B's own process, which goes on after `finish`."""
    wandb.teardown()
    (log,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    return log


def test_offline_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = tmp_path / "my-run"
    logger = WandB(directory=str(run), tags=["one"], group="many")
    with caplog.at_level("INFO"):
        logger.log_hyperparams({"model": {"hidden": 8}, "git": {"commit": "abc123"}})
        trainer(tmp_path, logger=logger, max_epochs=1).fit(Regression(), datamodule=Numbers())
    assert logger.mode == "offline"
    assert "offline (no key for api.wandb.ai" in caplog.text
    assert f"wandb sync {run}/wandb/offline-run-" in caplog.text
    identity = logger.experiment.id
    assert (run / "wandb" / "id").read_text().strip() == identity
    assert logger.experiment.config["model"] == {"hidden": 8}
    assert logger.experiment.tags == ("one",)
    assert logger.experiment.group == "many"
    assert logger.experiment.name == "my-run"
    assert "val/loss" in dict(logger.experiment.summary)
    assert "WANDB_MODE" not in os.environ
    logger.finish()
    assert wandb.run is None
    text = log_of(run).read_bytes().decode("utf-8", "ignore")
    assert "abc123" in text
    assert "train/loss" in text


def test_a_resumed_run_has_the_same_id(tmp_path: Path) -> None:
    first = WandB(directory=str(tmp_path), mode="offline")
    second = WandB(directory=str(tmp_path), mode="offline")
    assert first.version == second.version
    assert WandB(directory=str(tmp_path / "other"), mode="offline").version != first.version


def test_a_run_whose_folder_was_removed_keeps_its_id(tmp_path: Path) -> None:
    logger = WandB(directory=str(tmp_path), mode="offline")
    identity = logger.experiment.id
    shutil.rmtree(tmp_path / "wandb")
    Run.create(tmp_path, OmegaConf.create({}))
    logger.complete(Run(tmp_path))  # which finds that it is gone
    logger.finish()
    folders = (tmp_path / "wandb").glob("offline-run-*")
    assert {folder.name.split("-")[3] for folder in folders} == {identity}  # in the same second W&B counts behind it
    assert WandB(directory=str(tmp_path), mode="offline").version == identity


def test_a_crash_is_a_failed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Crashing(Regression):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            raise RuntimeError("crash")

    logger = WandB(directory=str(tmp_path), mode="offline")
    codes: list[int] = []
    finish = type(logger.experiment).finish
    monkeypatch.setattr(
        type(logger.experiment), "finish", lambda self, exit_code=0: (codes.append(exit_code), finish(self, exit_code))
    )
    with pytest.raises(RuntimeError, match="crash"):
        trainer(tmp_path, logger=logger).fit(Crashing(), datamodule=Numbers())
    logger.finish(exit_code=1)
    logger.finish()  # closed already
    assert codes == [1]
    assert wandb.run is None


def test_what_goes_wrong_at_the_end_is_only_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def late(*_: object, **__: object) -> None:
        raise TimeoutError("Timed out finishing run.")

    logger = WandB(directory=str(tmp_path), mode="offline")
    experiment = logger.experiment
    logger.complete(Run(tmp_path))  # which has no manifest
    assert "W&B did not get all that the run has left" in caplog.text
    with monkeypatch.context() as patched:
        patched.setattr(type(experiment), "finish", late)
        logger.finish()
    assert f"(Timed out finishing run.). Send it later with: wandb sync {tmp_path}/wandb/offline-run-" in caplog.text
    experiment.finish()


def test_two_jobs_in_one_process_are_two_runs(tmp_path: Path) -> None:
    ids = []
    for name in ("a", "b"):
        logger = WandB(directory=str(tmp_path / name), mode="offline")
        ids.append(logger.experiment.id)
        logger.finish()
    assert len(set(ids)) == 2


def test_disabled_writes_no_run(tmp_path: Path) -> None:
    logger = WandB(directory=str(tmp_path), mode="disabled")
    logger.log_metrics({"a": 1.0}, step=0)
    logger.finish()
    assert list(tmp_path.glob("wandb/*run*")) == []


def test_table_of_samples(tmp_path: Path) -> None:
    logger = WandB(directory=str(tmp_path), mode="offline")
    data = Texts()
    trainer(tmp_path, BLEU(samples=3), logger=logger).test(Translator(), datamodule=data, verbose=False)
    logger.finish()
    (table,) = tmp_path.glob("wandb/offline-run-*/files/media/table/test/samples*.json")
    content = json.loads(table.read_text())
    assert content["columns"] == ["source", "reference", "hypothesis"]
    assert [row[1] for row in content["data"]] == [data.texts[0], data.texts[1], data.texts[3]]


@pytest.mark.skipif(shutil.which("wandb", path=str(Path(sys.executable).parent)) is None, reason="no wandb command")
def test_wandbs_own_tool_reads_it(tmp_path: Path) -> None:
    logger = WandB(directory=str(tmp_path), mode="offline")
    logger.log_metrics({"train/loss": 0.5}, step=3)
    logger.finish()
    log = log_of(tmp_path)
    command = [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", "--json", str(log)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "train/loss" in done.stdout
