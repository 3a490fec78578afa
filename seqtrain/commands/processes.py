"""What started a trainer's processes, and how these find each other."""

import os

import pytorch_lightning as pl
from lightning_fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from seqtrain.config.team import Team


class Slurm(SLURMEnvironment):
    """Lightning's, without its checks, which take `srun --ntasks=2` for a mistake: `Team` has compared the numbers."""

    @staticmethod
    def _validate_srun_used() -> None: ...

    @staticmethod
    def _validate_srun_variables() -> None: ...


def cluster_environment() -> ClusterEnvironment:
    """By what the process was started: `torchrun`, `srun`, or neither, and then Lightning starts further ones.

    Lightning, left to itself, takes every process of a SLURM job for one that `srun` has started, and waits for others
    that nobody starts.
    """
    team = Team.of(os.environ)
    if team is None:
        return LightningEnvironment()
    return TorchElasticEnvironment() if team.launcher == "torchrun" else Slurm()


def refuse_other_team(trainer: pl.Trainer) -> None:
    """Refuses a trainer that has found more or fewer devices than processes were started.

    Raises:
        UserError: names both numbers.
    """
    team = Team.of(os.environ)
    if team is not None:
        team.refuse_other_size(trainer.num_devices, trainer.num_nodes)
