"""What a search is told: the keys of `hydra.sweeper` with `sweep=optuna`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from seqtrain.config.allow import TARGET
from seqtrain.config.schema import constructor
from seqtrain.config.types import NonNegative, Positive
from seqtrain.config.values import accepts, describe
from seqtrain.errors import UserError

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
        found = constructor(f"{__name__}.Settings")
        assert found is not None
        problems = []
        for name, parameter in found.parameters.items():
            if not accepts(sweeper.get(name), parameter.hint):
                problems.append(f"{KEY}.{name}={sweeper.get(name)!r}: must be {describe(parameter.hint)}")
        if problems:
            raise UserError("\n".join(problems))
        return cls(**{name: sweeper[name] for name in found.parameters})


def is_search(sweeper: Mapping[str, Any]) -> bool:
    """Whether Hydra's sweeper is the one that searches."""
    return sweeper.get(TARGET) == SWEEPER
