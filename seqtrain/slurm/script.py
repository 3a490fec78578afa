"""The script that `sbatch` gets: plain text, to be read, changed and sent again by hand."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqtrain.errors import GO_ON_LATER, NO_FURTHER
from seqtrain.runs.markdown import printable
from seqtrain.slurm.settings import Settings, Size

STARTS = 3
"""How often in a row a job may be stopped before it has taken a step."""

STALLED = "{number}.stalled"
"""The file with a line for each of them, beside the script."""

KILLED = (138, 143)
"""What `srun` ends with when SIGUSR1 or SIGTERM has ended a process that could not yet do anything about it."""


@dataclass(frozen=True)
class Job:
    """One training to send.

    Attributes:
        words: what is behind `python -m seqtrain` to train it.
        directory: the run's.
    """

    words: Sequence[str]
    directory: Path


def script(
    settings: Settings, size: Size, jobs: Mapping[int, Job], *, folder: Path, command: str, python: str, place: Path
) -> str:
    """The text of an array's script.

    Args:
        settings: what to ask for.
        size: what each training is spread over.
        jobs: by number.
        folder: where the script and the logs are.
        command: what this was asked for by.
        python: the interpreter.
        place: the working directory.
    """
    parts = [
        _head(command, folder / "array.sbatch"),
        "\n".join(f"#SBATCH {option}" for option in _options(settings, size, jobs, folder, place)),
        _cases(jobs),
        _left_alone(folder / "array.sbatch"),
        "\n".join(settings.setup),
        _step(settings, python),
        _again(folder) if settings.requeue else "",
        "exit $code",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(command: str, file: Path) -> str:
    resent = f"sbatch {shlex.quote(str(file))}"
    return "\n".join(
        ["#!/bin/bash", *(f"# {printable(line)}" for line in (f"Made by: {command}", f"Sent by: {resent}"))]
    )


def _options(settings: Settings, size: Size, jobs: Mapping[int, Job], folder: Path, place: Path) -> list[str]:
    at_once = f"%{settings.parallel}" if settings.parallel else ""
    given = {
        "job-name": "seqtrain",
        "array": ",".join(map(str, jobs)) + at_once,
        "chdir": str(place),
        "output": str(folder).replace("%", "%%") + "/%a.log",
        "open-mode": "append",
        "nodes": size.nodes,
        "ntasks-per-node": size.tasks,
        "partition": settings.partition,
        "account": settings.account,
        "qos": settings.qos,
        "time": settings.time,
        "gpus-per-node": settings.gpus_per_node or (None if _asks_for_gpus(settings.extra) else size.gpus),
        "cpus-per-task": settings.cpus_per_task,
        "mem": settings.memory,
        "signal": f"USR1@{settings.signal_seconds}",
    }
    options = [f"--{name}={_quoted(str(value))}" for name, value in given.items() if value is not None]
    return [*options, "--requeue" if settings.requeue else "--no-requeue", *settings.extra]


def _asks_for_gpus(extra: Sequence[str]) -> bool:
    return any(option.startswith(("--gres", "--gpus", "-G")) for option in extra)


def _cases(jobs: Mapping[int, Job]) -> str:
    lines = ["case $SLURM_ARRAY_TASK_ID in"]
    for number, job in jobs.items():
        lines += [f"{number})", f"  run={shlex.quote(str(job.directory))}", f"  job=({shlex.join(job.words)})", "  ;;"]
    return "\n".join([*lines, "esac"])


def _left_alone(script: Path) -> str:
    return f"""\
# What was finished when this was written was asked to go on.
record=$run/manifest.json
if [ "$record" -nt {shlex.quote(str(script))} ] && grep -q '^  "status": "finished"' "$record"; then
  echo "finished before: $run"
  exit 0
fi"""


def _step(settings: Settings, python: str) -> str:
    # srun does not take over what sbatch was told of processors.
    processors = f" --cpus-per-task={settings.cpus_per_task}" if settings.cpus_per_task else ""
    return f"""\
# A process that is done waits for those that still write; a minute after one has failed the others are ended.
srun --kill-on-bad-exit=0 --wait=60{processors} {shlex.quote(python)} -m seqtrain "${{job[@]}}"
code=$?"""


def _again(folder: Path) -> str:
    return f"""\
# {GO_ON_LATER}: stopped by a signal, and saved; it goes back into the queue. So does what was stopped before it took a
# step ({NO_FURTHER}, or ended by the signal itself), but not {STARTS} times in a row. SLURM says whether the job is
# wanted at all: one that was cancelled is not running any more, nor is one that SLURM itself puts back.
# SLURM_JOB_ID would not do: that of one of the tasks is the whole array's.
task=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID
stalled={shlex.quote(str(folder))}/{STALLED.format(number="$SLURM_ARRAY_TASK_ID")}
again=no
case $code in
{GO_ON_LATER})
  rm -f "$stalled"
  again=yes
  ;;
{NO_FURTHER} | {" | ".join(map(str, KILLED))})
  date >>"$stalled"
  if [ "$(wc -l <"$stalled")" -lt {STARTS} ]; then
    again=yes
  else
    echo "not sent again: stopped {STARTS} times in a row before it took a step; give it more time"
    rm -f "$stalled"
  fi
  ;;
*)
  rm -f "$stalled"
  ;;
esac
if [ $again = yes ] && scontrol show job "$task" | grep -q JobState=RUNNING; then
  echo "goes back into the queue: $run"
  scontrol requeue "$task"
fi"""


def _quoted(value: str) -> str:
    """A value as sbatch reads it in a script."""
    if re.fullmatch(r"[\w@%+=:,./~-]+", value):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
