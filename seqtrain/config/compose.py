"""Composes configurations with Hydra, and says in one message what is wrong with an override."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_automatic_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from seqtrain.config.allow import TOP_LEVEL
from seqtrain.config.check import SETTINGS
from seqtrain.config.names import did_you_mean, nearest
from seqtrain.config.places import conf_directory, groups, options
from seqtrain.errors import UserError

VERSION_BASE = "1.3"
JOB_NAME = "seqtrain"


@dataclass(frozen=True)
class Sources:
    """Where configurations come from: Hydra's `--config-path`, `--config-dir` and `--config-name`."""

    directory: Path = field(default_factory=conf_directory)
    extra: Path | None = None
    name: str = "config"


@dataclass(frozen=True)
class Composed:
    """One composed job.

    Attributes:
        cfg: the configuration, its interpolations resolved, without Hydra's own part.
        choices: the option chosen of each group.
        overrides: what it was composed with; a key that its YAML file leaves out is written `++key`.
        directory: where the job will write.
        mode: whether the configuration itself asks for a multirun, as a study does; None where it leaves it open.
    """

    cfg: DictConfig
    choices: dict[str, str]
    overrides: list[str]
    directory: Path
    mode: RunMode | None


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

        lines = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()] + task
        with friendly(lines):
            swept = OverridesParser.create(config_loader=hydra.config_loader).parse_overrides(lines)
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
    return Composed(cfg=plain, choices=choices, overrides=overrides, directory=directory, mode=cfg.hydra.mode)


def sweep_directory(overrides: list[str], sources: Sources | None = None) -> str:
    """The directory that the jobs of a multirun go into, its interpolations resolved."""
    sources = sources or Sources()
    with _hydra(sources) as hydra:
        cfg, _ = _composed(hydra, sources, overrides, RunMode.MULTIRUN)
        with friendly(overrides), _resolvable(cfg):
            return str(cfg.hydra.sweep.dir)


def parse(overrides: list[str]) -> list[Override]:
    """Overrides as Hydra's grammar reads them.

    Raises:
        UserError: one does not follow the grammar.
    """
    with friendly(overrides):
        return list(OverridesParser.create().parse_overrides(overrides))


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


@contextmanager
def friendly(overrides: list[str], sources: Sources | None = None) -> Iterator[None]:
    """Turns what Hydra and OmegaConf raise into one message for the user."""
    try:
        yield
    except MissingConfigException as error:
        raise _missing(error, sources) from error
    except OverrideParseException as error:
        raise _unreadable(overrides, error) from error
    except HydraException as error:
        raise UserError(_explained(error)) from error
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        raise UserError(f"{key}: {_first_line(error)}" if key else _first_line(error)) from error
    except yaml.YAMLError as error:
        raise UserError(f"a configuration file is not YAML: {error}") from error
    except ValueError as error:
        if "Config group override" not in str(error):
            raise
        raise UserError(
            f"{_first_line(error)}", "To leave a group out, name its option `none`, where it has one."
        ) from error


def _missing(error: MissingConfigException, sources: Sources | None) -> UserError:
    if sources is not None and error.missing_cfg_file == sources.name:
        places = [place for place in (sources.extra, sources.directory) if place is not None]
        names = sorted({file.stem for place in places for file in place.glob("*.yaml")})
        return UserError(
            f"--config-name {sources.name}: no such file in {' or '.join(map(str, places))}"
            f"{did_you_mean(sources.name, names)} Files there: {', '.join(names) or 'none'}"
        )
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    if not group:
        return UserError(_first_line(error))
    known = list(error.options or options(group))
    listed = ", ".join(known) or "none"
    return UserError(f"{group}={option}: no such option{did_you_mean(option, known)} Options of {group}: {listed}")


def _unreadable(overrides: list[str], error: OverrideParseException) -> UserError:
    override = error.override
    if override and "=" not in override and not override.startswith("~"):
        return UserError(
            f"{override}: not an override, which is written KEY=VALUE", "A command comes first: seqtrain COMMAND ..."
        )
    return UserError(
        f"{override}: cannot be read: {_reason(error)}",
        "Quote values with spaces, commas, brackets or equals signs for Hydra as well: \"key='a, b'\".",
    )


def _reason(error: OverrideParseException) -> str:
    lines = [line for line in str(error).splitlines() if not line.startswith(("Error parsing", "See http"))]
    return lines[0] if lines else "it does not follow the grammar of overrides"


def _explained(error: HydraException) -> str:
    text = str(error)
    key = re.match(r"Could not override '([^']+)'", text)
    if key:
        return _no_such_key(key[1])
    if text.startswith("Ambiguous value") and (found := re.search(r"argument '([^']+)'", text)):
        name, _, value = found[1].partition("=")
        return f"{found[1]}: several values; for one run each add -m, for a list write {name}=[{value}]"
    named = re.match(r"Error resolving interpolation '([^']+)', possible interpolation keys: (.*)", text)
    if named:  # `recipe: ${model}-${data}` after `~model`
        absent = [name for name in re.findall(r"\$\{(\w+)\}", named[1]) if name not in named[2].split(", ")]
        return "\n".join(f"{name}: is needed, but is not there" for name in absent)
    cause = error.__cause__
    return f"{_first_line(error)}: {_first_line(cause)}" if cause and str(cause) else _first_line(error)


def _no_such_key(key: str) -> str:
    top = key.split(".")[0]
    if "." in key and top in (*TOP_LEVEL, *SETTINGS, "hydra"):
        return f"{key}: no such key in {top}"
    names = sorted({*groups(), *TOP_LEVEL, *SETTINGS})
    near = nearest(top, names)
    suggestion = f"; did you mean {key.replace(top, near, 1)}?" if near else "."
    return f"{key}: no such key{suggestion} Keys and groups: {', '.join(names)}"


def _first_line(error: BaseException | Any) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
