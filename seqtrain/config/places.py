"""Where the configuration files are."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from seqtrain.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]


@cache
def conf_directory() -> Path:
    """The directory of the configuration groups: beside the package in a checkout, inside it when installed."""
    for place in (PACKAGE / "conf", PACKAGE.parent / "conf"):
        if (place / "config.yaml").is_file():
            return place
    raise UserError(f"no conf/config.yaml in {PACKAGE} or {PACKAGE.parent}", "Install the package again: pip install .")


@dataclass(frozen=True)
class Sources:
    """Where configurations come from: Hydra's `--config-path`, `--config-dir` and `--config-name`."""

    directory: Path = field(default_factory=conf_directory)
    extra: Path | None = None
    name: str = "config"


def options(group: str) -> dict[str, str]:
    """The options of a group and of its folders, by name, each with the first comment line of its file."""
    found = {}
    folder = conf_directory() / group
    for file in sorted(folder.rglob("*.yaml")):
        if file.parent.name == "common":  # what options are made of
            continue
        comments = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
        described = [line.lstrip("# ").strip() for line in comments if "@package" not in line]
        found[str(file.relative_to(folder).with_suffix(""))] = described[0] if described else ""
    return found


def groups() -> list[str]:
    """The names of the groups that have options, in alphabetical order."""
    return sorted(place.name for place in conf_directory().iterdir() if place.is_dir() and any(place.glob("*.yaml")))
