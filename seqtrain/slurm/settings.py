"""How trainings are sent to SLURM: the keys of `hydra.launcher` with `launcher=slurm`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from seqtrain.config.allow import TARGET
from seqtrain.config.settings import checked
from seqtrain.config.types import Gpus, Hours, Memory, Positive, Word
from seqtrain.errors import UserError

KEY = "hydra.launcher"
GPUS = ("gpu", "cuda")
"""Values of `trainer.accelerator` that need what SLURM gives only to those who ask."""
LAUNCHER = "hydra_plugins.seqtrain_slurm.SlurmLauncher"


@dataclass(frozen=True)
class Settings:
    """What a job asks SLURM for; `None` leaves it to the cluster.

    Attributes:
        partition, account, qos: who pays, and for what.
        time: the limit of a job.
        nodes: of a job; `None`: `trainer.num_nodes`.
        tasks_per_node: processes of the training on each; `None`: `trainer.devices`.
        gpus_per_node: a number, or a kind and a number; `None`: `trainer.devices` where the trainer's are GPUs.
        cpus_per_task: processors of each process.
        memory: of a node.
        parallel: jobs of an array that run at the same time, at most.
        signal_seconds: how long before its limit a job is told to save and end.
        requeue: whether a job that was told so goes back into the queue.
        extra: further options of `sbatch`.
        setup: commands that are run before the training.
    """

    partition: Word | None
    account: Word | None
    qos: Word | None
    time: Hours | None
    nodes: Positive | None
    tasks_per_node: Positive | None
    gpus_per_node: Positive | Gpus | None
    cpus_per_task: Positive | None
    memory: Memory | None
    parallel: Positive | None
    signal_seconds: Positive
    requeue: bool
    extra: list[str]
    setup: list[str]

    @classmethod
    def read(cls, launcher: Mapping[str, Any]) -> "Settings":
        """The settings in the configuration of Hydra's launcher.

        Raises:
            UserError: a value is missing or not allowed.
        """
        found = cls(**checked(f"{__name__}.Settings", launcher, key=KEY))
        for option in found.extra:
            if not option.startswith("-") or "\n" in option:
                raise UserError(f"{KEY}.extra: {option!r}: must be an option of sbatch, as --constraint=v100")
        return found


@dataclass(frozen=True)
class Size:
    """What a training is spread over.

    Attributes:
        nodes: machines.
        tasks: processes on each.
        gpus: on each; `None` where the trainer asks for none.
    """

    nodes: int
    tasks: int
    gpus: int | None = None

    def __str__(self) -> str:
        return f"{self.nodes} x {self.tasks}{' GPUs' if self.gpus else ''}"

    @classmethod
    def of(cls, cfg: DictConfig, settings: Settings) -> "Size":
        """The size of a training.

        Raises:
            UserError: the trainer leaves it open, or wants another than SLURM is asked for.
        """
        nodes, devices = int(cfg.trainer.get("num_nodes") or 1), _number(cfg.trainer.get("devices", "auto"))
        if devices is None:
            raise UserError(
                f"trainer.devices={cfg.trainer.get('devices', 'auto')}: SLURM has to know how many processes to start",
                "Set trainer.devices=NUMBER.",
            )
        wanted = {
            "nodes": (settings.nodes, "num_nodes", nodes),
            "tasks_per_node": (settings.tasks_per_node, "devices", devices),
        }
        for name, (asked, key, has) in wanted.items():
            if asked not in (None, has):
                raise UserError(
                    f"{KEY}.{name}={asked}: the trainer has trainer.{key}={has}",
                    f"Set trainer.{key}={asked}, or leave {KEY}.{name} out.",
                )
        return cls(nodes, devices, devices if cfg.trainer.get("accelerator") in GPUS else None)


def is_slurm(launcher: Mapping[str, Any]) -> bool:
    """Whether Hydra's launcher is the one that sends to SLURM."""
    return launcher.get(TARGET) == LAUNCHER


def _number(devices: Any) -> int | None:
    if isinstance(devices, str):
        devices = int(devices) if devices.isdigit() else None
    elif not isinstance(devices, int | None):
        devices = len(devices)
    return devices if devices is not None and devices > 0 else None
