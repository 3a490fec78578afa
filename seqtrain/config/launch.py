"""From a training's arguments to jobs that Hydra runs: all are composed and checked before the first starts."""

import argparse
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from seqtrain.config.allow import to_plain
from seqtrain.config.arguments import take
from seqtrain.config.compose import VERSION_BASE, Composed, compose_job, jobs, multirun, parse
from seqtrain.config.directories import (
    AUTO,
    RUN_DIRECTORY,
    find_resumed,
    is_finished,
    quoted,
    refuse_changed,
    resumed_overrides,
)
from seqtrain.config.friendly import friendly
from seqtrain.config.job import check_configuration, check_job, refuse_several, refuse_taken, refuse_unsettled
from seqtrain.config.names import did_you_mean
from seqtrain.config.places import Sources, conf_directory
from seqtrain.config.team import Team, later_rank
from seqtrain.errors import NO_SPACE, InterruptionError, LostRankError, UserError
from seqtrain.runs.files import unwritable
from seqtrain.runs.record import Run
from seqtrain.slurm.sending import AS_MULTIRUN, common_size, prepare_sending
from seqtrain.slurm.settings import is_slurm
from seqtrain.sweep.checks import prepare_search
from seqtrain.sweep.settings import is_search

Job = Callable[[DictConfig, Any], object]

PROCESSES = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables that tell the processes of a run of each other."""

WRITES_NOTHING = (
    "hydra.output_subdir=null",
    "~hydra.job_logging.handlers.file",
    "hydra.job_logging.root.handlers=[console]",
    "hydra.job_logging.root.level=WARNING",
)
"""Overrides of every rank but the first, which alone keeps the configuration and the messages."""

ALONE = 10.0
"""Seconds that a process of a run has to end by itself when the one that started it has ended."""


@dataclass(frozen=True)
class Request:
    """A training as it was asked for: Hydra's own flags, and overrides."""

    flags: argparse.Namespace
    overrides: list[str]

    @property
    def sources(self) -> Sources:
        """Where the configuration comes from."""
        return Sources(
            directory=Path(self.flags.config_path or conf_directory()),
            extra=Path(self.flags.config_dir) if self.flags.config_dir else None,
            name=self.flags.config_name or "config",
        )


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
        return _hand_over(argv, request, run)
    if later_rank():
        # PyTorch's own warnings of a first process that is gone are pages of addresses; ours says so in a line.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if later_rank() and RUN_DIRECTORY in os.environ:
        _end_with_parent()
        _, overrides = take(request.overrides, "hydra.run.dir")
        overrides.append(f"hydra.run.dir={quoted(os.environ[RUN_DIRECTORY])}")
        return _hand_over([*_flag_words(flags), *overrides, *WRITES_NOTHING], request, run)
    team = Team.of(os.environ)
    if flags.cfg is None and team is not None and team.size > 1:
        return _together(team, request, run)
    overrides = _prepare_showing(request) if flags.cfg is not None else prepare(request)
    return _hand_over([*_flag_words(flags), *overrides], request, run)


def _together(team: Team, request: Request, run: Job) -> int:
    """The same as one of several processes of one run: all run what rank zero has found right, where it says."""
    words = _flag_words(request.flags)
    # Lightning's SLURM environment would take the job's number for the port, whatever step of the job this is.
    os.environ.update(MASTER_ADDR=team.address, MASTER_PORT=str(team.port))
    store = team.meet()

    def says(error: UserError) -> bool:
        return team.says(store, error)

    if team.rank > 0:
        word = team.hear(store)
        if "code" in word:
            return int(word["code"])
        return _hand_over([*words, *word["overrides"], *WRITES_NOTHING], request, run, says)
    try:
        overrides = prepare(request)
    except UserError as error:
        print(f"seqtrain: {error}", file=sys.stderr, flush=True)
        team.tell_the_end(store, error.code)
        return error.code
    team.tell(store, {"overrides": overrides})
    return _hand_over([*words, *overrides], request, run, says)


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
    for number, line in enumerate(jobs(overrides, sources)):
        try:
            job = compose_job(line, sources, number=number)
            check_job(job)
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


