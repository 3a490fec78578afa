"""How much faster two processes on two cores train than one with one thread, and what their communication takes.

    python -m benchmarks.scaling data.root=PATH [any other override]

Trainings of `STEPS` steps in processes of their own, the arrangements in turn, each process with one thread:

- one process;
- one process with two threads;
- two trainings at once that know nothing of each other: what the machine has to give without any communication;
- two processes of one training, each with batches as large as the one process has (the global batch is twice as large);
- two processes of one training with batches of half the size (the global batch stays as it is).

Then, by itself, the mean over two processes (gloo, loopback) of gradients of several sizes; and how much steps of one
process differ in time: two processes wait for the slower one of each step.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist

from benchmarks.timing import machine
from benchmarks.training import bare_steps
from seqtrain.config.allow import build
from seqtrain.config.compose import compose

STEPS, EVERY, WARM_UP, ROUNDS = 60, 10, 20, 3
SETTINGS = (
    *("data=multi30k", "logger=none", "~callbacks.checkpoint", "callbacks.early_stopping=null"),
    *(
        "trainer.max_epochs=-1",
        f"trainer.max_steps={STEPS}",
        f"trainer.log_every_n_steps={EVERY}",
        "trainer.limit_val_batches=0",
    ),
    *("trainer.limit_test_batches=0", "trainer.num_sanity_val_steps=0", "trainer.accelerator=cpu"),
)
TWO = ("trainer.devices=2", "trainer.strategy=ddp")
MEGABYTES = (0.001, 1, 8, 32, 128)


def rate(directories: Sequence[Path]) -> float:
    """Target tokens a second of trainings that ran at once, together; the median over the steps behind the first."""
    total = 0.0
    for directory in directories:
        lines = map(json.loads, (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        found = [line["train/tokens_per_second"] for line in lines if line["step"] >= WARM_UP]
        total += statistics.median(found)
    return total


def train(overrides: Sequence[str], *, threads: int = 1, at_once: int = 1) -> float:
    """Target tokens a second of one training, or of several at once."""
    with TemporaryDirectory() as folder:
        directories = [Path(folder) / str(number) for number in range(at_once)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
        begun = [
            subprocess.Popen(
                [sys.executable, "-m", "seqtrain", *SETTINGS, *overrides, f"hydra.run.dir={directory}"],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            for directory in directories
        ]
        for process in begun:
            _, said = process.communicate()
            if process.returncode:
                raise SystemExit(said.decode())
        return rate(directories)


def _communicate(rank: int, folder: str, sizes: Sequence[float]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    for megabytes in sizes:
        gradients = torch.ones(int(megabytes * 250_000))
        seconds = []
        for _ in range(12):
            dist.barrier()
            start = time.perf_counter()
            dist.all_reduce(gradients)
            seconds.append(time.perf_counter() - start)
        if rank == 0:
            median = statistics.median(seconds[2:])
            print(f"  {megabytes:8g} MB  {median * 1e3:8.2f} ms  {megabytes / median:8.0f} MB/s", flush=True)
    dist.destroy_process_group()


def step_seconds(config: Any) -> list[float]:
    """Seconds of single steps of a plain loop, on one thread."""
    torch.set_num_threads(1)
    data = build(config.data, "data", seed=config.seed)
    data.setup("fit")
    model = build(config.model, "model", task=data.task)
    steps, seconds = bare_steps(config, data, model), []
    for _ in range(STEPS):
        start = time.perf_counter()
        next(steps)
        seconds.append(time.perf_counter() - start)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
    return seconds[WARM_UP:]


def main(overrides: list[str]) -> None:
    """Prints rates, ratios to one process, times of communication and of steps."""
    config = compose([*SETTINGS, *overrides])
    tokens = int(config.data.batch_tokens)
    ways = {
        "one process": lambda: train(overrides),
        "one process, two threads": lambda: train(overrides, threads=2),
        "two trainings at once": lambda: train(overrides, at_once=2),
        "two processes, batch twice": lambda: train([*overrides, *TWO]),
        "two processes, batch halved": lambda: train([*overrides, *TWO, f"data.batch_tokens={tokens // 2}"]),
    }
    print(f"{machine()}; batches of {tokens} tokens", flush=True)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            rates[name].append(way())
    one = rates["one process"]
    for name, found in rates.items():
        ratios = [value / alone for value, alone in zip(found, one, strict=True)]
        shown = ", ".join(f"{ratio:.2f}" for ratio in sorted(ratios))
        print(f"{name:28} {statistics.median(found):7.0f} tokens/s  ratio {statistics.median(ratios):.2f} ({shown})")
    print("mean over two processes:", flush=True)
    with TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_communicate, args=(folder, MEGABYTES), nprocs=2)
    seconds = step_seconds(config)
    mean = statistics.mean(seconds)
    print(
        f"a step of one process: {mean * 1e3:.0f} ms, standard deviation {statistics.stdev(seconds) / mean:.0%} of it"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
