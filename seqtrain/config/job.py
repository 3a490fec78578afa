"""One job before it begins: whether it is right, and whether its directory is free."""

import os
from pathlib import Path

from seqtrain.config.allow import to_plain
from seqtrain.config.check import check
from seqtrain.config.compose import Composed
from seqtrain.config.directories import AUTO, RUN_DIRECTORY, is_run, refuse_existing
from seqtrain.config.pair import check_pair
from seqtrain.config.together import check_together
from seqtrain.data.preflight import preflight
from seqtrain.errors import UserError


def check_job(job: Composed) -> None:
    """Checks one composed job: keys and values, whether model and data set go together, whether files are there.

    Raises:
        UserError: it is not right.
    """
    check_configuration(job)
    preflight(to_plain(job.cfg.data))


def check_configuration(job: Composed) -> None:
    """The same without a look at files."""
    check(job.cfg, job.choices)
    check_pair(job.cfg, job.choices)
    check_together(job.cfg)


def refuse_unsettled(overrides: list[str], resume: str | None, key: str) -> None:
    """Refuses what needs a directory that does not change from start to start, where none is given."""
    if any(override.startswith(f"{key}=") for override in overrides):
        return
    if resume == AUTO:
        raise UserError(f"resume=auto has to know which directory to look in: add {key}=PATH")
    if several_ranks() and RUN_DIRECTORY not in os.environ:
        raise UserError(
            "several processes were started for one run, and each would write a directory of its own",
            f"Name the directory: {key}=PATH",
        )


def refuse_taken(job: Composed, resumed: Path | None, *, one_of_many: bool = False) -> None:
    """Refuses to write where a run is, unless it is the one that is gone on with."""
    goes_on = resumed is not None and resumed.resolve() == job.directory.resolve() and is_run(job.directory)
    if not goes_on and not later_rank():
        refuse_existing(job.directory, one_of_many=one_of_many)


def several_ranks() -> bool:
    """Whether this is one of several processes that somebody else has started for one run."""
    return any(int(os.environ.get(name) or 1) > 1 for name in ("WORLD_SIZE", "SLURM_NTASKS"))


def later_rank() -> bool:
    """Whether this is a process of a run that another one leads."""
    return any(int(os.environ.get(name) or 0) > 0 for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
