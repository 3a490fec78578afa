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
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig

from seqtrain.config.allow import build, to_plain
from seqtrain.config.team import Team, counted
from seqtrain.errors import UserError


def make_trainer(config: DictConfig, *, plugins: list[Any] | None = None, **given: Any) -> pl.Trainer:
    """The trainer that a configuration describes.

    Args:
        config: its part of the configuration.
        plugins: Lightning's, beside what says where the processes come from.
        given: what else the program supplies.

    Raises:
        UserError: there are no such devices or precision here, or more or fewer devices than processes were started.
    """
    check_devices(config)
    try:
        trainer: pl.Trainer = build(
            config,
            "trainer",
            plugins=[*(plugins or []), cluster_environment()],
            use_distributed_sampler=False,
            enable_model_summary=False,
            **given,
        )
    except (MisconfigurationException, ValueError) as error:  # what its arguments are not together
        raise UserError(f"trainer: {str(error).strip().splitlines()[0]}", "See docs/distributed.md.") from error
    team = Team.of(os.environ)
    if team is not None:  # trainer.devices=auto is known by now
        team.refuse_other_size(trainer.num_devices, trainer.num_nodes)
    return trainer


def check_devices(config: DictConfig) -> None:
    """Refuses GPUs where there are none, or too few, processors chosen as GPUs are, and a precision that Lightning
    would silently take another one for: the record would not be true.

    Raises:
        UserError: says what to set.
    """
    accelerator, precision = config.get("accelerator", "auto"), config.get("precision")
    gpus = torch.cuda.is_available() or torch.backends.mps.is_available()
    devices = to_plain(config.get("devices", "auto"))
    asked = counted(devices) or 1
    processors = accelerator == "cpu" or (accelerator == "auto" and not gpus)
    if accelerator in ("gpu", "cuda", "mps") and not gpus:
        raise UserError(f"trainer.accelerator={accelerator}: there is no GPU here", "Set trainer.accelerator=cpu.")
    if accelerator in ("gpu", "cuda") and torch.cuda.is_available() and asked > torch.cuda.device_count():
        raise UserError(
            f"trainer.devices={config.devices}: there are {torch.cuda.device_count()} GPUs here",
            f"Set trainer.devices={torch.cuda.device_count()}.",
        )
    if processors and devices != "auto" and str(devices) != str(asked):
        raise UserError(
            f"trainer.devices={devices}: chooses GPUs, but this training is on processors",
            f"Set trainer.devices={asked}, the number of processes.",
        )
    if processors and precision in ("16-mixed", "16", 16):
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
