"""Train a model on a data set, then test its best checkpoint (the default command)."""

import contextlib
import logging
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.utilities import rank_zero_only

from seqtrain.callbacks.checkpoints import rewind
from seqtrain.callbacks.interruption import Ended, ended_by_signals
from seqtrain.commands.epochs import check_epochs
from seqtrain.commands.going_on import GoingOn
from seqtrain.commands.memory import naming_the_batch
from seqtrain.commands.processes import check_devices, make_trainer
from seqtrain.commands.ranks import hold_on, together
from seqtrain.commands.resuming import checkpoint_to_resume, other_text, parent_of, run_of
from seqtrain.commands.summary import beginning, ending, shown
from seqtrain.commands.testing import signatures, test_averaged, test_best
from seqtrain.config.allow import build, build_all, to_plain
from seqtrain.config.arguments import command_line
from seqtrain.config.criterion import criterion
from seqtrain.decoding.positions import check_data
from seqtrain.errors import NO_FURTHER, InterruptionError, LostRankError, UserError
from seqtrain.models.base import SequenceModel
from seqtrain.runs.checkpoints import AtomicCheckpointIO, agreed, set_aside
from seqtrain.runs.files import remove_partial
from seqtrain.runs.markdown import first_line
from seqtrain.runs.metrics import MetricsFile
from seqtrain.runs.record import Run
from seqtrain.runs.wandb import WandB
from seqtrain.tasks.base import Task

log = logging.getLogger(__name__)


def run(
    config: DictConfig,
    *,
    directory: Path,
    overrides: list[str],
    choices: dict[str, Any],
    parent: dict[str, str] | None = None,
    look_at: Callable[[Any], None] | None = None,
) -> dict[str, float]:
    """Trains what a checked configuration describes.

    Args:
        config: the configuration.
        directory: the run's.
        overrides: what was asked for.
        choices: the option that was chosen of each group.
        parent: the run that it comes from, `run`, and what was done with it, `why`.
        look_at: gets the data, opened, before anything is written, and raises if it will not do.

    Returns:
        The results: test metrics, and the best validation score.
    """
    quieten_lightning()
    check_devices(config.trainer)
    # A gradient that vanishes ends in numbers so small that processors are ten times slower at them; here they are 0.
    torch.set_flush_denormal(True)
    checkpoint, damaged = checkpoint_to_resume(config.resume, directory)
    data = build(config.data, "data", seed=config.seed)
    if checkpoint is not None:
        data.load(run_of(checkpoint).tokenizer)
    data.prepare_data()
    data.setup("fit")
    check_epochs(config.trainer, data)
    if look_at is not None:
        look_at(data)
    origin = {"choices": choices, "parent": parent or parent_of(checkpoint, directory)}
    there = Run.exists(directory)
    before = Run(directory).manifest if there and checkpoint is not None else None
    record = begin(config, directory, data, resumed=checkpoint is not None, overrides=overrides, **origin)
    loggers: list[Any] = []
    going_on = GoingOn()
    ended, on_interrupt = Ended(), signal.getsignal(signal.SIGINT)
    with ended_by_signals(ended):
        try:
            loggers = build_loggers(config, directory)
            if there and checkpoint is None:  # the run had not saved one yet
                rewind(loggers, 0)
            results = fit_and_test(config, record, data, loggers, going_on, checkpoint, damaged)
            ended.over = True  # within the block, or a signal after it would be nobody's
        except BaseException as error:
            ended.over = True
            stopped = isinstance(error, InterruptionError | KeyboardInterrupt | SystemExit)
            end(record, loggers, "interrupted" if stopped else "failed", error=error)
            refused = isinstance(error, UserError) and error.code == 2 and not going_on.begun
            if refused and before is not None and _is_first():
                with contextlib.suppress(UserError):
                    record.put_back(before)  # what cannot be done must not be asked for from here on
            signal.signal(signal.SIGINT, on_interrupt)  # since a second Ctrl-C it has been ignored
            if not isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            # A second Ctrl-C, of which Lightning has made SystemExit, or a scheduler's signal before any step.
            code = NO_FURTHER if ended.by else 1
            raise InterruptionError("stopped at once", record.ways_on(), code=code) from None
    end(record, loggers, "finished", results=results)
    return results


