"""What a search is told: the keys of `hydra.sweeper` with `sweep=optuna`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from seqtrain.config.allow import TARGET
from seqtrain.config.settings import checked
from seqtrain.config.types import NonNegative, Positive

KEY = "hydra.sweeper"
SWEEPER = "hydra_plugins.seqtrain_optuna.OptunaSweeper"


@dataclass(frozen=True)
class Settings:
    """How values are searched for.

    Attributes:
        n_trials: how many are tried, all starts of the search together.
        sampler: `tpe`, the tree-structured Parzen estimator, learns from what was tried; `random` does not.
        seed: what is drawn is drawn from it, whatever the seed of the trainings.
    """

    n_trials: Positive
    sampler: Literal["tpe", "random"]
    seed: NonNegative

    @classmethod
    def read(cls, sweeper: Mapping[str, Any]) -> "Settings":
        """The settings in the configuration of Hydra's sweeper.

        Raises:
            UserError: a value is missing or not allowed.
        """
        return cls(**checked(f"{__name__}.Settings", sweeper, key=KEY, others=("params",)))


def is_search(sweeper: Mapping[str, Any]) -> bool:
    """Whether Hydra's sweeper is the one that searches."""
    return sweeper.get(TARGET) == SWEEPER
