"""Training on sentence pairs, by their number: time to tokenise, to open again and to begin, and memory.

    python -m benchmarks.large [PAIRS ...] [--folder PATH] [--steps N] [--keep]

For each number of pairs (100,000, 1,000,000 and 10,000,000 without any) two texts are written, German and English
captions with a number behind each so that no two are alike. Then processes of their own measure, one after the other:
tokenising with an empty cache, opening with a full one, and a training of a small model by `python -m seqtrain`. Needed
are 6 GB of disk for 10,000,000 pairs; a size's files are removed before the next, unless there is `--keep`.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from benchmarks.timing import machine
from seqtrain.data import captions

SIZES = (100_000, 1_000_000, 10_000_000)
DIFFERENT = 20_000
"""So many captions are made; the numbers behind them do the rest."""
HELD_OUT = 500
TWO_WAYS = 1_000_000
"""The number of pairs that is tokenised by one core, too."""
MEBIBYTE = 1 << 20
PREPARE = """
import json, os, sys, time
asked = json.loads(sys.argv[1])
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:asked["cores"]])
from seqtrain.data import translation
from seqtrain.data.pairs import Pairs
seconds = {}
def timed(place, name):
    does = getattr(place, name)
    def timing(*given, **named):
        begun = time.monotonic()
        found = does(*given, **named)
        seconds[name] = seconds.get(name, 0.0) + time.monotonic() - begun
        return found
    setattr(place, name, timing)
for place, name in ((translation, "write_texts"), (translation.TextTokenizer, "train"), (translation, "tokenise")):
    timed(place, name)
