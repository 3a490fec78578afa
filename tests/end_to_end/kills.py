"""A training that is killed again and again, at random moments, and gone on with until it ends.

    python -m tests.end_to_end.kills [NUMBER]

kills NUMBER times (100), in as many trainings as that takes, and says how; `test_kills.py` does the same a few times.
"""

import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from seqtrain.errors import GO_ON_LATER, NO_FURTHER
from seqtrain.runs.checkpoints import read_checkpoint
from tests.end_to_end.conftest import SETTINGS, Seqtrain
from tests.end_to_end.same import assert_same
from tests.end_to_end.warm import Started

ASKED = (
    *SETTINGS,
    "data.size=80",
    "trainer.max_epochs=3",
    "trainer.val_check_interval=0.5",
    "scheduler=plateau",
    "scheduler.patience=0",
    "callbacks=[default,ema,averaging]",
    "callbacks.averaging.number=2",
    "callbacks.checkpoint.every_n_train_steps=4",
    "callbacks.early_stopping.patience=2",
)
"""Some seconds: it makes its data, validates every half epoch, saves every few steps, and tests two sets of weights."""

MOMENTS: dict[str, tuple[str | None, float, int]] = {
    "start": (None, 0.8, 3),
    "beginning": ("manifest.json", 0.1, 3),
    "training": ("metrics.jsonl", 0.2, 4),
    "saving": ("checkpoints/.*.part", 0.004, 4),
    "saved": ("checkpoints/previous.ckpt", 0.002, 3),
    "validation": ("hypotheses/val*", 0.01, 3),
    "end": ("checkpoints/averaged.ckpt", 0.05, 1),
    "test": ("hypotheses/test.txt", 0.3, 1),
}
"""A file of the run whose writing is waited for, the most seconds to wait behind that, and how often it is chosen."""


ALLOWED = (0, GO_ON_LATER, NO_FURTHER, -signal.SIGTERM, -signal.SIGKILL)
"""Exit codes: at its end, stopped with its state saved, or at once."""


class Kills:
    """Trainings in a folder, each of which is killed until it gets to its end.

    Args:
        folder: where they are written.
        seed: what moments and signals are drawn from.

    Attributes:
        counted: how often it was killed, by signal and moment.
        codes: how the processes ended.
        ended: trainings that came to their end.
    """

    def __init__(self, folder: Path, *, seed: int = 1) -> None:
        self.folder = folder
        self.draw = random.Random(seed)
        self.counted: Counter[tuple[str, str]] = Counter()
        self.codes: Counter[int | None] = Counter()
        self.ended = 0
        whole = self._begin("whole").wait()
        assert whole.returncode == 0, whole.stderr

    def kill(self, number: int) -> None:
        """Kills so many times, and lets the last training end."""
        while self.counted.total() < number:
            self._train(number)

    def _begin(self, name: str) -> Started:
        # A cache of its own, so that it is killed while that is made, too.
        asked = [*ASKED, f"data.cache={self.folder / name}-cache", "resume=auto", f"hydra.run.dir={name}"]
        return Seqtrain(self.folder, self.folder).begin(*asked)

    def _train(self, number: int) -> None:
        name = f"run{self.ended}"
        run, finished = self.folder / name, False
        while not finished:
            process = self._begin(name)
            if self.counted.total() < number:
                self._strike(process, run)
            done = process.wait()
            self.codes[done.returncode] += 1
            assert "Traceback" not in done.stdout + done.stderr, done.stderr
            assert done.returncode in ALLOWED, (done.returncode, done.stderr)
            check(run)
            finished = done.returncode == 0
        self.ended += 1
        assert_same(self.folder / "whole", run)
        left = [file for file in run.rglob("*") if file.name.endswith((".part", ".damaged"))]
        assert not left

    def _strike(self, process: Started, run: Path) -> None:
        """Kills at a moment, unless the process ends before that comes."""
        (moment,) = self.draw.choices(list(MOMENTS), [share for *_, share in MOMENTS.values()])
        file, most, _ = MOMENTS[moment]
        number = self.draw.choice((signal.SIGKILL, signal.SIGTERM))
        if file is not None:
            wait_for(changed(run, file), process)
        time.sleep(self.draw.uniform(0, most))
        if process.running:
            process.send_signal(number)
            self.counted[number.name, moment] += 1


def changed(run: Path, pattern: str) -> Callable[[], bool]:
    """Whether a file of a pattern is another one than it is now."""

    def seen() -> set[tuple[str, int]]:
        found = set()
        for file in run.glob(pattern):
            try:
                found.add((file.name, file.stat().st_mtime_ns))
            except FileNotFoundError:
                continue
        return found

    before = seen()
    return lambda: not seen() <= before


def wait_for(happened: Callable[[], bool], process: Started) -> None:
    deadline = time.monotonic() + 120
    while process.running and not happened():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def check(run: Path) -> None:
    """What has a name is whole, whenever the process that wrote it was killed."""
    if (run / "manifest.json").exists():
        json.loads((run / "manifest.json").read_text())
    for file in run.glob("checkpoints/*.ckpt"):
        read_checkpoint(file)


def main(number: int) -> None:
    """Kills, and says how often and when."""
    kills = Kills(Path(tempfile.mkdtemp(prefix="kills-")))
    kills.kill(number)
    print(f"{kills.counted.total()} kills in {kills.ended} trainings, each the same as one that was never stopped")
    print(f"{'moment':12}" + "".join(f"{name:>9}" for name in ("SIGKILL", "SIGTERM")))
    for moment in MOMENTS:
        print(f"{moment:12}" + "".join(f"{kills.counted[name, moment]:9}" for name in ("SIGKILL", "SIGTERM")))
    codes = sorted(kills.codes.items(), key=lambda found: str(found[0]))
    print("exit codes: " + ", ".join(f"{code} {count} times" for code, count in codes))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
