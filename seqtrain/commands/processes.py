"""The trainer of a configuration: what has started its processes, and how these find each other."""

import os
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from omegaconf import DictConfig

from seqtrain.config.allow import build
from seqtrain.config.team import Team
from seqtrain.errors import UserError


def make_trainer(config: DictConfig, *, plugins: list[Any] | None = None, **given: Any) -> pl.Trainer:
    """The trainer that a configuration describes.

    Args:
        config: its part of the configuration.
        plugins: Lightning's, beside what says where the processes come from.
        given: what else the program supplies.

    Raises:
        UserError: there is no such precision here, or there are more or fewer devices than processes were started.
    """
    refuse_float16(config)
    trainer: pl.Trainer = build(
        config,
        "trainer",
        plugins=[*(plugins or []), cluster_environment()],
        use_distributed_sampler=False,
        enable_model_summary=False,
        **given,
    )
    team = Team.of(os.environ)
    if team is not None:  # trainer.devices=auto is known by now
        team.refuse_other_size(trainer.num_devices, trainer.num_nodes)
    return trainer


def refuse_float16(config: DictConfig) -> None:
    """Refuses a precision that Lightning would silently take another one for: the record would not be true.

    Raises:
        UserError: says what to set.
    """
    accelerator, precision = config.get("accelerator", "auto"), config.get("precision")
    gpus = torch.cuda.is_available() or torch.backends.mps.is_available()
    if precision in ("16-mixed", "16", 16) and (accelerator == "cpu" or (accelerator == "auto" and not gpus)):
        raise UserError(
            f"trainer.precision={precision}: processors have no float16, and there is no GPU here",
            "Set trainer.precision=bf16-mixed, or 32-true.",
        )


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
