"""What a study's configuration says about itself: which runs belong together and what its report shows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from seqtrain.config.names import did_you_mean
from seqtrain.config.schema import constructor
from seqtrain.config.values import accepts, describe

KEY = "study"
Goal = Literal["min", "max"]


@dataclass(frozen=True)
class Study:
    """The keys under `study` in a configuration. Training does not depend on them; `seqtrain report` reads them.

    Attributes:
        title: of the report.
        arm: what the run is one of: an architecture with its settings, trained with several seeds.
        metrics: results that the report tabulates, the most important first.
        goal: whether more or less of the first is better.
        by: attributes of the examples that the report shows results by (see the callback `buckets`).
        each: the metric that it shows by them.
        curves: logged metrics that it draws over the steps of the training.
        baselines: what a result is to be compared with, by name: a value of the first metric.
        parts: key of the configuration that says what a run is a part of, where a comparison consists of several:
            `data.task`. Its values are numbers. Results, which have to be shares, are shown for each of them, and an
            arm's are means over them. Of a run with several parts they are those by this attribute (see `by`).
        selected: name to arms: for each part the report also shows the first metric of that run of them, of any seed,
            which was the best in validation (`best/val/accuracy`), of equals the first.
        published: what others report for the parts, by name: percents, in the order of the parts from the first on.
        failed: the share of the first metric above which a part counts as failed.
        floor: the result that tells what is reached without learning.
    """

    title: str = ""
    arm: str = ""
    metrics: list[str] = field(default_factory=list)
    goal: Goal = "max"
    by: list[str] = field(default_factory=list)
    each: str = "accuracy"
    curves: list[str] = field(default_factory=list)
    baselines: dict[str, float] = field(default_factory=dict)
    parts: str = ""
    selected: dict[str, list[str]] = field(default_factory=dict)
    published: dict[str, list[float]] = field(default_factory=dict)
    failed: float | None = None
    floor: str = ""

    @classmethod
    def read(cls, node: object) -> "Study":
        """The study of a configuration; what is not there or not right is as it is without a study."""
        given = node if isinstance(node, Mapping) else {}
        return cls(**{key: value for key, value in given.items() if key in _hints() and accepts(value, _hints()[key])})


def problems(node: object) -> Iterator[str]:
    """What is wrong with the value of the key `study`."""
    if not isinstance(node, Mapping):
        yield f"{KEY}={node!r}: must be a mapping"
        return
    hints = _hints()
    for key, value in node.items():
        if key not in hints:
            near = did_you_mean(str(key), hints, f"{KEY}.")
            yield f"{KEY}.{key}={value!r}: no such key{near} Keys of {KEY}: {', '.join(hints)}"
        elif not accepts(value, hints[key]):
            yield f"{KEY}.{key}={value!r}: must be {describe(hints[key])}"


def _hints() -> dict[str, Any]:
    found = constructor(f"{__name__}.Study")
    assert found is not None
    return {name: parameter.hint for name, parameter in found.parameters.items()}
