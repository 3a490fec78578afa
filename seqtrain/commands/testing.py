"""The tests at the end of a training: of its best checkpoint, and of averaged weights."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from seqtrain.callbacks.averaging import Averaging
from seqtrain.runs.record import Run


def test_best(trainer: pl.Trainer, model: pl.LightningModule, data: Any) -> dict[str, float]:
    """Test metrics of the best checkpoint, or of the model as it is where none was kept."""
    data.setup("test")
    if not data.has("test"):
        return {}
    best = getattr(trainer.checkpoint_callback, "best_model_path", "")
    # A shared file system may show it later on other machines.
    there = trainer.strategy.broadcast(bool(best) and Path(best).exists())
    return _tested(trainer, model, data, Path(best) if there else None)


def test_averaged(trainer: pl.Trainer, model: pl.LightningModule, data: Any, record: Run) -> dict[str, float]:
    """Test metrics of the averaged weights, `averaged/NAME`, where the callback `averaging` has written them.

    What callbacks write goes to `averaged/` in the run's directory, so that nothing of the best checkpoint's test is
    overwritten; loggers get the metrics by these names.
    """
    trainer.strategy.barrier()  # one rank has written them
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    path = next((callback.path(trainer) for callback in callbacks if isinstance(callback, Averaging)), None)
    if path is None or not data.has("test") or not trainer.strategy.broadcast(path.exists()):
        return {}
    before = {callback: callback.directory for callback in callbacks if hasattr(callback, "directory")}
    loggers, trainer.loggers = trainer.loggers, []
    try:
        for callback in before:
            callback.directory = str(record.directory / "averaged")
        metrics = _tested(trainer, model, data, path)
    finally:
        trainer.loggers = loggers
        for callback, directory in before.items():
            callback.directory = directory
    found = {f"averaged/{name.partition('/')[2]}": value for name, value in metrics.items()}
    for logger in loggers:
        logger.log_metrics(found, step=trainer.global_step)
    return found


def signatures(trainer: pl.Trainer) -> dict[str, str]:
    """What callbacks say of how their metrics are computed."""
    found: dict[str, str] = {}
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        found |= getattr(callback, "signatures", {})
    return found


def _tested(trainer: pl.Trainer, model: pl.LightningModule, data: Any, checkpoint: Path | None) -> dict[str, float]:
    trainer.test(model, datamodule=data, ckpt_path=checkpoint, weights_only=True, verbose=False)
    return {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
