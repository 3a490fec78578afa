"""Training throughput: seqtrain's whole loop against a bare PyTorch loop over the same modules and batches.

    python -m benchmarks.training data.root=PATH [any other override]

Both take the same steps on the same batches with the same model, optimiser, clipping and precision, in turn.
"""

import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl
import torch

from benchmarks.timing import machine
from seqtrain.commands.train import build_callbacks, quieten_lightning
from seqtrain.config.allow import build
from seqtrain.config.compose import compose
from seqtrain.runs.checkpoints import AtomicCheckpointIO
from seqtrain.runs.metrics import MetricsFile

STEPS, ROUNDS = 20, 3


class Clock(pl.Callback):
    """Time from the end of the first batch to the end of the last."""

    def __init__(self) -> None:
        self.start = self.end = 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.end = time.perf_counter()
        if trainer.global_step == 1:
            self.start = self.end


def whole(config: Any, data: Any, model: Any, directory: Path) -> float:
    """Seconds a step in the trainer with every default callback and the metrics file, validation left out."""
    clock = Clock()
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
    return (clock.end - clock.start) / (STEPS - 1)


def bare(config: Any, data: Any, model: Any) -> float:
    """Seconds a step in a plain loop: batches, autocast, loss, backward, clipping, optimiser; nothing logged."""
    optimizer = build(config.optimizer, "optimizer", params=model.parameters())
    bfloat16 = config.trainer.precision == "bf16-mixed"
    data.trainer = None
    model.train()
    start = 0.0
    for step, batch in zip(range(STEPS), data.train_dataloader(), strict=False):
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = model.measure(batch, smoothing=model.label_smoothing).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.callbacks.clipping.norm)
        optimizer.step()
        if step == 0:
            start = time.perf_counter()
    return (time.perf_counter() - start) / (STEPS - 1)


def main(overrides: list[str]) -> None:
    """Prints the ratio."""
    quieten_lightning()
    config = compose(["data=multi30k", "callbacks=default", "~callbacks.early_stopping", *overrides])
    data = build(config.data, "data", seed=config.seed)
    data.setup("fit")
    seconds: dict[str, list[float]] = {"seqtrain": [], "bare loop": []}
    for _ in range(ROUNDS):
        for name in seconds:
            torch.manual_seed(config.seed)
            model = build(config.model, "model", task=data.task)
            model.optimize_with(lambda parameters: build(config.optimizer, "optimizer", params=parameters))
            with TemporaryDirectory() as directory:
                way = bare(config, data, model) if name == "bare loop" else whole(config, data, model, Path(directory))
            seconds[name].append(way)
    print(machine())
    for name, values in seconds.items():
        print(f"{name:10} {statistics.median(values) * 1e3:.1f} ms a step (median of {ROUNDS})")
    ratios = [a / b for a, b in zip(seconds["seqtrain"], seconds["bare loop"], strict=True)]
    print(f"ratio, pair by pair: median {statistics.median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
