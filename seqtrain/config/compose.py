"""Composes configurations with Hydra."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_automatic_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from seqtrain.config.allow import TOP_LEVEL
from seqtrain.config.friendly import friendly
from seqtrain.config.places import Sources
from seqtrain.errors import UserError

VERSION_BASE = "1.3"
JOB_NAME = "seqtrain"


@dataclass(frozen=True)
class Composed:
    """One composed job.

    Attributes:
        cfg: the configuration, its interpolations resolved, without Hydra's own part.
        choices: the option chosen of each group.
        overrides: what it was composed with; a key that its YAML file leaves out is written `++key`.
        directory: where the job will write.
        mode: whether the configuration itself asks for a multirun, as a study does; None where it leaves it open.
        launcher: Hydra's launcher: its class and what it is given.
    """

    cfg: DictConfig
    choices: dict[str, str]
    overrides: list[str]
    directory: Path
    mode: RunMode | None
    launcher: dict[str, Any]


@dataclass(frozen=True)
class Multirun:
    """What a multirun is as a whole.

    Attributes:
        directory: what the directories of its jobs are in.
        sweeper: Hydra's sweeper: its class and what it is given.
        launcher: the same of its launcher.
        overrides: those of `hydra.sweeper.params`, then those that were given, as Hydra takes them.
        cfg: what is composed without the keys that jobs differ in, with Hydra's part.
    """

    directory: str
    sweeper: dict[str, Any]
    launcher: dict[str, Any]
    overrides: list[Override]
    cfg: DictConfig


def compose(overrides: list[str]) -> DictConfig:
    """The configuration that overrides lead to, its interpolations resolved.

    Raises:
        UserError: an override cannot be read, or names a group, option or key that there is not.
    """
    return compose_job(overrides).cfg


def jobs(overrides: list[str], sources: Sources | None = None) -> list[list[str]]:
    """The overrides of every job of a multirun, comma sweeps expanded as Hydra's basic sweeper does it.

    Sweeps of `hydra.sweeper.params` count. Another sweeper chooses its values as it goes: then there is one job,
    without the swept keys.
    """
    sources = sources or Sources()
    with _hydra(sources) as hydra:
        parsed = parse(overrides)
        cfg, fixed = _composed(hydra, sources, overrides, RunMode.MULTIRUN)
        task = [o for o in fixed if not _is_hydra(o)]
        own = [o for o in fixed if _is_hydra(o)]
        sweeper = cfg.hydra.sweeper
        if not str(sweeper.get("_target_", "")).endswith("BasicSweeper"):
            return [[str(o.input_line) for o in parsed if not o.is_sweep_override()]]
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

        lines = [*_params(cfg), *task]
        with friendly(lines):
            swept = OverridesParser.create(config_loader=hydra.config_loader).parse_overrides(lines)
            _refuse_intervals(swept)
            expanded = BasicSweeper.split_arguments(swept, None)[0]
    return [[*own, *job] for job in expanded]


def compose_job(overrides: list[str], sources: Sources | None = None, *, number: int | None = None) -> Composed:
    """Composes one job.

    Args:
        overrides: as on the command line.
        sources: where the files are.
        number: position in a multirun; None for a single run.
    """
    sources = sources or Sources()
    with _hydra(sources) as hydra:
        cfg, overrides = _composed(hydra, sources, overrides, RunMode.RUN)
        with friendly(overrides), _resolvable(cfg):
            if number is None:
                directory = Path(str(cfg.hydra.run.dir))
            else:
                with read_write(cfg.hydra.job), open_dict(cfg.hydra.job):
                    cfg.hydra.job.num = number
                    cfg.hydra.job.id = str(number)
                directory = Path(str(cfg.hydra.sweep.dir), str(cfg.hydra.sweep.subdir))
            with read_write(cfg.hydra.runtime), open_dict(cfg.hydra.runtime):
                cfg.hydra.runtime.output_dir = str(directory.absolute())
            choices = {str(key): str(value) for key, value in cfg.hydra.runtime.choices.items() if value}
            plain = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
            OmegaConf.resolve(plain)
            launcher = named(cfg.hydra.launcher)
    return Composed(plain, choices, overrides, directory, cfg.hydra.mode, launcher)


def multirun(overrides: list[str], sources: Sources | None = None) -> Multirun:
    """What a multirun is as a whole."""
    sources = sources or Sources()
    with _hydra(sources) as hydra:
        cfg, fixed = _composed(hydra, sources, overrides, RunMode.MULTIRUN)
        lines = [*_params(cfg), *fixed]
        with friendly(lines), _resolvable(cfg):
            parsed = OverridesParser.create(config_loader=hydra.config_loader).parse_overrides(lines)
            directory, parts = str(cfg.hydra.sweep.dir), (named(cfg.hydra.sweeper), named(cfg.hydra.launcher))
            return Multirun(directory, *parts, parsed, cfg)


def named(node: DictConfig) -> dict[str, Any]:
    """A mapping of a configuration as plain values, its interpolations resolved."""
    plain = OmegaConf.to_container(node, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def parse(overrides: list[str]) -> list[Override]:
    """Overrides as Hydra's grammar reads them.

    Raises:
        UserError: one does not follow the grammar.
    """
    with friendly(overrides):
        return list(OverridesParser.create().parse_overrides(overrides))


def _params(cfg: DictConfig) -> list[str]:
    """The overrides that a configuration itself sweeps over."""
    return [f"{key}={value}" for key, value in (cfg.hydra.sweeper.get("params") or {}).items()]


def _refuse_intervals(overrides: list[Override]) -> None:
    for override in overrides:
        if override.is_interval_sweep():
            raise UserError(
                f"{override.input_line}: an interval holds any number of values",
                f"Search in it: sweep=optuna. Or list some: {override.get_key_element()}=A,B,C.",
            )


def _is_hydra(override: str) -> bool:
    return override.lstrip("+~").startswith(("hydra.", "hydra/"))


@contextmanager
def _hydra(sources: Sources) -> Iterator[Hydra]:
    """A Hydra of these sources, taken away again afterwards."""
    version.setbase(VERSION_BASE)
    search_path = create_automatic_config_search_path(None, None, str(sources.directory.absolute()))
    if sources.extra is not None:
        if not sources.extra.is_dir():
            raise UserError(f"--config-dir {sources.extra}: no such directory")
        path = f"file://{sources.extra.absolute()}"
        search_path.prepend(provider="command-line", path=path, anchor=SearchPathQuery(provider="schema"))
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield Hydra.create_main_hydra2(task_name=JOB_NAME, config_search_path=search_path)
    finally:
        GlobalHydra.instance().hydra = before


@contextmanager
def _resolvable(cfg: DictConfig) -> Iterator[None]:
    """Lets `${hydra:...}` be looked up in a configuration."""
    holder = HydraConfig.instance()
    before = holder.cfg
    holder.set_config(cfg)
    try:
        yield
    finally:
        holder.cfg = before


def _composed(hydra: Hydra, sources: Sources, overrides: list[str], mode: RunMode) -> tuple[DictConfig, list[str]]:
    """The configuration with Hydra's part, and the overrides as Hydra takes them.

    Raises:
        UserError: an override is wrong, or there is no configuration of that name.

    A key of a group that its YAML file does not list is added, not refused, so that whatever a constructor takes can be
    set; the check of the composed configuration refuses what the constructor does not take.
    """
    fixed = list(overrides)
    while True:
        with friendly(fixed, sources):
            try:
                cfg = hydra.compose_config(
                    config_name=sources.name,
                    overrides=fixed,
                    run_mode=mode,
                    from_shell=False,
                    with_log_configuration=False,
                    validate_sweep_overrides=mode == RunMode.RUN,
                )
                return cfg, fixed
            except HydraException as error:
                added = _with_added_key(fixed, error)
                if added is None:
                    raise
                fixed = added


def _with_added_key(overrides: list[str], error: HydraException) -> list[str] | None:
    found = re.match(r"Could not override '([^']+)'", str(error))
    if not found or found[1].split(".")[0] not in TOP_LEVEL or "." not in found[1]:
        return None
    key = found[1]
    added = [f"++{override}" if override.split("=")[0] == key else override for override in overrides]
    return added if added != overrides else None
