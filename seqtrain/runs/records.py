"""Runs as a comparison sees them, wherever they were read from. Imports no torch."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from seqtrain.config.study import KEY, Study
from seqtrain.errors import UserError
from seqtrain.runs.cutting import file_name
from seqtrain.runs.untrusted import json_of

INTERVAL = ("_mean", "_ci")
"""How the names of two results end that tell another one's interval, and are no metrics by themselves."""

PACE = ("train/tokens_per_second", "train/examples_per_second")
"""What tells how quick a training was, the most telling first (see the callback `throughput`)."""


class Source(Protocol):
    """Where a run's history and files are, which are read only when they are asked for."""

    def lines(self, containing: str = "") -> list[dict[str, Any]]:
        """The logged lines that have a metric, or all: `step` and metrics by name, each step once, in order.

        Args:
            containing: name of a metric; lines without it may be left out.
        """

    def text(self, name: str) -> str | None:
        """The content of a file that the run left, by its place in the run's directory; None where there is none."""


@dataclass(frozen=True)
class RunRecord:
    """What a run says about itself.

    Attributes:
        place: what it is found by: a path, or `wandb:ENTITY/PROJECT/ID`.
        name: what it is called.
        manifest: its manifest, of the present version; only a `status` where it ended before its record had begun.
        config: its configuration, resolved.
        source: its history and files.
    """

    place: str
    name: str
    manifest: dict[str, Any]
    config: dict[str, Any]
    source: Source

    @property
    def status(self) -> str:
        """`finished`, `failed`, `interrupted`, `running`, or `not begun`."""
        return str(self.manifest.get("status", "failed"))

    @property
    def seed(self) -> int | None:
        """What its random streams were drawn from."""
        seed = self.config.get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def choices(self) -> dict[str, str]:
        """The option that was chosen of each group."""
        found = self.manifest.get("choices") or {}
        return {group: option for group, option in found.items() if isinstance(option, str) and option != "null"}

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
        return self.choices.get("study")

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
    def pace(self) -> tuple[str, float] | None:
        """How quick its training was: `tokens` or `examples`, and the median of what was logged of them a second."""
        for name in PACE:
            if found := [value for _, value in self.curve(name) if math.isfinite(value)]:
                return name.removeprefix("train/").removesuffix("_per_second"), statistics.median(found)
        return None

    def curve(self, metric: str) -> list[tuple[int, float]]:
        """Step and value wherever a metric was logged."""
        lines = self.source.lines(metric)
        return [(int(line.get("step") or 0), float(line[metric])) for line in lines if metric in line]

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
        text = self.source.text(name)
        if text is None:
            return None
        try:
            return json_of(text)
        except ValueError as error:
            raise UserError(f"cannot read {Path(self.place, name)}: {error}", "The run's record is damaged.") from error


@dataclass(frozen=True)
class Arm:
    """The runs that differ only in what is random: an architecture with its settings.

    Attributes:
        label: its name.
        records: one a seed.
    """

    label: str
    records: list[RunRecord]

    def values(self, metric: str) -> list[float]:
        """The finite results of the arm's finished runs."""
        found = [record.results.get(metric, math.nan) for record in self.records if record.status == "finished"]
        return [value for value in found if math.isfinite(value)]


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (of a sample, n - 1; 0 for one value)."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0
