"""Runs read for a comparison: from paths to records, and from records to groups. Imports no torch."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from seqtrain.config.study import KEY, Study
from seqtrain.errors import UserError
from seqtrain.runs.cutting import file_name
from seqtrain.runs.record import Run

INTERVAL = ("_mean", "_ci")
"""How the names of two results end that tell another one's interval, and are no metrics by themselves."""


@dataclass(frozen=True)
class Record:
    """One run as a comparison sees it.

    Attributes:
        run: its directory.
        manifest: what it says about itself; only a `status` where the run ended before it had begun its record.
        config: its configuration, resolved.
    """

    run: Run
    manifest: dict[str, Any]
    config: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of its directory."""
        return self.run.directory.name

    @property
    def status(self) -> str:
        """`finished`, `failed`, `interrupted`, `running`, or `not begun`."""
        return str(self.manifest.get("status", "failed"))

    @property
    def seed(self) -> int | None:
        """What its random streams were drawn from."""
        seed = self.config.get("seed")
        return seed if isinstance(seed, int) else None

    def at(self, key: str) -> Any:
        """What its configuration has at a key, `data.task`; None where it has nothing."""
        value: Any = self.config
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value

    @property
    def study(self) -> Study:
        """What its configuration says about the study that it belongs to."""
        return Study.read(self.config.get(KEY))

    @property
    def study_name(self) -> str | None:
        """The option of `study=` that it was made with."""
        chosen = (self.manifest.get("choices") or {}).get("study")
        return chosen if isinstance(chosen, str) and chosen != "null" else None

    @property
    def results(self) -> dict[str, float]:
        """The metrics that it is known by; numbers that are not finite are among them."""
        found = self.manifest.get("results")
        return {name: float(value) for name, value in (found or {}).items()}

    @property
    def parameters(self) -> int | None:
        """How many numbers it trained."""
        return self.manifest.get("parameters")

    @property
    def seconds(self) -> float | None:
        """How long it trained, validation included and all parts of a resumed training together."""
        return self.manifest.get("training_seconds")

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        """Every logged line."""
        return self.run.metrics()

    def curve(self, metric: str) -> list[tuple[int, float]]:
        """Step and value wherever a metric was logged."""
        return [(int(line.get("step") or 0), float(line[metric])) for line in self.lines if metric in line]

    def buckets(self, attribute: str) -> list[dict[str, Any]]:
        """What the callback `buckets` found by an attribute of the test examples, bucket by bucket."""
        found = self.file(file_name("test"))
        rows = found.get(attribute, []) if isinstance(found, dict) else []
        return [row for row in rows if isinstance(row, dict) and {"low", "high"} <= row.keys()]

    @property
    def attributes(self) -> list[str]:
        """What `buckets` has results by."""
        return list(self.file(file_name("test")) or {})

    def flow(self, kind: str, *, last: bool) -> list[tuple[float, float]]:
        """Steps back in time and the norm of a gradient there, as the callback `gradient_flow` measured it.

        Args:
            kind: `loss` or `state`.
            last: whether the last measurement of the training, or the first.
        """
        measured = self.file("gradient_flow.json") or []
        if not measured:
            return []
        layer = [curve for curve in measured if curve["layer"] == measured[0]["layer"]]
        curve = layer[-1 if last else 0]
        return [(float(x), float(y)) for x, y in zip(curve["distance"], curve[kind], strict=True)]

    def file(self, name: str) -> Any:
        """The JSON that a callback left in the run's directory; None where there is none.

        Raises:
            UserError: it is there but cannot be read.
        """
        path = self.run.directory / name
        if not path.is_file():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {path}: {error}", "The run's record is damaged.") from error


@dataclass(frozen=True)
class Arm:
    """The runs that differ only in what is random: an architecture with its settings.

    Attributes:
        label: its name.
        records: one a seed.
    """

    label: str
    records: list[Record]

    def values(self, metric: str) -> list[float]:
        """The finite results of the arm's finished runs."""
        found = [record.results.get(metric, math.nan) for record in self.records if record.status == "finished"]
        return [value for value in found if math.isfinite(value)]


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (of a sample, n - 1; 0 for one value)."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def collect(paths: Sequence[str]) -> list[Record]:
    """The runs that paths lead to, each once, in the order in which they began.

    Args:
        paths: directories of runs, or of multiruns.

    Raises:
        UserError: a path is neither, or the record of a run cannot be read.
    """
    places = list(dict.fromkeys(place.resolve() for path in paths for place in _runs(Path(path))))
    return sorted(map(_read, places), key=lambda record: str(record.manifest.get("started", "~")))


def arms(records: Sequence[Record]) -> list[Arm]:
    """The runs by what they are runs of, in the order in which the first of each began.

    A study says what a run is one of; of other runs it is what they were asked for, as far as it differs and is not the
    seed.
    """
    asked = [[o for o in record.manifest.get("overrides", []) if not o.startswith("seed=")] for record in records]
    common = set.intersection(*map(set, asked)) if asked else set()
    grouped: dict[str, list[Record]] = {}
    for record, overrides in zip(records, asked, strict=True):
        own = ", ".join(override for override in overrides if override not in common)
        model = str((record.manifest.get("choices") or {}).get("model", "all"))
        grouped.setdefault(record.study.arm or own or model, []).append(record)
    return [Arm(label, sorted(found, key=lambda record: record.seed or 0)) for label, found in grouped.items()]


def _is_run(place: Path) -> bool:
    return Run.exists(place) or (place / ".hydra" / "config.yaml").is_file()


def _runs(path: Path) -> list[Path]:
    if not path.is_dir():
        raise UserError(f"no run at {path}: there is no such directory", "Give the directory of a run or a multirun.")
    if _is_run(path):
        return [path]
    found = sorted(place for place in path.iterdir() if _is_run(place))
    if not found:
        deeper = sorted({place.parent.parent.name for place in path.glob("*/*/manifest.json")})
        hint = f"There are multiruns in it: {', '.join(deeper)}." if deeper else "Give what training printed as `run`."
        raise UserError(f"{path} is neither the directory of a run nor of a multirun", hint)
    return found


def _read(place: Path) -> Record:
    run = Run(place)
    if not run.config_path.is_file():
        raise UserError(f"{place} is not the directory of a run: .hydra/config.yaml missing in it")
    config = OmegaConf.to_container(run.config)
    assert isinstance(config, dict)
    manifest = run.manifest if Run.exists(place) else {"status": "not begun", "overrides": run.overrides}
    return Record(run, manifest, {str(key): value for key, value in config.items()})
