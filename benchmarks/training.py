"""Training throughput: seqtrain's whole loop against a bare PyTorch loop over the same modules and batches.

    python -m benchmarks.training data.root=PATH [any other override]
    python -m benchmarks.training model=memn2n data=babi data.root=PATH

Two equal models take the same steps on the same batches, one in the trainer and one in a plain loop, in turn step by
step, so that whatever else the machine does falls on both.
"""

import statistics
import sys
import time
from collections import deque
from collections.abc import Iterator
from itertools import chain, islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl
import torch

from benchmarks.timing import machine
from seqtrain.callbacks.clipping import clip_per_matrix_
from seqtrain.commands.train import build_callbacks, quieten_lightning
from seqtrain.config.allow import build
from seqtrain.config.compose import compose
from seqtrain.runs.checkpoints import AtomicCheckpointIO
from seqtrain.runs.metrics import MetricsFile

STEPS, WARM_UP = 60, 5


def bare_steps(config: Any, data: Any, model: Any) -> Iterator[int]:
    """One step of a plain loop a turn: batch, autocast, loss, backward, clipping, optimiser; nothing logged.

    Yields:
        How many examples it had.
    """
    optimizer = build(config.optimizer, "optimizer", params=model.parameters())
    clipping = config.callbacks.clipping
    bfloat16 = config.trainer.precision == "bf16-mixed"
    model.train()
    for batch in chain.from_iterable(repeat(data.train_dataloader())):
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = model.measure(batch, smoothing=model.label_smoothing).loss
        optimizer.zero_grad()
        loss.backward()
        if clipping.per_parameter:
            for parameter in model.parameters():
                clip_per_matrix_(parameter, clipping.norm)
        else:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clipping.norm)
        optimizer.step()
        yield len(batch.index)


class InTurn(pl.Callback):
    """Takes a bare step behind every step of the trainer; keeps the seconds of both."""

    def __init__(self, steps: Iterator[int]) -> None:
        self.steps = steps
        self.end, self.examples = 0.0, 0
        self.seconds: dict[str, list[float]] = {"seqtrain": [], "bare loop": []}

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Times the step that ends here, and a bare one."""
        start = time.perf_counter()
        if trainer.global_step > WARM_UP:
            self.seconds["seqtrain"].append(start - self.end)
        examples = next(self.steps)
        self.end = time.perf_counter()
        if trainer.global_step > WARM_UP:
            self.seconds["bare loop"].append(self.end - start)
            self.examples += examples


def in_turn(config: Any, data: Any, model: Any, clock: InTurn, directory: Path) -> None:
    """Trains with every default callback and the metrics file, validation left out."""
    trainer = build(
        {**config.trainer, "max_steps": STEPS, "max_epochs": -1, "limit_val_batches": 0, "num_sanity_val_steps": 0},
        "trainer",
        callbacks=[
            *(c for c in build_callbacks(config, directory, data.task) if not isinstance(c, pl.callbacks.Checkpoint)),
            clock,
        ],
        logger=MetricsFile(directory=str(directory)),
        default_root_dir=str(directory),
        plugins=[AtomicCheckpointIO()],
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(model, datamodule=data)


def main(overrides: list[str]) -> None:
    """Prints the ratio."""
    quieten_lightning()
    config = compose(["data=multi30k", "callbacks=default", "callbacks.early_stopping=null", *overrides])
    models, datas = [], []
    for _ in range(2):
        data = build(config.data, "data", seed=config.seed)
        data.setup("fit")
        torch.manual_seed(config.seed)
        model = build(config.model, "model", task=data.task)
        model.optimize_with(lambda parameters: build(config.optimizer, "optimizer", params=parameters))
        models.append(model)
        datas.append(data)
    # Kernels are compiled for every shape that is met first: let neither way pay that for the other.
    deque(islice(bare_steps(config, datas[1], models[1]), STEPS), maxlen=0)
    clock = InTurn(bare_steps(config, datas[1], models[1]))
    with TemporaryDirectory() as directory:
        in_turn(config, datas[0], models[0], clock, Path(directory))
    print(machine())
    for name, values in clock.seconds.items():
        rate = clock.examples / sum(values)
        print(f"{name:10} {statistics.median(values) * 1e3:.1f} ms a step (of {len(values)}), {rate:.0f} examples/s")
    ratios = sorted(a / b for a, b in zip(*clock.seconds.values(), strict=True))
    quarters = statistics.quantiles(ratios)
    print(f"ratio, step by step: median {quarters[1]:.3f}, middle half {quarters[0]:.3f} to {quarters[2]:.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
