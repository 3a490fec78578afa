"""How long `seqtrain compare` takes for many runs.

    python -m benchmarks.compare [RUNS] [LINES]

Writes RUNS runs (2,000) of 20 configurations with LINES (200) logged lines each to a temporary folder, as trainings
leave them, and compares them in a process of its own, the files of the page included: the median of five.
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from seqtrain.config.allow import to_plain
from seqtrain.config.compose import compose


def write(folder: Path, runs: int, lines: int) -> None:
    """Writes the runs."""
    base = to_plain(compose(["data=brackets", "model=gru"]))
    for number in range(runs):
        place = folder / f"{number:05d}"
        place.mkdir()
        hidden, chance = 16 * (1 + number % 20), random.Random(number)
        asked = [f"model.hidden={hidden}", f"seed={number // 20}"]
        config = {**base, "seed": number // 20, "model": {**base["model"], "hidden": hidden}}
        manifest = {
            "record": 2,
            "status": "finished",
            "started": f"2030-01-01T00:00:00.{number:06d}",
            "overrides": asked,
            "config": config,
            "choices": {"model": "gru", "data": "brackets"},
            "data": {"fingerprint": "f" * 64},
            "parameters": 1000 * hidden,
            "training_seconds": 60.0,
            "results": {"test/accuracy": chance.random(), "test/nll": chance.random()},
        }
        (place / "manifest.json").write_text(json.dumps(manifest, indent=2))
        with (place / "metrics.jsonl").open("w") as file:
            for step in range(lines):
                line = {"step": step, "epoch": 0, "train/loss": chance.random(), "train/tokens_per_second": 1e4}
                if step % 20 == 19:
                    line |= {"val/loss": chance.random(), "val/accuracy": chance.random()}
                file.write(json.dumps(line) + "\n")


def main() -> None:
    """Prints the median."""
    runs, lines = [int(word) for word in sys.argv[1:3]] + [2000, 200][len(sys.argv) - 1 :]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "runs").mkdir()
        write(folder / "runs", runs, lines)
        for what in ([], [f"out={folder / 'out'}"]):
            times = []
            for _ in range(5):
                begun = time.perf_counter()
                command = [sys.executable, "-m", "seqtrain", "compare", str(folder / "runs"), *what]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                times.append(time.perf_counter() - begun)
            kind = "printed and written" if what else "printed"
            print(f"{runs} runs of {lines} lines, {kind}: {statistics.median(times):.1f} s")


if __name__ == "__main__":
    main()