def _flag_words(flags: argparse.Namespace) -> list[str]:
    words = []
    for name in ("multirun", "resolve", "run"):
        words += [f"--{name}"] if getattr(flags, name) else []
    for name in ("cfg", "package", "config_dir", "config_name", "config_path"):
        value = getattr(flags, name)
        words += [f"--{name.replace('_', '-')}", value] if value is not None else []
    return words


def flags_of_job(argv: list[str]) -> list[str]:
    """Hydra's flags among the arguments of a multirun, for one of its jobs."""
    flags = _flag_words(get_args_parser().parse_intermixed_args(argv))
    return [word for word in flags if word != "--multirun"]


def _hand_over(
    argv: list[str], request: Request, run: Job, says: Callable[[UserError], bool] = lambda error: True
) -> int:
    """Runs Hydra's main function over `run`; a real error keeps its whole traceback.

    Args:
        argv: its arguments.
        request: what they were made of.
        run: the job.
        says: whether an error is for this process to print, and not for another one of the run.
    """
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    sys.argv[1:] = argv
    codes: list[int] = []
    sources = request.sources

    def job(cfg: DictConfig) -> None:
        _tell_further_processes(argv)
        if _is_done(cfg):
            return
        try:
            with _own_processes():
                run(cfg, HydraConfig.get())
        except UserError as error:
            if _prints(error, says):
                print(f"seqtrain: {error}", file=sys.stderr, flush=True)
            codes.append(error.code)
            if isinstance(error, InterruptionError) and HydraConfig.get().mode == RunMode.MULTIRUN:
                # Whoever stops a job does not want the next one to begin.
                raise SystemExit(error.code) from error

    directory = str(sources.directory.absolute())
    main = hydra.main(version_base=VERSION_BASE, config_path=directory, config_name=sources.name)
    try:
        main(job)()
    except HydraException:
        with friendly(request.overrides):
            raise
    except OSError as error:
        place = take(argv, "hydra.run.dir")[0] or take(argv, "hydra.sweep.dir")[0]
        if error.errno not in NO_SPACE or error.filename is not None or place is None:
            raise
        raise unwritable(Path(place.strip("'")), error) from error  # Hydra's own files
    return max(codes, default=0)


def _prints(error: UserError, says: Callable[[UserError], bool]) -> bool:
    if isinstance(error, InterruptionError):  # all have agreed on it
        return not later_rank()
    return error.here if isinstance(error, LostRankError) else says(error)


def _end_with_parent() -> None:
    """Ends this process, which another one of the run has started, some time after that one, wherever it is waiting."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        time.sleep(ALONE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _own_processes() -> Iterator[None]:
    """Takes away what Lightning leaves behind when it has started processes for a job: the next one would take it for
    a sign that somebody else starts its processes, and wait for them.
    """
    before = {name: os.environ.get(name) for name in PROCESSES}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({name: value} if value is not None else {})


def _is_done(cfg: DictConfig) -> bool:
    """Whether this job of a multirun that goes on was finished before; says so."""
    settings = HydraConfig.get()
    directory = Path(settings.runtime.output_dir)
    if settings.mode != RunMode.MULTIRUN or cfg.resume != AUTO or not is_finished(directory):
        return False
    # What changes no training may have been changed: a study's title, say.
    Run(directory).write_manifest(config=to_plain(cfg))
    print(f"{directory.name}: finished before", flush=True)
    return True


def _tell_further_processes(argv: list[str]) -> None:
    """Leaves what Lightning starts further processes of this run with: this job alone, in this directory."""
    settings = HydraConfig.get()
    os.environ[RUN_DIRECTORY] = str(settings.runtime.output_dir)
    if settings.mode == RunMode.MULTIRUN:
        sys.argv[1:] = [
            *flags_of_job(argv),
            *settings.overrides.task,
            "hydra.mode=RUN",
        ]  # a study asks for a multirun by itself