def quieten_lightning() -> None:
    """Leaves out Lightning's notes on hardware and its tips; its warnings stay, but for those on its code and SLURM.

    Nor is it said of log files that they cannot be written.
    """
    for name in (
        "pytorch_lightning.utilities.rank_zero",
        "pytorch_lightning.accelerators.cuda",
        "pytorch_lightning.trainer.connectors.checkpoint_connector",
        "pytorch_lightning.trainer.connectors.signal_connector",
        "lightning_fabric.utilities.distributed",
        "lightning_fabric.utilities.seed",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")
    # Steps are counted on from epoch to epoch: none goes unlogged because epochs are short.
    warnings.filterwarnings("ignore", message="The number of training batches .* is smaller than the logging interval")
    # What has started the processes was looked at before, and compared with what was asked for.
    warnings.filterwarnings("ignore", message="The `srun` command is available on your system but is not used")
    # On a full disk, every line for a log file, of ours and of W&B's, would be a traceback on the terminal.
    logging.raiseExceptions = False


def begin(config: DictConfig, directory: Path, data: Any, *, resumed: bool, overrides: list[str], **origin: Any) -> Run:
    """Writes the manifest and the tokenizers; warns of text that has changed since the run was trained on it."""
    record = Run(directory)
    if not _is_first():
        return record
    remove_partial(directory)
    fields = {
        "command": command_line(sys.argv[1:]),
        "seed": config.seed,
        "tags": list(config.tags),
        "group": config.group,
        **origin,
        "precision": config.trainer.get("precision"),
        "data": data.description,
        "tokenizer_hash": getattr(data, "tokenizer_hash", None),
    }
    if Run.exists(directory):
        known = {"seed": config.seed, "changed": other_text(record, data)} if resumed else fields
        record.resume(config, **known)
    else:
        record = Run.create(directory, config, overrides=overrides, **fields)
    data.save(record.tokenizer)
    return record


def build_loggers(config: DictConfig, directory: Path) -> list[Any]:
    """The run's own record of metrics, and the loggers that were chosen."""
    loggers: list[Any] = [MetricsFile(directory=str(directory))]
    if config.trainer.get("fast_dev_run"):
        return loggers
    given = {"directory": str(directory), "group": config.group, "tags": list(config.tags)}
    return loggers + build_all(config.logger, "logger", **given)


def build_callbacks(config: DictConfig, directory: Path, task: Task) -> list[pl.Callback]:
    """The chosen callbacks; those that go by a metric go by `criterion` unless another was named."""
    callbacks = []
    monitor, goal = criterion(config, task.monitor, task.goal)
    for node in to_plain(config.callbacks or {}).values():
        if node is None:
            continue
        if "monitor" in node and node["monitor"] is None:
            node["monitor"], node["mode"] = monitor, goal
        if "dirpath" in node and node["dirpath"] is None:
            node["dirpath"] = str(directory / "checkpoints")
        callbacks.append(build(node, "callbacks"))
    return callbacks


def fit_and_test(
    config: DictConfig,
    record: Run,
    data: Any,
    loggers: list[Any],
    going_on: GoingOn,
    checkpoint: Path | None,
    damaged: dict[Path, str],
) -> dict[str, float]:
    """The training and the test, and what is shown before and after."""
    pl.seed_everything(config.seed)
    model: SequenceModel = build(config.model, "model", task=data.task)
    check_data(data, model.network, ("train", "val", "test"))
    model.optimize_with(
        lambda parameters: build(config.optimizer, "optimizer", params=parameters),
        build(config.scheduler, "scheduler") if config.scheduler else None,
        criterion=criterion(config, data.task.monitor, data.task.goal),
    )
    callbacks = build_callbacks(config, record.directory, data.task)
    trainer = make_trainer(
        config.trainer,
        callbacks=[*callbacks, going_on],
        enable_checkpointing=any(isinstance(callback, pl.callbacks.Checkpoint) for callback in callbacks),
        logger=loggers,
        default_root_dir=str(record.directory),
        plugins=[AtomicCheckpointIO()],
    )
    parameters = sum(p.numel() for p in model.parameters())
    device = trainer.strategy.root_device
    if trainer.is_global_zero:
        record.write_manifest(parameters=parameters, ranks=trainer.world_size, numerics=numerics(device.type))
        beginning(config, model, data, record, device=str(device))
        for file, reason in damaged.items():
            log.warning("%s; going on from %s", reason, shown(checkpoint or record.directory))
            if file.parent == record.checkpoints:
                set_aside(file, "damaged")
        for logger in loggers:
            logger.log_hyperparams({**to_plain(config), "run": record.described()})
    try:
        with together(trainer, record), naming_the_batch(model, data, config):
            found = checkpoint if config.resume is None else agreed(trainer, model, checkpoint)
            return _results(trainer, model, data, record, found)
    finally:
        said = signatures(trainer)
        # Where nothing can be written, what ended the training says more; here and below.
        with contextlib.suppress(UserError):
            if trainer.is_global_zero and said:
                record.write_manifest(signatures=said)


def numerics(device: str) -> dict[str, Any]:
    """What decides, besides versions and hardware, whether a training on a kind of device gives the same numbers."""
    return {
        "device": device,
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "benchmark": torch.backends.cudnn.benchmark,
        "matmul_precision": torch.get_float32_matmul_precision(),
    }


def _results(
    trainer: pl.Trainer, model: SequenceModel, data: Any, record: Run, checkpoint: Path | None
) -> dict[str, float]:
    _fit(trainer, model, data, record, checkpoint)
    best: Any = trainer.checkpoint_callback
    # A run that is gone on with behind its last validation has that one's metrics from the checkpoint.
    results: dict[str, float] = {**getattr(best, "validation", {})}
    results |= {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
    if best is not None and best.best_model_score is not None:
        results[f"best/{best.monitor}"] = float(best.best_model_score)
    results |= test_best(trainer, model, data)
    if trainer.is_global_zero:
        # Which are there, whatever comes of the second test; that split is open by now.
        record.write_manifest(results=results, data=data.description)
    results |= test_averaged(trainer, model, data, record)
    if trainer.is_global_zero:
        ending(results, record, data.task)
    return results


def _fit(trainer: pl.Trainer, model: SequenceModel, data: Any, record: Run, checkpoint: Path | None) -> None:
    """The training; the manifest gets its seconds, all parts of a resumed one together."""
    begun = time.monotonic()
    try:
        trainer.fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except BaseException:
        hold_on(trainer)
        raise
    finally:
        with contextlib.suppress(UserError):
            if trainer.is_global_zero:
                before = record.manifest.get("training_seconds") or 0.0
                record.write_manifest(training_seconds=round(before + time.monotonic() - begun, 3))


def _is_first() -> bool:
    return getattr(rank_zero_only, "rank", 0) == 0


def end(
    record: Run,
    loggers: list[Any],
    status: Any,
    *,
    results: dict[str, float] | None = None,
    error: BaseException | None = None,
) -> None:
    """Writes how the run ended, for readers of the record and of W&B; a later rank does where the first is gone."""
    try:
        if _is_first() or (isinstance(error, LostRankError) and error.here):
            try:
                record.finish(status, results=results, error=error)
            except UserError as unwritable:
                if error is None:
                    raise
                log.warning("How it ended could not be recorded: %s", first_line(unwritable))
        for logger in loggers:
            if isinstance(logger, WandB):
                logger.complete(record)
                logger.finish(exit_code=0 if status == "finished" else 1)
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            if error is None or isinstance(error, InterruptionError):
                # Who ends while others write may have them killed, by `torchrun` or a scheduler.
                with contextlib.suppress(RuntimeError):  # another one is gone, and all is written here
                    torch.distributed.barrier()
            torch.distributed.destroy_process_group()
