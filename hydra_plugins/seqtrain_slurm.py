"""The launcher of `launcher=slurm`. It stands here because Hydra takes plugins from no other package."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


class SlurmLauncher(Launcher):
    """Sends all jobs to SLURM as one array, and waits for none of them.

    Args:
        settings: see `seqtrain.slurm.settings.Settings`; taken from the configuration, where they are plain values.
    """

    def __init__(self, **settings: Any) -> None:
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes what Hydra gives every launcher."""
        self.hydra_context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Sends the jobs; nothing has been returned by any of them.

        Raises:
            UserError: SLURM refuses them, or cannot be reached.
        """
        # Hydra imports this module whenever it starts.
        from seqtrain.config.compose import named
        from seqtrain.config.running import flags_of_job
        from seqtrain.slurm.script import Job
        from seqtrain.slurm.sending import is_ours, send
        from seqtrain.slurm.settings import Settings

        assert self.hydra_context is not None
        assert self.config is not None
        own = [*flags_of_job(sys.argv[1:]), *(o for o in self.config.hydra.overrides.hydra if not is_ours(o))]
        jobs, cfgs = {}, []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            cfg = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
            with open_dict(cfg):
                cfg.hydra.job.id, cfg.hydra.job.num = str(number), number
            HydraConfig.instance().set_config(cfg)  # what a directory's name refers to
            directory = Path(str(cfg.hydra.sweep.dir), str(cfg.hydra.sweep.subdir))
            jobs[number] = Job([*own, *(o for o in overrides if not is_ours(o))], directory)
            cfgs.append(cfg)
        settings = Settings.read(named(self.config.hydra.launcher))
        send(settings, jobs, cfgs, Path(str(self.config.hydra.sweep.dir)))
        return []
