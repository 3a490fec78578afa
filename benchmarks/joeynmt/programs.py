"""The two programs: each trains, and translates the test set."""

import json
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.joeynmt import tokens

HERE = Path(__file__).parent
EVERY = 10
"""Updates from one report of the speed to the next."""
LONGEST = 60
"""Tokens of a translation at most."""
LABELS = "model.label_smoothing=0.1"
MODELS = {
    "gru": [
        *("model=attention", "model.score=additive", "model.query=current", "model.input_feeding=true"),
        *("model.embedding=256", "model.hidden=256", "model.layers=1", "model.bidirectional=true"),
        *("model.dropout=0.3", "model.tie_embeddings=false", LABELS, "optimizer.lr=1.5e-3"),
    ],
    "transformer_tiny": [
        *("model=transformer", "model.width=128", "model.layers=4", "model.heads=4", "model.feed_forward=256"),
        *("model.norm=post", "model.dropout=0.3", "model.tie_embeddings=true", LABELS, "optimizer.lr=1e-3"),
    ],
}
"""Our side of the peer's configurations of the same name: equal sizes, and a learning rate for our schedule."""


def run(command: Sequence[str], log: Path) -> str:
    """What a command printed; it is also kept in a file, whose end is shown if it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT)
    text = log.read_text(encoding="utf-8", errors="replace")
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\nfailed:\n{text[-2000:]}")
    return text


def settled(rates: Sequence[float]) -> float:
    """The median from the second report on."""
    return statistics.median(rates[1:])


class JoeyNMT:
    """The peer.

    Args:
        python: the Python of its environment.
        name: of its configuration.
        data: folder of its texts.
        work: folder of its model and logs.
    """

    def __init__(self, python: str, name: str, data: Path, work: Path) -> None:
        self.python, self.work = python, work
        self.settings: dict[str, Any] = yaml.safe_load((HERE / f"{name}.yaml").read_text(encoding="utf-8"))
        files = {split: str(data / split) for split in ("train", "dev", "test")}
        self.settings["data"] |= files
        for side in ("src", "trg"):
            self.settings["data"][side]["voc_file"] = str(data / "vocab.txt")

    def rate(self, steps: int) -> float:
        """Target tokens a second of a training."""
        text = self._train("rate", updates=steps, epochs=100)
        return settled([float(found) for found in re.findall(r"Tokens per Sec:\s+([\d.]+)", text)])

    def train(self, epochs: int) -> None:
        """Trains the model that `translate` is to use, unless it is there."""
        if not (self.work / "model").exists():
            self._train("unfinished", epochs=epochs)
            (self.work / "unfinished").rename(self.work / "model")

    def translate(self, beam: int, data: Any) -> tuple[float, list[str]]:
        """Seconds of the search on the test set, as it reports them, and what was found."""
        self.settings["testing"] |= {
            "beam_size": beam,
            "load_model": str(self.work / "model" / "latest.ckpt"),
            "max_output_length": LONGEST,
        }
        output = self.work / f"beam{beam}"
        text = self._run(f"test-beam{beam}", "model", "test", "-o", str(output))
        *_, seconds = re.findall(r"Generation took ([\d.]+)\[sec\]", text)  # of the development set, of the test set
        return float(seconds), tokens.texts(data, output.with_name(f"{output.name}.test"))

    def _train(self, folder: str, **training: int) -> str:
        self.settings["training"] |= training | {"logging_freq": EVERY, "overwrite": True}
        text = self._run(f"train-{folder}", folder, "train", "--skip-test")
        for key in training:
            del self.settings["training"][key]
        return text

    def _run(self, name: str, folder: str, mode: str, *more: str) -> str:
        model = str(self.work / folder)
        self.settings |= {"model_dir": model}
        self.settings["training"]["model_dir"] = model
        self.work.mkdir(parents=True, exist_ok=True)
        config = self.work / f"{name}.yaml"
        config.write_text(yaml.safe_dump(self.settings), encoding="utf-8")
        return run([self.python, str(HERE / "launch.py"), mode, str(config), *more], self.work / f"{name}.log")


class Seqtrain:
    """This project.

    Args:
        name: of the peer's configuration.
        overrides: more of ours.
        work: folder of runs and logs.
    """

    def __init__(self, name: str, overrides: Sequence[str], work: Path) -> None:
        self.work = work
        self.settings = [
            *MODELS[name],
            *tokens.SETTINGS,
            *("~recipe", "scheduler=cosine", "callbacks.clipping.norm=1.0", "logger=none"),
            *("trainer.accelerator=cpu", "trainer.precision=bf16-mixed", f"trainer.log_every_n_steps={EVERY}"),
            *("trainer.limit_val_batches=0", "trainer.limit_test_batches=0", "trainer.num_sanity_val_steps=0"),
            *("~callbacks.early_stopping", f"decoding.max_length={LONGEST}"),
            *overrides,
        ]
        self._loaded: Any = None

    def rate(self, steps: int) -> float:
        """Target tokens a second of a training."""
        folder = self.work / f"rate-{time.time_ns()}"
        self._train(folder, f"trainer.max_steps={steps}")
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        name = "train/tokens_per_second"
        return settled([line[name] for line in lines if name in line])

    def train(self, epochs: int) -> None:
        """Trains the model that `translate` is to use, unless it is there."""
        if not (self.work / "model").exists():
            self._train(self.work / "unfinished", f"trainer.max_epochs={epochs}")
            (self.work / "unfinished").rename(self.work / "model")

    def translate(self, beam: int, data: Any) -> tuple[float, list[str]]:
        """Seconds from the text of the test set to its translations, and these."""
        from seqtrain.commands.translate import translate
        from seqtrain.decoding.settings import Decoding
        from seqtrain.runs.chosen import choose
        from seqtrain.runs.loading import load

        self._loaded = self._loaded or load(choose([f"run={self.work / 'model'}", "checkpoint=last"]))
        decoding = Decoding(beam=beam, max_length=LONGEST)
        translate(self._loaded, decoding, data.sources("val")[: tokens.DEV])  # as the peer does, before it is measured
        start = time.perf_counter()
        found = translate(self._loaded, decoding, data.sources("test"))
        return time.perf_counter() - start, [hypotheses[0][1] for hypotheses in found]

    def _train(self, folder: Path, *more: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        command = [sys.executable, "-m", "seqtrain", *self.settings, *more, f"hydra.run.dir={folder}"]
        run(command, self.work / f"{folder.name}.log")
