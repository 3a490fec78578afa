"""A run beside the run that was made to reproduce it: results and curves, then and now. Imports no torch."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from seqtrain.runs.drift import Difference, shown, table
from seqtrain.runs.markdown import grid, number
from seqtrain.runs.nonfinite import spelled
from seqtrain.runs.records import INTERVAL

TOLERANCE = 0.02
"""Of the old value, where equality to the bit is not to be expected."""

SMALL = 0.05
"""A value below this counts as this much: near zero, shares of the value say nothing."""

SMALL_POINTS = 25.0
"""The same of `POINTS`: 2 % of it is half a point, which BLEU of any height is off by before it tells anything."""

POINTS = re.compile(r"/(bleu|bleu_lc|chrf)(_mean)?$")
"""Metrics that go to 100."""

TIMING = re.compile(r"(_per_second|seconds|data_share)$|^DeviceStatsMonitor")
"""Metrics that measure the machine, not the model."""

Verdict = Literal["equal", "within", "differs", "missing", "new", "not judged"]
FAILED = ("differs", "missing")


@dataclass(frozen=True)
class Compared:
    """A result then and now; None where there is none.

    `verdict` is `equal` (to the bit), `within` the tolerance, `differs`, `missing` now, `new`, or `not judged`: the
    width of an interval where bits need not be equal.
    """

    metric: str
    then: float | None
    now: float | None
    verdict: Verdict


@dataclass(frozen=True)
class Curve:
    """A logged metric then and now.

    Attributes:
        metric: its name.
        then: at how many steps it was logged then.
        now: the same now.
        common: at how many steps it was logged both times.
        equal: at how many of these it is equal to the bit.
        first: the first of these at which it is not.
    """

    metric: str
    then: int
    now: int
    common: int
    equal: int
    first: int | None

    @property
    def is_whole(self) -> bool:
        """Whether it was logged at the same steps, and is equal to the bit at each."""
        return self.equal == self.then == self.now


@dataclass(frozen=True)
class Reproduction:
    """What came of it.

    Attributes:
        run: the place of the run.
        directory: that of its reproduction.
        tolerance: the share of a value by which the new one may be off.
        reasons: why equality to the bit was not to be expected; empty where it was.
        drift: what differs.
        metrics: the results.
        curves: the logged metrics.
        same_steps: whether the same steps were to be logged.
    """

    run: str
    directory: str
    tolerance: float
    reasons: list[str]
    drift: list[Difference]
    metrics: list[Compared]
    curves: list[Curve] = field(default_factory=list)
    same_steps: bool = True

    @property
    def reproduced(self) -> bool:
        """Whether no result is missing or off by more than allowed; at tolerance 0 no logged value either."""
        off = any(row.verdict in FAILED for row in self.metrics)
        return not off and (self.tolerance > 0 or all(map(self._is_same, self.curves)))

    def _is_same(self, curve: Curve) -> bool:
        return curve.first is None and (curve.is_whole or not self.same_steps)

    def plain(self) -> dict[str, Any]:
        """Ready for JSON."""
        found = {"reproduced": self.reproduced, "bits_expected": not self.reasons, **asdict(self)}
        for row, compared in zip(found["metrics"], self.metrics, strict=True):
            row["difference"] = _difference(compared)
        return dict(spelled(found))


def tolerance_of(asked: float | None, reasons: Sequence[str]) -> float:
    """The tolerance that was asked for; without one 0 where nothing keeps the bits from being equal."""
    return asked if asked is not None else (TOLERANCE if reasons else 0.0)


def compare(then: Mapping[str, float], now: Mapping[str, float], *, tolerance: float) -> list[Compared]:
    """The results of two runs, metric by metric, without those that measure time.

    Args:
        then: of the run.
        now: of its reproduction.
        tolerance: the share of an old value, which counts as `SMALL` or `SMALL_POINTS` at least, by which the new one
            may be off; 0: not a bit.
    """
    names = [name for name in dict.fromkeys([*then, *now]) if not TIMING.search(name)]
    return [_compared(name, then.get(name), now.get(name), tolerance) for name in names]


def curves(then: Iterable[Mapping[str, Any]], now: Iterable[Mapping[str, Any]]) -> list[Curve]:
    """The histories of two runs, metric by metric, without those that measure time.

    Args:
        then: logged lines of the run: `step`, and metrics by name.
        now: those of its reproduction.
    """
    had, has = _by_metric(then), _by_metric(now)
    found = []
    for metric in dict.fromkeys([*had, *has]):
        old, new = had.get(metric, {}), has.get(metric, {})
        common = sorted(old.keys() & new.keys())
        unequal = [step for step in common if not _same(old[step], new[step])]
        equal = len(common) - len(unequal)
        found.append(Curve(metric, len(old), len(new), len(common), equal, next(iter(unequal), None)))
    return found


def markdown(found: Reproduction, *, name: str) -> str:
    """The report.

    Args:
        found: what came of it.
        name: what the run is called.
    """
    head = ["metric", "then", "now", "difference", "verdict"]
    rows = [
        [shown(row.metric), _exact(row.then), _exact(row.now), _off(_difference(row)), row.verdict]
        for row in found.metrics
    ]
    texts = [f"# Reproduction of {shown(name)}", _verdict(found)]
    texts += [table(found.drift)] if found.drift else []
    texts += [grid(head, rows), _logged(found.curves)]
    return "\n\n".join(texts) + "\n"


def _logged(curves: Sequence[Curve]) -> str:
    """How much of the history is the same; a table of the metrics of which not all is."""
    if not curves:
        return "Nothing was logged to compare."
    others = [curve for curve in curves if not curve.is_whole]
    same = (
        f"Logged on the way: {len(curves) - len(others)} of {len(curves)} metrics are equal to the bit at every step."
    )
    head = ["metric", "steps then", "steps now", "equal to the bit", "first that differs"]
    return "\n\n".join([same, *([grid(head, list(map(_row, others)))] if others else [])])


def _row(curve: Curve) -> list[str]:
    first = "" if curve.first is None else str(curve.first)
    return [shown(curve.metric), str(curve.then), str(curve.now), f"{curve.equal} of {curve.common}", first]


def _verdict(found: Reproduction) -> str:
    judged = [row for row in found.metrics if row.verdict not in ("new", "not judged")]
    equal = sum(row.verdict == "equal" for row in judged)
    off = [shown(row.metric) for row in judged if row.verdict in FAILED]
    outcome = "Reproduced" if found.reproduced else "Not reproduced"
    lines = [f"{outcome}: {equal} of {len(judged)} results are equal to the bit"]
    if found.tolerance:
        lines[0] += f", {sum(row.verdict == 'within' for row in judged)} within {found.tolerance:g} of the old value"
    lines[0] += f"; off: {', '.join(off)}." if off else "."
    if not found.reproduced and not off:
        lines.append("What was logged is not equal, or not at the same steps, and tolerance is 0.")
    if found.reasons:
        lines.append(f"Equality to the bit was not to be expected: {'; '.join(found.reasons)}.")
    else:
        lines.append("Equality to the bit was to be expected: nothing differs that can change numbers.")
    return "\n\n".join(lines)


def _compared(metric: str, then: float | None, now: float | None, tolerance: float) -> Compared:
    verdict: Verdict = "differs"
    least = SMALL_POINTS if POINTS.search(metric) else SMALL
    if then is None or now is None:
        verdict = "new" if then is None else "missing"
    elif _same(then, now):
        verdict = "equal"
    elif tolerance and metric.endswith(INTERVAL[-1]):
        verdict = "not judged"
    elif tolerance and abs(now - then) <= tolerance * max(abs(then), least) < math.inf:
        verdict = "within"
    return Compared(metric, then, now, verdict)


def _same(a: float, b: float) -> bool:
    return a.hex() == b.hex()


def _difference(row: Compared) -> float | None:
    return None if row.then is None or row.now is None else row.now - row.then


def _exact(value: float | None) -> str:
    return "" if value is None else repr(value)


def _off(value: float | None) -> str:
    return "" if value is None else number(value) if value else "0"


def _by_metric(lines: Iterable[Mapping[str, Any]]) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for line in lines:
        for metric, value in line.items():
            step = line.get("step") or 0
            numbers = isinstance(value, int | float) and isinstance(step, int | float) and math.isfinite(step)
            if numbers and metric not in ("step", "epoch") and not TIMING.search(metric):
                found.setdefault(metric, {})[int(step)] = float(value)
    return found
