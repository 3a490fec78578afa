"""The sweeper of `sweep=optuna`. It stands here because Hydra takes plugins from no other package."""

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """Runs one job after another, each with values that Optuna chooses by the results of those before.

    Args:
        settings: see `seqtrain.sweep.settings.Settings`; `params` are among the arguments by now.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes what Hydra gives every sweeper."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Searches, from where an earlier start of the search has left off.

        Raises:
            UserError: trials failed.
        """
        # Hydra imports this module whenever it starts.
        from seqtrain.sweep.search import search

        assert self.hydra_context is not None
        assert self.config is not None
        assert self.launcher is not None
        search(self.settings, arguments, config=self.config, context=self.hydra_context, launcher=self.launcher)
