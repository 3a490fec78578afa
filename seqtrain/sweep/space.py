"""What a search chooses from: the keys that overrides give an interval, a range or a choice."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import Override, Transformer
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from seqtrain.config.allow import TARGET, is_node
from seqtrain.config.schema import constructor
from seqtrain.config.values import accepts
from seqtrain.errors import UserError


@dataclass(frozen=True)
class Swept:
    """One key of a search.

    Attributes:
        key: as an override writes it, `++` and all.
        line: the override.
        distribution: what values it can have.
    """

    key: str
    line: str
    distribution: BaseDistribution

    @property
    def edges(self) -> list[Any]:
        """Values such that all are allowed if these are: the ends of a range, or every choice."""
        if isinstance(self.distribution, IntDistribution | FloatDistribution):
            return [self.distribution.low, self.distribution.high]
        assert isinstance(self.distribution, CategoricalDistribution)
        return list(self.distribution.choices)


@dataclass(frozen=True)
class Space:
    """What all trials of a search have in common, and what they differ in.

    Attributes:
        fixed: the overrides of every trial.
        swept: the keys that are searched, by name.
    """

    fixed: list[str]
    swept: dict[str, Swept]

    @classmethod
    def of(cls, overrides: Iterable[Override], cfg: DictConfig) -> "Space":
        """The space that overrides describe, of two for one key the last.

        Args:
            overrides: without those for Hydra itself.
            cfg: what they lead to without the keys that are searched; tells which of these are whole numbers.

        Raises:
            UserError: one cannot be searched in.
        """
        last = {override.get_key_element().lstrip("+"): override for override in overrides}
        fixed = [str(override.input_line) for override in last.values() if not override.is_sweep_override()]
        swept = {
            name: Swept(override.get_key_element(), str(override.input_line), _distribution(override, cfg))
            for name, override in last.items()
            if override.is_sweep_override()
        }
        return cls(fixed, swept)

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """The overrides that set the keys that are searched."""
        return [f"{swept.key}={values[name]}" for name, swept in self.swept.items()]

    def at_the_edges(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Values to find out what is wrong before anything is tried: of one key after another all edges, of the
        others the first. Each with what to call it: by the override that they are an edge of.
        """
        first = {name: swept.edges[0] for name, swept in self.swept.items()}
        yield f"trial ({' '.join(self.overrides(first))})", first
        for name, swept in self.swept.items():
            for value in swept.edges[1:]:
                yield swept.line, {**first, name: value}


def _distribution(override: Override, cfg: DictConfig) -> BaseDistribution:
    value: Any = override.value()
    log = "log" in getattr(value, "tags", ())
    if unknown := sorted(getattr(value, "tags", set()) - {"log"}):
        raise UserError(f"{override.input_line}: {unknown[0]}: no such tag", "There is one: tag(log, interval(A,B)).")
    if log and not override.is_interval_sweep():
        raise UserError(f"{override.input_line}: only an interval can have a logarithmic scale")
    try:
        if override.is_interval_sweep():
            low, high = value.start, value.end
            if isinstance(low, int) or _is_whole(override, cfg, low, high):  # ints are int(interval(...)) for Hydra
                return IntDistribution(int(low), int(high), log=log)
            return FloatDistribution(low, high, log=log)
        values: list[Any] = list(override.sweep_iterator(_plain))
        if override.is_range_sweep() and values and all(isinstance(value, int) for value in values):
            return IntDistribution(min(values), max(values), step=abs(value.step))
        return CategoricalDistribution(values)
    except ValueError as error:
        raise UserError(f"{override.input_line}: {error}") from error


def _plain(value: Any) -> Any:
    """A value as an override's text has it, numbers as numbers."""
    return value if isinstance(value, bool | int | float) else Transformer.str(value)


def _is_whole(override: Override, cfg: DictConfig, low: float, high: float) -> bool:
    """Whether the constructor that a key belongs to takes only whole numbers for it, as both ends are."""
    parent, _, name = override.key_or_group.rpartition(".")
    node: Any = OmegaConf.select(cfg, parent) if parent else None
    signature = constructor(node[TARGET]) if is_node(node) else None
    parameter = signature.parameters.get(name) if signature else None
    if parameter is None or not (low.is_integer() and high.is_integer()):
        return False
    return not accepts(low + 0.5, parameter.hint)
