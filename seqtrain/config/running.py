"""Jobs that were found right are run: by Hydra, and so that further processes of them find what they are."""

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from seqtrain.config.allow import to_plain
from seqtrain.config.arguments import take
from seqtrain.config.compose import VERSION_BASE
from seqtrain.config.directories import AUTO, RUN_DIRECTORY, is_finished
from seqtrain.config.friendly import friendly
from seqtrain.config.places import Sources, conf_directory
from seqtrain.config.team import later_rank
from seqtrain.errors import NO_SPACE, InterruptionError, UserError
from seqtrain.runs.files import unwritable
from seqtrain.runs.record import Run

Job = Callable[[DictConfig, Any], object]

PROCESSES = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables that tell the processes of a run of each other."""

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


def flag_words(flags: argparse.Namespace) -> list[str]:
    words = []
    for name in ("multirun", "resolve", "run"):
        words += [f"--{name}"] if getattr(flags, name) else []
    for name in ("cfg", "package", "config_dir", "config_name", "config_path"):
        value = getattr(flags, name)
        words += [f"--{name.replace('_', '-')}", value] if value is not None else []
    return words


def flags_of_job(argv: list[str]) -> list[str]:
    """Hydra's flags among the arguments of a multirun, for one of its jobs."""
    flags = flag_words(get_args_parser().parse_intermixed_args(argv))
    return [word for word in flags if word != "--multirun"]


def hand_over(
    argv: list[str],
    request: Request,
    run: Job,
    says: Callable[[UserError], bool] = lambda error: error.here is not False,
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
    return not later_rank() if isinstance(error, InterruptionError) else says(error)  # all have agreed to stop


def end_with_parent() -> None:
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
        # A study asks for a multirun by itself.
        sys.argv[1:] = [*flags_of_job(argv), *settings.overrides.task, "hydra.mode=RUN"]
