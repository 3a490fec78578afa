"""A run that is killed in the middle of an epoch and gone on with is the one that was never stopped, bit for bit."""

import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest
import yaml

from seqtrain.config.source import class_attribute
from seqtrain.data.captions import drawn
from seqtrain.runs.checkpoints import read_checkpoint
from tests.end_to_end.conftest import Seqtrain, manifest, message, metrics
from tests.end_to_end.same import assert_same
from tests.end_to_end.warm import Started, halting
from tests.processes import ROOT

DATA = {
    "translation": "captions data.size=150 data.vocabulary=150 data.batch_tokens=128 decoding.max_length=6",
    "labelling": "brackets data.size=120 data.batch_tokens=160",
    "transduction": "chars data.size=5000 data.batch_size=4 data.bptt=30 data.val_share=0.1 data.test_share=0.1",
    "regression": "adding data.size=60 data.min_length=8 data.max_length=12 data.batch_tokens=24",
    "answering": "babi_sim data.size=100 data.batch_size=4",
    "retrieval": "retrieval data.size=150 data.batch_tokens=60 data.test_max_pairs=20",
    "bits": "copy data.size=120 data.batch_size=4 data.max_length=5 data.test_lengths=[3,6]",
}
"""A data set of every task, cut into some thirty batches or more."""
SIZES = {"embedding": 12, "hidden": 12, "width": 12, "feed_forward": 16, "dropout": 0.2, "recurrent_dropout": 0.2}
VARIANTS = (
    "scheduler=cosine",
    "scheduler=plateau scheduler.patience=0 trainer.accumulate_grad_batches=2",
    "scheduler=inverse_sqrt trainer.val_check_interval=0.5",
)
COMMON = (
    "~recipe trainer.accelerator=cpu trainer.max_epochs=2 trainer.log_every_n_steps=1 logger=none "
    "callbacks=[default,ema] callbacks.bleu.resamples=0 ~callbacks.attention_maps ~callbacks.memory_maps "
    "callbacks.checkpoint.every_n_train_steps=2"
)


def examples() -> list[tuple[str, str]]:
    """Every model, with a data set of the task of its that the models before it do least often."""
    chosen, taken = [], Counter[str]()
    for file in sorted((ROOT / "conf" / "model").glob("*.yaml")):
        tasks = class_attribute(yaml.safe_load(file.read_text())["_target_"], "tasks")
        task = min(tasks, key=lambda name: taken[name])
        taken[task] += 1
        chosen.append((file.stem, task))
    return chosen


def words(model: str, task: str, number: int) -> list[str]:
    known = yaml.safe_load((ROOT / "conf" / "model" / f"{model}.yaml").read_text())
    data = [f"data={DATA[task]}", *([] if task == "transduction" else ["data.val_size=12 data.test_size=12"])]
    sizes = [f"model.{key}={value}" for key, value in SIZES.items() if key in known]
    return " ".join([f"model={model}", *data, *sizes, VARIANTS[number % len(VARIANTS)], COMMON]).split()


def caught_in_the_middle(process: Started, run: Path, copy: Path) -> None:
    """A copy of a run's directory as it is if its processes are killed in the middle of the second epoch.

    The first one stands still whenever it is about to write its last checkpoint, and goes on when the copy is made:
    what the run would have been is the same run.
    """
    with process.halted():
        while not copied_in_the_middle(run, copy):
            process.send_signal(signal.SIGCONT)
            process.wait_for_halt()


def copied_in_the_middle(run: Path, copy: Path) -> bool:
    if (run / "metrics.jsonl").read_bytes().count(b'"epoch": 1,') < 4:
        return False
    shutil.copytree(run, copy)
    last = read_checkpoint(copy / "checkpoints" / "last.ckpt")
    if last["epoch"] == 1 and not last["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"]:
        return True
    shutil.rmtree(copy)
    return False


