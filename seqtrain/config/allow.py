"""Which classes a configuration may name, and how they are made.

A configuration can come from a run that somebody else logged, so it is untrusted: its `_target_` is held against the
lists below, which no configuration can change, before anything is imported, and again on the object that was found.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from seqtrain.config.schema import constructor
from seqtrain.config.source import defined_class, find_class
from seqtrain.errors import UserError

TARGET = "_target_"


@dataclass(frozen=True)
class Group:
    """What one group of the configuration may be.

    Attributes:
        base: the class that everything in the group is, or derives from.
        package: every class that a module under this package defines is in the group.
        classes: classes of libraries that are in the group besides, by the name that users know.
        supplied: constructor parameters that the program gives, so that no configuration may.
        offered: constructor parameters that the program gives where the configuration does not.
        many: whether the group is a mapping of names to several of them.
        optional: whether it may be null.
    """

    base: str
    package: str = ""
    classes: tuple[str, ...] = ()
    supplied: frozenset[str] = frozenset()
    offered: frozenset[str] = frozenset()
    many: bool = False
    optional: bool = False


def _named(module: str, names: str) -> tuple[str, ...]:
    return tuple(f"{module}.{name}" for name in names.split())


GROUPS: Mapping[str, Group] = {
    "model": Group(base="seqtrain.models.base.SequenceModel", package="seqtrain.models", supplied=frozenset({"task"})),
    "data": Group(base="pytorch_lightning.LightningDataModule", package="seqtrain.data", supplied=frozenset({"seed"})),
    "optimizer": Group(
        base="torch.optim.Optimizer",
        classes=_named("torch.optim", "SGD Adam AdamW Adadelta RMSprop Adagrad NAdam RAdam"),
        supplied=frozenset({"params"}),
    ),
    "scheduler": Group(base="seqtrain.optim.Schedule", package="seqtrain.optim", optional=True),
    "trainer": Group(
        base="pytorch_lightning.Trainer",
        classes=("pytorch_lightning.Trainer",),
        supplied=frozenset({"callbacks", "logger", "default_root_dir", "plugins", "use_distributed_sampler"})
        | {"enable_model_summary", "enable_checkpointing", "enable_progress_bar", "barebones"},
    ),
    "decoding": Group(base="seqtrain.decoding.settings.Decoding", classes=("seqtrain.decoding.settings.Decoding",)),
    "callbacks": Group(
        base="pytorch_lightning.Callback",
        package="seqtrain.callbacks",
        classes=_named(
            "pytorch_lightning.callbacks",
            "ModelCheckpoint EarlyStopping LearningRateMonitor ModelSummary TQDMProgressBar RichProgressBar"
            " StochasticWeightAveraging DeviceStatsMonitor",
        ),
        offered=frozenset({"decoding", "directory"}),
        many=True,
        optional=True,
    ),
    "logger": Group(
        base="pytorch_lightning.loggers.Logger",
        package="seqtrain.runs",
        classes=_named("pytorch_lightning.loggers", "WandbLogger CSVLogger TensorBoardLogger"),
        supplied=frozenset({"directory", "group", "tags"}),
        many=True,
        optional=True,
    ),
    "strategy": Group(base="pytorch_lightning.strategies.Strategy", package="seqtrain.strategies"),
    "profiler": Group(
        base="pytorch_lightning.profilers.Profiler",
        classes=_named("pytorch_lightning.profilers", "SimpleProfiler AdvancedProfiler PyTorchProfiler"),
        optional=True,
    ),
}

INSTEAD: Mapping[str, str] = {
    "callbacks": "set callbacks.NAME",
    "logger": "set logger=",
    "default_root_dir": "set hydra.run.dir=PATH",
    "enable_checkpointing": "without checkpoints: ~callbacks.checkpoint",
    "enable_progress_bar": "without it: ~callbacks.progress",
}
"""What to do in place of setting an argument of the Trainer that the program gives."""

TOP_LEVEL = tuple(group for group in GROUPS if group not in ("strategy", "profiler"))
"""The groups that are keys of a configuration; the others only stand inside one of these."""


def is_node(value: object) -> bool:
    """Whether a value is a mapping that names a class."""
    return isinstance(value, Mapping | DictConfig) and TARGET in value


def permit(target: object, group: str, key: str = TARGET) -> str:
    """The target, if the group's list has it and its source is there; imports nothing.

    Raises:
        UserError: it is not on the list, or no module of that package itself defines it.
    """
    allowed = GROUPS[group]
    if not isinstance(target, str) or not all(part.isidentifier() for part in target.split(".")):
        raise _refused(target, group, key)
    if target in allowed.classes:
        return target
    module, _, name = target.rpartition(".")
    inside = bool(allowed.package) and (module == allowed.package or module.startswith(allowed.package + "."))
    if not inside or target == allowed.base or name.startswith("_") or defined_class(module, name) is None:
        raise _refused(target, group, key)
    return target


def resolve(target: str, group: str) -> type:
    """Imports and returns the class that a target names.

    Raises:
        UserError: the target is not on the group's list, or what was imported is not the class that it says it is.
    """
    permit(target, group)
    base = _imported(GROUPS[group].base)
    found = _imported(target)
    source = find_class(target)
    is_itself = (
        isinstance(found, type)
        and source is not None
        and (found.__module__, found.__qualname__) == (source.module, source.name)
    )
    if not is_itself or not issubclass(found, base):
        raise UserError(f"{target} is not a {GROUPS[group].base.rpartition('.')[2]}", f"It cannot be used as {group}=.")
    return found


def build(node: Mapping[str, Any] | DictConfig, group: str, /, **given: Any) -> Any:
    """Makes the object that a checked node describes; nested nodes are made by the group of the key they stand under.

    Args:
        node: `_target_` and constructor parameters.
        group: the key of `GROUPS` that the target must be in.
        given: what the program supplies; the constructor gets those that it takes and that the node does not set.

    Raises:
        UserError: a target is not on its group's list.
    """
    plain = dict(to_plain(node))
    target = plain.pop(TARGET)
    made_of, signature = resolve(target, group), constructor(target)
    taken = {name: value for name, value in given.items() if signature is None or name in signature.parameters}
    return made_of(**{**taken, **{key: _built(key, value) for key, value in plain.items()}})


def build_all(nodes: Mapping[str, Any] | DictConfig | None, group: str, /, **given: Any) -> list[Any]:
    """The objects of a group that holds one node, a mapping of names to nodes (null leaves one out), or nothing."""
    if nodes is None:
        return []
    if is_node(nodes):
        return [build(nodes, group, **given)]
    return [build(node, group, **given) for node in to_plain(nodes).values() if node is not None]


def to_plain(value: Any) -> Any:
    """A configuration as plain dicts, lists and values with its interpolations resolved."""
    if isinstance(value, DictConfig | ListConfig):
        return OmegaConf.to_container(value, resolve=True)
    return value


def _built(key: str, value: Any) -> Any:
    if not is_node(value):
        return value
    if key not in GROUPS:
        raise _refused(value[TARGET], key, f"{key}.{TARGET}")
    return build(value, key)


def _imported(target: str) -> Any:
    module, _, name = target.rpartition(".")
    return getattr(importlib.import_module(module), name, None)


def _refused(target: object, group: str, key: str) -> UserError:
    allowed = GROUPS.get(group)
    if allowed is None:
        return UserError(f"{key}={target}: no class can be named here")
    places = [f"a class defined in a module under {allowed.package}"] if allowed.package else []
    listed = ", ".join(name.rpartition(".")[2] for name in allowed.classes)
    places += [f"{allowed.classes[0].rpartition('.')[0]}: {listed}"] if allowed.classes else []
    return UserError(f"{key}={target}: not a class that {group} may name", "Allowed: " + "; ".join(places) + ".")
