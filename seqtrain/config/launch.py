"""From a training's arguments to jobs that Hydra runs: all are composed and checked before the first starts."""

import argparse
import os
import re
import sys
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from hydra.types import RunMode

from seqtrain.config.arguments import take
from seqtrain.config.compose import Composed, compose_job, jobs, multirun, parse
from seqtrain.config.directories import (
    AUTO,
    RUN_DIRECTORY,
    find_resumed,
    quoted,
    refuse_changed,
    resumed_overrides,
)
from seqtrain.config.job import check_configuration, check_job, refuse_several, refuse_taken, refuse_unsettled
from seqtrain.config.names import did_you_mean
from seqtrain.config.places import Sources
from seqtrain.config.running import Job, Request, end_with_parent, flag_words, hand_over
from seqtrain.config.team import Team, later_rank
from seqtrain.errors import UserError
from seqtrain.slurm.sending import AS_MULTIRUN, common_size, prepare_sending
from seqtrain.slurm.settings import is_slurm
from seqtrain.sweep.checks import prepare_search
from seqtrain.sweep.settings import is_search

WRITES_NOTHING = (
    "hydra.output_subdir=null",
    "~hydra.job_logging.handlers.file",
    "hydra.job_logging.root.handlers=[console]",
    "hydra.job_logging.root.level=WARNING",
)
"""Overrides of every rank but the first, which alone keeps the configuration and the messages."""


def launch(argv: list[str], run: Job) -> int:
    """Checks and runs the training, or the multirun of trainings, that arguments ask for.

    Args:
        argv: overrides and Hydra's flags.
        run: what is called with the configuration of each job, and with Hydra's part of it.

    Returns:
        The exit code.

    Raises:
        UserError: what was asked for cannot be done; nothing was written.
    """
    flags = _flags(argv)
    request = Request(flags, list(flags.overrides))
    if flags.experimental_rerun is not None:
        raise UserError("--experimental-rerun: loads a pickle, which can run any code", "Use resume=PATH instead.")
    if flags.info is not None or flags.hydra_help or flags.shell_completion:
        return hand_over(argv, request, run)
    if later_rank():
        # PyTorch's own warnings of a first process that is gone are pages of addresses; ours says so in a line.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if later_rank() and RUN_DIRECTORY in os.environ:
        end_with_parent()
        _, overrides = take(request.overrides, "hydra.run.dir")
        overrides.append(f"hydra.run.dir={quoted(os.environ[RUN_DIRECTORY])}")
        return hand_over([*flag_words(flags), *overrides, *WRITES_NOTHING], request, run)
    team = Team.of(os.environ)
    if flags.cfg is None and team is not None and team.size > 1:
        return _together(team, request, run)
    overrides = _prepare_showing(request) if flags.cfg is not None else prepare(request)
    return hand_over([*flag_words(flags), *overrides], request, run)


def _together(team: Team, request: Request, run: Job) -> int:
    """The same as one of several processes of one run: all run what rank zero has found right, where it says."""
    words = flag_words(request.flags)
    # Lightning's SLURM environment would take the job's number for the port, whatever step of the job this is.
    os.environ.update(MASTER_ADDR=team.address, MASTER_PORT=str(team.port))
    store = team.meet()

    def says(error: UserError) -> bool:
        return team.says(store, error)

    if team.rank > 0:
        word = team.hear(store)
        if "code" in word:
            return int(word["code"])
        return hand_over([*words, *word["overrides"], *WRITES_NOTHING], request, run, says)
    try:
        overrides = prepare(request)
    except UserError as error:
        print(f"seqtrain: {error}", file=sys.stderr, flush=True)
        team.tell_the_end(store, error.code)
        return error.code
    team.tell(store, {"overrides": overrides})
    return hand_over([*words, *overrides], request, run, says)


