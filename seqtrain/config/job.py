"""One job before it begins: whether it is right, and whether its directory is free."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqtrain.config.allow import to_plain
from seqtrain.config.check import check
from seqtrain.config.compose import Composed
from seqtrain.config.directories import AUTO, is_run, refuse_existing
from seqtrain.config.pair import check_pair
from seqtrain.config.team import Team, counted
from seqtrain.config.together import check_together
from seqtrain.data.preflight import preflight
from seqtrain.errors import UserError
from seqtrain.runs.lock import alone


def check_job(job: Composed) -> None:
    """Checks one composed job: keys and values, whether model and data set go together, whether files are there.

    Raises:
        UserError: it is not right.
    """
    check_configuration(job)
    refuse_other_team(job.cfg.trainer)
    preflight(to_plain(job.cfg.data))


def check_configuration(job: Composed) -> None:
    """The same without a look at files."""
    check(job.cfg, job.choices)
    check_pair(job.cfg, job.choices)
    check_together(job.cfg)


def refuse_other_team(trainer: Mapping[str, Any]) -> None:
    """Refuses a trainer of more or fewer processes than somebody has started."""
    devices, nodes = to_plain(trainer.get("devices", "auto")), trainer.get("num_nodes", 1)
    team = Team.of(os.environ)
    if team is not None:
        team.refuse_other_size(devices, nodes)
    elif nodes > 1:
        local = counted(devices) or "DEVICES"
        raise UserError(
            f"trainer.num_nodes={nodes}: processes are only started on this machine",
            f"Start them on each: torchrun --nnodes={nodes} --nproc-per-node={local} -m seqtrain ..., or by srun.",
        )


def refuse_unsettled(overrides: list[str], resume: str | None, key: str) -> None:
    """Refuses what needs a directory that does not change from start to start, where none is given."""
    if resume == AUTO and not any(override.startswith(f"{key}=") for override in overrides):
        raise UserError(f"resume=auto has to know which directory to look in: add {key}=PATH")


def refuse_taken(job: Composed, resumed: Path | None, *, one_of_many: bool = False) -> None:
    """Refuses to write where a run is, unless it is the one that is gone on with, and nobody trains it now."""
    goes_on = resumed is not None and resumed.resolve() == job.directory.resolve() and is_run(job.directory)
    if not goes_on:
        refuse_existing(job.directory, one_of_many=one_of_many)
    elif not one_of_many:  # of many, one that others train now may be finished when its turn comes
        with alone(job.directory):
            pass


def refuse_several(what: str) -> None:
    """Refuses to be one of several processes, for what starts one training after another."""
    team = Team.of(os.environ)
    if team is not None and team.size > 1:
        raise UserError(
            f"several processes were started, but {what} starts one training after another itself",
            "Start it once; for several devices a training: trainer.devices=NUMBER.",
        )
