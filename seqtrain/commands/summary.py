"""What a training shows before it begins and after it has ended."""

import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from seqtrain.runs.record import Run
from seqtrain.runs.records import INTERVAL

if TYPE_CHECKING:
    from seqtrain.models.base import SequenceModel
    from seqtrain.tasks.base import Task

log = logging.getLogger(__name__)

STAGES = {"val": "validation", "test": "test", "averaged": "averaged"}
"""The columns of the results: the beginning of a result's name, and what stands above it."""
WIDTH = 22
"""Of a column."""


def beginning(config: DictConfig, model: "SequenceModel", data: Any, record: Run, *, device: str) -> None:
    """Model, parameters, data, device and run directory, a line each."""
    parameters = sum(p.numel() for p in model.parameters())
    rows = {
        "model": f"{type(model).__name__}, {parameters / 1e6:.2f} M parameters, for {data.task.name}",
        "data": f"{type(data).__name__}, {_sizes(data)}{_vocabulary(data.task)}",
        "device": f"{device}, {config.trainer.get('precision', '32-true')}",
        "seed": str(config.seed),
        "run": str(shown(record.directory)),
    }
    log.info("\n".join(f"{name:>7}  {value}" for name, value in rows.items()))


def ending(results: dict[str, float], record: Run, task: "Task") -> None:
    """A table of the results, and the commands that go on from here."""
    lines = tabulated(results)
    for best in (name for name in results if name.startswith("best/")):
        lines.append(
            f"{best.replace('/', ' ', 1)} {results[best]:.4g}: tested is its checkpoint; "
            "the validation column is of the last epoch"
        )
    if any(record.checkpoints.glob("*.ckpt")):
        path = shlex.quote(str(shown(record.directory)))
        commands = ["translate", "evaluate"] if task.name == "translation" else ["evaluate"]
        lines += ["", "next:", *(f"  python -m seqtrain {command} run={path}" for command in commands)]
    log.info("\n".join(lines))


def tabulated(results: dict[str, float]) -> list[str]:
    """The lines of a table of metrics: a column for validation, test and, where they were tested, averaged weights."""
    stages = [stage for stage in STAGES if stage != "averaged" or any(name.startswith(stage) for name in results)]
    names = sorted({name.partition("/")[2] for name in results if name.partition("/")[0] in stages})
    head = f"{'':14}" + "".join(f"{STAGES[stage]:>{WIDTH}}" for stage in stages)
    return [head, *(_row(name, results, stages) for name in names if not name.endswith(INTERVAL))]


def shown(path: Path) -> Path:
    """A path as the user would type it: relative to where they are, if it is below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _row(name: str, results: dict[str, float], stages: list[str]) -> str:
    """A metric's values; where there is a 95 % interval, with its middle and half its width: `31.20 (31.18 ± 0.95)`."""
    cells = []
    for stage in stages:
        value, mean, ci = (results.get(f"{stage}/{name}{end}") for end in ("", *INTERVAL))
        if value is None:
            cells.append("")
        elif mean is None or ci is None:
            cells.append(f"{value:.4g}")
        else:
            cells.append(f"{value:.2f} ({mean:.2f} ± {ci:.2f})")
    return f"{name:14}" + "".join(f"{cell:>{WIDTH}}" for cell in cells)


def _sizes(data: Any) -> str:
    stream = data.description.get("stream")
    streamed = [f"{stream['split']} streamed from {stream['shards']:,} shards"] if stream else []
    return ", ".join([*streamed, *(f"{size:,} {split}" for split, size in data.sizes.items())])


def _vocabulary(task: Any) -> str:
    if task.name == "regression":
        return f", {task.inputs} numbers a step"
    if task.name == "bits":
        return f", {task.inputs} numbers in and {task.outputs} bits out a step"
    if task.name == "retrieval":
        return f", {task.inputs} numbers a key"
    if task.name != "translation":
        return f", {task.vocabulary} tokens"
    if task.shared:
        return f", {task.source_vocabulary:,} tokens in common"
    return f", {task.source_vocabulary:,} and {task.target_vocabulary:,} tokens"