@pytest.mark.parametrize(("model", "task"), examples())
def test_every_model_goes_on_bit_for_bit(seqtrain: Seqtrain, model: str, task: str) -> None:
    asked = words(model, task, [name for name, _ in examples()].index(model))
    cache = [f"data.cache={seqtrain.cache}"] if task == "translation" else []
    process = seqtrain.begin(*asked, *cache, "hydra.run.dir=whole", **halting(seqtrain.folder))
    caught_in_the_middle(process, seqtrain.folder / "whole", seqtrain.folder / "killed")
    done, resumed = process.wait(), seqtrain("resume=killed")
    assert (done.returncode, resumed.returncode) == (0, 0), done.stderr + resumed.stderr
    assert_same(seqtrain.folder / "whole", seqtrain.folder / "killed")


def test_two_ranks_go_on_bit_for_bit(seqtrain: Seqtrain) -> None:
    """Each with its share of the text and its own state of the network; a damaged checkpoint is passed over by both."""
    text = ["data.size=14000", "data.val_share=0.3", "data.test_share=0.3"]  # which fills two streams of each
    asked = [*words("lstm", "transduction", 0), *text]
    killed = seqtrain.folder / "killed"
    processes = seqtrain.ranks(*asked, "hydra.run.dir=whole", **halting(seqtrain.folder))
    caught_in_the_middle(processes[0], seqtrain.folder / "whole", killed)
    assert [process.wait().returncode for process in processes] == [0, 0]
    last = killed / "checkpoints" / "last.ckpt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    again = seqtrain.ranks(*asked, "resume=auto", "hydra.run.dir=killed")
    done = [process.wait() for process in again]
    assert [one.returncode for one in done] == [0, 0], done[0].stderr
    said = "last.ckpt is damaged: its checksum does not match; going on from killed/checkpoints/previous.ckpt"
    assert [(one.stdout + one.stderr).count(said) for one in done] == [1, 0]
    assert last.with_name("last.ckpt.damaged").exists()
    assert_same(seqtrain.folder / "whole", killed)


def test_what_is_asked_for_now_counts(seqtrain: Seqtrain, own: Path) -> None:
    """Learning rate, the rest of the optimizer, and another schedule, from the first step on."""
    (before,) = read_checkpoint(own / "checkpoints" / "last.ckpt")["optimizer_states"]
    asked = ["optimizer.lr=0.003", "optimizer.weight_decay=0.5", "scheduler=halve", "scheduler.after=3"]
    done = seqtrain("resume=run", "trainer.max_epochs=5", *asked)
    assert done.returncode == 0, done.stderr
    rates = {line["epoch"]: line["train/lr"] for line in metrics(own) if "train/lr" in line}
    assert [rates[epoch] for epoch in (3, 4)] == pytest.approx([0.0015, 0.00075])
    (after,) = read_checkpoint(own / "checkpoints" / "last.ckpt")["optimizer_states"]
    assert after["param_groups"][0]["weight_decay"] == 0.5
    assert after["state"][0]["step"] > before["state"][0]["step"] > 0


def test_what_cannot_be_gone_on_with_leaves_the_run_as_it_was(seqtrain: Seqtrain, own: Path) -> None:
    files = {file: file.read_bytes() for file in own.rglob("*") if file.suffix in (".ckpt", ".json", ".jsonl")}
    for words, said in {
        ("model.hidden=20",): "the checkpoint does not fit the model",
        ("trainer.max_epochs=2",): "trainer.max_epochs=2: the run has had 3 epochs at its checkpoint",
        ("optimizer=sgd", "trainer.max_epochs=4"): "of a training with another optimizer",
        (
            "+optimizer.amsgrad=true",
            "trainer.max_epochs=4",
        ): "optimizer.amsgrad=True: needs what",
    }.items():
        assert said in message(seqtrain("resume=run", *words), 2)
        assert {file: file.read_bytes() for file in files} == files
    done = seqtrain("resume=run", "trainer.max_epochs=4")
    assert done.returncode == 0, done.stderr
    assert [part["changed"] for part in manifest(own)["resumed"]] == [{"trainer.max_epochs": 3}]