def _flags(argv: list[str]) -> argparse.Namespace:
    """Hydra's flags and the overrides.

    Raises:
        UserError: a flag is unknown, or cannot be used so.
    """
    parser = get_args_parser()
    known = [flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")]

    def refuse(message: str) -> NoReturn:
        unknown = re.match(r"unrecognized arguments: (\S+)", message)
        if not unknown:
            raise UserError(message)
        flag = unknown[1].partition("=")[0]
        raise UserError(f"{flag}: no such option{did_you_mean(flag, known)} Options: {', '.join(sorted(known))}")

    setattr(parser, "error", refuse)  # noqa: B010 - a method, which a type checker lets nobody assign to
    flags = parser.parse_intermixed_args(argv)
    if flags.cfg is not None and flags.multirun:
        raise UserError("--cfg shows one job, but -m asks for several", "Leave one of them out.")
    if flags.resolve and flags.cfg is None:
        raise UserError("--resolve: only goes with --cfg", "Add --cfg job.")
    return flags


def _prepare_showing(request: Request) -> list[str]:
    job = compose_job(request.overrides, request.sources)
    check_configuration(job)
    return job.overrides


def prepare(request: Request) -> list[str]:
    """Composes and checks every job, and settles where they are written.

    Returns:
        The overrides to give Hydra.

    Raises:
        UserError: a job is not right, or a directory is taken.
    """
    overrides, sources = request.overrides, request.sources
    resume, _ = take(overrides, "resume")
    resume = None if resume in (None, "null", "") else resume.strip("'\"")
    resumed = find_resumed(resume) if resume not in (None, AUTO) else None
    if resumed is not None:
        overrides = resumed_overrides(overrides, resumed)
    if request.flags.multirun:
        return _prepare_multirun(overrides, sources, resume)
    fixed = [str(override.input_line) for override in parse(overrides) if not override.is_sweep_override()]
    job = compose_job(fixed, sources)
    if job.mode == RunMode.MULTIRUN and resumed is None:
        return _prepare_multirun(overrides, sources, resume)
    if job.mode == RunMode.MULTIRUN:  # one run of a study or a sweep, which was recorded with that
        overrides = [*overrides, "hydra.mode=RUN"]
    if fixed != overrides:
        job = compose_job(overrides, sources)
    if is_slurm(job.launcher):
        _check_sent_alone(job, resume)
    refuse_unsettled(overrides, resume, "hydra.run.dir")
    check_job(job)
    refuse_taken(job, resumed.directory if resumed else job.directory if resume == AUTO else None)
    _, rest = take(job.overrides, "hydra.run.dir")
    if is_slurm(job.launcher):
        rest = [override for override in rest if not override.startswith(("hydra.mode=", "hydra.sweep"))]
        return [*rest, *AS_MULTIRUN, f"hydra.sweep.dir={quoted(str(job.directory))}"]
    return [*rest, f"hydra.run.dir={quoted(str(job.directory))}"]


def _check_sent_alone(job: Composed, resume: str | None) -> None:
    if resume is not None and resume.endswith(".ckpt"):
        raise UserError(
            f"resume={resume}: a job that SLURM starts again goes on from the last checkpoint, not from this one",
            "Give the directory of the run: resume=RUN.",
        )
    common_size(prepare_sending(job.launcher), [job.cfg])


def _prepare_multirun(overrides: list[str], sources: Sources, resume: str | None) -> list[str]:
    if resume not in (None, AUTO):
        raise UserError(f"resume={resume}: goes on with one run, but -m asks for several", "Use resume=auto.")
    refuse_several("a multirun")
    refuse_unsettled(overrides, resume, "hydra.sweep.dir")
    asked = multirun(overrides, sources)
    sends = is_slurm(asked.launcher)
    if is_search(asked.sweeper):
        if sends:
            raise UserError(
                "sweep=optuna chooses a trial by the results of those before it, and launcher=slurm waits for none",
                "Search inside of one job of SLURM, or send listed values: -m optimizer.lr=1e-3,1e-2.",
            )
        return prepare_search(asked, sources)
    settings = prepare_sending(asked.launcher) if sends else None
    _, overrides = take(overrides, "hydra.sweep.dir")
    overrides = [*overrides, f"hydra.sweep.dir={quoted(asked.directory)}"]
    added, cfgs = set(), []
    places: dict[Path, int] = {}
    for number, line in enumerate(jobs(overrides, sources)):
        try:
            job = compose_job(line, sources, number=number)
            check_job(job)
            _refuse_shared(job.directory, places.setdefault(job.directory, number), number)
            # A study says `resume: auto` itself.
            refuse_taken(job, job.directory if job.cfg.resume == AUTO else None, one_of_many=True)
            refuse_changed(job.directory, job.cfg)
        except UserError as error:
            words = " ".join(o.removeprefix("++") for o in line if not o.startswith("hydra."))
            raise UserError(f"job {number} ({words}): {error}", code=error.code) from error
        added |= {o.split("=")[0][2:] for o in job.overrides if o.startswith("++")}
        cfgs.append(job.cfg)
    if settings is not None:
        common_size(settings, cfgs)
    return [f"++{o}" if o.split("=")[0] in added else o for o in overrides]


def _refuse_shared(directory: Path, first: int, number: int) -> None:
    if first != number:
        raise UserError(
            f"would write to {directory}, as job {first} does",
            "Leave hydra.sweep.subdir out, or name in it what they differ in.",
        )