begun = time.monotonic()
data = Pairs(**asked["data"], seed=1)
data.setup("fit")
len(data.train_dataloader())
seconds["all"] = time.monotonic() - begun
print(json.dumps(seconds))
"""


def write(folder: Path, pairs: int) -> dict[str, list[str]]:
    """Writes the texts; the first lines of a larger corpus are those of a smaller one.

    Returns:
        The files of each split.
    """
    files = {split: [str(folder / f"{split}.{language}") for language in ("de", "en")] for split in ("train", "val")}
    for split, size in (("train", pairs), ("val", HELD_OUT)):
        said = [*islice(captions.draw(split=split, seed=1), min(DIFFERENT, size))]
        for file, language, word in zip(files[split], ("de", "en"), ("Bild", "picture"), strict=True):
            bodies = [f"{one[language][:-1]}, {word} " for one in said]
            with open(file, "w", encoding="utf-8") as text:
                for number in range(-(-size // len(bodies))):
                    missing = size - number * len(bodies)
                    text.writelines(f"{body}{number}.\n" for body in bodies[:missing])
    return files


class Memory:
    """The most resident memory that a process has had, looked at again and again: its own pages, and those of files.

    Args:
        process: it.
        workers: whether those that it forks count too; what several of them have counts once then.

    Attributes:
        anonymous: MiB of its own pages.
        file: MiB of pages of mapped files, programs and libraries among them.
    """

    def __init__(self, process: int, *, workers: bool = False) -> None:
        self.process, self.workers = process, workers
        self.anonymous, self.file = 0.0, 0.0

    def look(self) -> None:
        """Looks once."""
        family = [*_family(self.process)] if self.workers else [self.process]
        place, names = (
            ("smaps_rollup", ("Pss_Anon", "Pss_File")) if self.workers else ("status", ("RssAnon", "RssFile"))
        )
        found = dict.fromkeys(names, 0.0)
        for process in family:
            with suppress(OSError):
                for line in Path(f"/proc/{process}/{place}").read_text().splitlines():
                    name, _, value = line.partition(":")
                    if name in found:
                        found[name] += int(value.split()[0]) * 1024 / MEBIBYTE
        self.anonymous, self.file = max(self.anonymous, found[names[0]]), max(self.file, found[names[1]])


def _family(process: int) -> Iterator[int]:
    yield process
    with suppress(OSError):
        for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
            yield from _family(int(child))


def prepare(options: dict[str, object], cores: int) -> tuple[dict[str, float], Memory]:
    """Seconds of what a process does that opens the data, by name, and its memory."""
    command = [sys.executable, "-c", PREPARE, json.dumps({"data": options, "cores": cores})]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        memory = Memory(process.pid, workers=True)
        while process.poll() is None:
            memory.look()
            time.sleep(0.2)
        assert process.stdout is not None
        said = process.stdout.read()
    if process.returncode:
        raise SystemExit(process.returncode)
    return json.loads(said), memory


def train(files: dict[str, list[str]], folder: Path, steps: int) -> tuple[float, float, Memory]:
    """Seconds until the first step was taken, target tokens a second from then on, and memory of a training."""
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    command = [
        *(sys.executable, "-m", "seqtrain", "model=gru", "data=pairs", "logger=none", "callbacks=default"),
        *(f"data.{split}=[{','.join(names)}]" for split, names in files.items()),
        *(f"data.cache={folder / 'cache'}", "data.batch_tokens=2048", "model.embedding=64", "model.hidden=64"),
        *(f"trainer.max_steps={steps}", "trainer.log_every_n_steps=1", "trainer.limit_val_batches=2"),
        *("trainer.num_sanity_val_steps=0", f"trainer.val_check_interval={steps}", f"hydra.run.dir={run}"),
    ]
    begun, first = time.monotonic(), 0.0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        memory = Memory(process.pid)
        while process.poll() is None:
            memory.look()
            first = first or (time.monotonic() - begun if (run / "metrics.jsonl").exists() else 0.0)
            time.sleep(0.02)
    if process.returncode:
        raise SystemExit(process.returncode)
    rows = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    rates = [row["train/tokens_per_second"] for row in rows if "train/tokens_per_second" in row]
    return first, statistics.median(rates[10:]), memory


def measure(pairs: int, folder: Path, steps: int) -> Iterator[str]:
    """The cells of a number of pairs."""
    begun = time.monotonic()
    files = write(folder, pairs)
    size = sum(os.path.getsize(file) for file in files["train"]) / MEBIBYTE
    print(f"{pairs:,} pairs written, {size:.0f} MiB, {time.monotonic() - begun:.0f} s", file=sys.stderr)
    options = {**files, "cache": str(folder / "cache")}
    every = len(os.sched_getaffinity(0))
    if pairs == TWO_WAYS and every > 1:
        alone, _ = prepare(options, 1)
        shutil.rmtree(folder / "cache")
        print(f"with one core: {_listed(alone)}", file=sys.stderr)
    made, making = prepare(options, every)
    print(f"with {every} cores: {_listed(made)}; {making.anonymous:.0f} MiB at most", file=sys.stderr)
    opened, _ = prepare(options, every)
    first, rate, memory = train(files, folder, steps)
    yield from (f"{pairs:,}", f"{size:.0f} MiB", f"{made['all']:.0f} s", f"{made['tokenise']:.0f} s")
    yield from (f"{making.anonymous:.0f} MiB", f"{opened['all']:.1f} s", f"{first:.1f} s", f"{rate:,.0f}")
    yield from (f"{memory.anonymous:.0f} MiB", f"{memory.file:.0f} MiB")


def _listed(seconds: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())


def main(arguments: Iterable[str]) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large")
    parser.add_argument("pairs", nargs="*", type=int, default=SIZES)
    parser.add_argument("--folder", type=Path, default=Path("data/large"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args([*arguments])
    heads = ["pairs", "text", "all until it can be opened", "of it tokenising", "memory of it", "opened again"]
    heads += ["start to first step", "tokens/s", "training, anonymous", "training, files"]
    rows = [heads, ["-"] * len(heads)]
    for pairs in asked.pairs:
        place = asked.folder / str(pairs)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True, exist_ok=True)
        rows.append([*measure(pairs, place, asked.steps)])
        if not asked.keep:
            shutil.rmtree(place)
    print(machine())
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))


if __name__ == "__main__":
    main(sys.argv[1:])