def test_from_an_earlier_checkpoint_a_run_never_goes_back_to_what_came_after_it(seqtrain: Seqtrain, own: Path) -> None:
    folder = own / "checkpoints"
    last = read_checkpoint(folder / "last.ckpt")["global_step"]
    # As if an earlier epoch had been the best one.
    (folder / "previous.ckpt").replace(folder / "best.ckpt")
    assert read_checkpoint(folder / "best.ckpt")["global_step"] < last
    process = seqtrain.begin("resume=run/checkpoints/best.ckpt", **halting(seqtrain.folder))
    process.wait_for_halt()  # before it has saved anything
    assert (folder / "last.ckpt.superseded").exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = seqtrain("resume=run")
    assert done.returncode == 0, done.stderr
    assert [line["step"] for line in metrics(own) if "train/loss" in line] == list(range(last))


@pytest.mark.parametrize("devices", [1, 2])
def test_a_model_that_was_spread_is_gone_on_with(seqtrain: Seqtrain, devices: int) -> None:
    """By two processes, as it was, or by one."""
    sizes = ["model=transformer", "model.width=16", "model.heads=2", "model.feed_forward=16"]
    tiny = [word for word in seqtrain.tiny if not word.startswith("model.")]
    asked = [*tiny, *sizes, "~callbacks.bleu", "trainer.limit_train_batches=6", "hydra.run.dir=run"]
    for process in seqtrain.ranks(*asked, "trainer=fsdp", "trainer.max_epochs=1", strategy=None):
        done = process.wait()
        assert done.returncode == 0, done.stderr
    words = ["resume=run", "trainer.max_epochs=2"]
    alone = ["trainer=default", "trainer.devices=1"]
    again = [seqtrain.begin(*words, *alone)] if devices == 1 else seqtrain.ranks(*words, strategy=None)
    for process in again:
        done = process.wait()
        assert done.returncode == 0, done.stderr
    assert manifest(seqtrain.folder / "run")["status"] == "finished"
    assert max(line["step"] for line in metrics(seqtrain.folder / "run") if "train/loss" in line) == 11


def test_text_that_has_changed_since_is_told_of_and_kept(seqtrain: Seqtrain) -> None:
    pairs = [f"{said['de']}\t{said['en']}\n" for said in drawn(split="train", size=120, seed=1)]
    for name, some in {"train": pairs[:100], "val": pairs[100:]}.items():
        (seqtrain.folder / f"{name}.tsv").write_text("".join(some))
    asked = [*words("gru", "translation", 0), "data=pairs", "data.train=train.tsv", "data.val=val.tsv"]
    asked = [word for word in asked if not word.startswith(("data=captions", "data.size=", "data.val_", "data.test_"))]
    first = seqtrain(*asked, "trainer.max_epochs=1", f"data.cache={seqtrain.cache}", "hydra.run.dir=run")
    assert first.returncode == 0, first.stderr
    had = manifest(seqtrain.folder / "run")["data"]["splits"]
    (seqtrain.folder / "train.tsv").write_text("".join([*pairs[:50], *pairs[:50]]))
    resumed = seqtrain("resume=run", "trainer.max_epochs=2")
    assert resumed.returncode == 0, resumed.stderr
    assert "The data of the split train are not those that the run has had so far" in resumed.stdout
    assert "of the split val" not in resumed.stdout
    record = manifest(seqtrain.folder / "run")
    assert record["resumed"][-1]["changed"]["data.splits.train"] == had["train"] != record["data"]["splits"]["train"]
    shown = seqtrain("reproduce", "run", "--check")
    assert (
        "| training | in 2 parts, trainer.max_epochs was 1, the split train had other data | in one | yes |"
        in shown.stdout
    )
