"""Sends the jobs of a multirun to SLURM, as one array."""

import os
import re
import sys
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from seqtrain.config.arguments import command_line
from seqtrain.config.directories import AUTO, is_finished, quoted
from seqtrain.config.team import Team
from seqtrain.errors import UserError
from seqtrain.runs.files import write_text
from seqtrain.slurm.cluster import queue, refuse_without_sbatch, submit
from seqtrain.slurm.script import STALLED, Job, script
from seqtrain.slurm.sent import Sent, SentJob
from seqtrain.slurm.settings import Settings, Size

AS_MULTIRUN = ("hydra.mode=MULTIRUN", "hydra.sweep.subdir=.", "hydra.sweeper.params=null")
"""What makes a single training a multirun of one, in the directory of the run itself."""

OURS = (
    "launcher",
    "resume",
    "hydra.launcher",
    "hydra/launcher",
    "hydra.mode",
    "hydra.run",
    "hydra.sweep",
    "hydra.sweeper",
)
"""Keys that a job is not given as they were asked for: it trains where it is, in the directory that it is told."""


def prepare_sending(launcher: Mapping[str, Any]) -> Settings:
    """Checks what is known before the jobs are.

    Raises:
        UserError: a setting is not allowed, or nothing can be sent from here.
    """
    settings = Settings.read(launcher)
    refuse_without_sbatch()
    team = Team.of(os.environ)
    if team is not None and team.size > 1:
        raise UserError(
            "several processes were started, but launcher=slurm sends all jobs itself",
            "Start it once, outside of a SLURM job.",
        )
    return settings


def common_size(settings: Settings, jobs: Sequence[DictConfig]) -> Size:
    """What each of the jobs is spread over.

    Raises:
        UserError: they are not of one size, or not of the one that was asked for.
    """
    sizes = {Size.of(cfg, settings): None for cfg in jobs}
    if len(sizes) > 1:
        shown = ", ".join(map(str, sizes))
        raise UserError(
            f"the jobs of an array are of one size, but these are of several (nodes x devices): {shown}",
            "Send those of each size by themselves.",
        )
    return next(iter(sizes))


def send(settings: Settings, jobs: Mapping[int, Job], cfgs: Sequence[DictConfig], directory: Path) -> None:
    """Sends those jobs that are not finished and not in the queue, and says what to do next.

    Args:
        settings: what to ask for.
        jobs: all jobs, by number; their words are what was asked for.
        cfgs: their configurations.
        directory: of the multirun, or of the run that is sent alone.

    Raises:
        UserError: SLURM refuses them, or cannot be reached; or one of them is in the queue, asked for otherwise.
    """
    before = Sent.read(directory)
    named = {number for number, cfg in zip(jobs, cfgs, strict=True) if cfg.resume not in (None, AUTO)}
    waiting = _waiting(jobs, before, named)
    if not waiting:
        print("nothing is left to send")
        return
    folder, words = Sent.folder(directory), sys.argv[1:]
    text = script(
        settings,
        common_size(settings, cfgs),
        {number: replace(job, words=_words(job)) for number, job in waiting.items()},
        folder=folder,
        command=command_line(words),
        python=sys.executable,
        place=Path.cwd(),
    )
    write_text(folder / "array.sbatch", text)
    for number in waiting:
        (folder / STALLED.format(number=number)).unlink(missing_ok=True)
    array = submit(folder / "array.sbatch")
    sent = {
        number: SentJob(f"{array}_{number}", list(job.words), os.path.relpath(job.directory, directory))
        for number, job in waiting.items()
    }
    alone = any(job.directory == directory for job in jobs.values())
    Sent(directory, _again(words, directory, alone=alone), {**before.jobs, **sent}).write()
    print(
        f"sent: array {array}, {len(sent)} job{'s' if len(sent) > 1 else ''}; script and logs are in {folder}\n"
        f"  how they stand:  {command_line(['jobs', str(directory)])}\n"
        f"  to end them:     scancel {array}"
    )


def _waiting(jobs: Mapping[int, Job], before: Sent, named: Set[int]) -> dict[int, Job]:
    """The jobs that nothing is done about yet; says what there is of the others.

    Those whose run was `named`, as `resume=RUN`, are to be gone on with though they are finished.
    """
    known = queue() if before.jobs else {}
    waiting = {}
    for number, job in jobs.items():
        earlier = before.jobs.get(number)
        if is_finished(job.directory) and number not in named:
            print(f"{number}: finished before")
        elif earlier is not None and earlier.id in known:
            _refuse_other(number, job, earlier)
            print(f"{number}: in the queue as {earlier.id}, {known[earlier.id]}")
        else:
            waiting[number] = job
    return waiting


def _refuse_other(number: int, job: Job, earlier: SentJob) -> None:
    """Refuses to take a job that is in the queue for one that is asked for otherwise."""
    asked, was = set(job.words), set(earlier.overrides)
    if asked != was:
        raise UserError(
            f"job {number} is in the queue as {earlier.id}, "
            f"asked for as {_shown(was - asked)}, now {_shown(asked - was)}",
            f"End it first, scancel {earlier.id}, or send these to another directory.",
        )


def _shown(words: set[str]) -> str:
    return " ".join(sorted(words)) or "without that"


def is_ours(override: str) -> bool:
    """Whether an override is about where and how jobs run, which a job itself is not asked again."""
    key = override.lstrip("+~").partition("=")[0]
    return any(key == own or key.startswith(f"{own}.") for own in OURS)


def _words(job: Job) -> list[str]:
    """The arguments of a job that goes on in its directory, however often it is started."""
    own = ["launcher=local", "resume=auto", "hydra.mode=RUN", f"hydra.run.dir={_plain(str(job.directory))}"]
    return [*job.words, *own]


def _again(words: Sequence[str], directory: Path, *, alone: bool) -> str:
    settled = ("resume=", "hydra.sweep.dir=", "hydra.run.dir=", *(AS_MULTIRUN if alone else ()))
    key = "hydra.run.dir" if alone else "hydra.sweep.dir"
    kept = [word for word in words if not word.startswith(settled) and not (alone and word == "--multirun")]
    return command_line([*kept, "resume=auto", f"{key}={_plain(str(directory))}"])


def _plain(path: str) -> str:
    """A path as an override has it, quoted only where it has to be."""
    return path if re.fullmatch(r"[\w./-]+", path) else quoted(path)
