"""Runs put side by side: what is shown of them, in what they differ, and the whole of it as plain values."""

import csv
import io
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from seqtrain.config.study import Study
from seqtrain.runs import markdown, parts
from seqtrain.runs.differences import Differences
from seqtrain.runs.records import INTERVAL, Arm, RunRecord, spread
from seqtrain.runs.shown import goal_of
from seqtrain.runs.significance import Significance

POINTS = 300
"""Of a curve, at most: more could not be told apart in a plot."""


@dataclass(frozen=True)
class Comparison:
    """Groups of runs, and what is to be shown of them.

    Attributes:
        arms: the groups.
        study: what is shown.
        differences: in what their configurations differ.
        significance: of the difference between their translations.
        notes: what the reader has to know besides.
    """

    arms: Sequence[Arm]
    study: Study
    differences: Differences = field(default_factory=dict)
    significance: Significance | None = None
    notes: Sequence[str] = ()

    @property
    def records(self) -> list[RunRecord]:
        """All runs, group by group."""
        return [record for arm in self.arms for record in arm.records]


def spreadsheet(comparison: Comparison) -> str:
    """A row a run as CSV: its group, where it is, in what it differs, and all its results."""
    arms, study = comparison.arms, comparison.study
    names = sorted({name for record in comparison.records for name in record.results})
    keys = [study.parts] if study.parts else []
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["arm", *keys, "seed", "run", "status", "parameters", "seconds", *names])
    for arm in arms:
        for record in arm.records:
            own = [record.seed, record.name, record.status, record.parameters, record.seconds]
            results = (record.results.get(name) for name in names)
            table.writerow([arm.label, *map(record.at, keys), *own, *results])
    return text.getvalue()


def plain(comparison: Comparison, *, command: str, by: Sequence[str]) -> dict[str, Any]:
    """The comparison as values that JSON has words for; numbers that are not finite are `NaN`, `Infinity`, `-Infinity`.

    Args:
        comparison: what to show.
        command: what makes it again.
        by: the keys that runs were grouped by; none where their study or what they were asked for did.
    """
    arms, study = comparison.arms, comparison.study
    every = parts.every_part(arms, study) if study.parts else []
    found = {
        "title": study.title or "Comparison",
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "by": list(by),
        "goal": study.goal,
        "metrics": study.metrics,
        "unit": markdown.unit(comparison.records),
        "groups": [_group(arm, comparison, every) for arm in arms],
        "runs": [_run(record, arm.label) for arm in arms for record in arm.records],
        "baselines": dict(study.baselines),
        "curves": [_curves(arms, metric) for metric in study.curves],
        "buckets": [_buckets(arms, attribute, study.each) for attribute in study.by],
        "parts": [_parts(arms, study, metric) for metric in study.metrics if study.parts],
        "significance": _significance(comparison.significance),
        "notes": markdown.remarks(comparison),
        "made_with": markdown.made_with(comparison.records).removeprefix("Made with "),
    }
    made: dict[str, Any] = _finite(found)
    return made


def _group(arm: Arm, comparison: Comparison, every: Sequence[int]) -> dict[str, Any]:
    study = comparison.study
    results = {}
    for metric in dict.fromkeys([*study.metrics, *(name for record in arm.records for name in record.results)]):
        values = parts.per_seed(arm, study, metric, every if metric in study.metrics else [])
        if values:
            mean, deviation = spread(values)
            goal = study.goal if metric in study.metrics[:1] else goal_of(metric)
            best = max(values) if goal == "max" else min(values)
            results[metric] = {"mean": mean, "sd": deviation, "n": len(values), "best": best}
    first = results.get(study.metrics[0], {"n": 0}) if study.metrics else {"n": 0}
    paces = [record.pace[1] for record in arm.records if record.pace]
    seconds = markdown.seconds(arm.records, study)
    return {
        "label": arm.label,
        "seeds": sorted({record.seed for record in arm.records if record.seed is not None}),
        "complete": first["n"],
        "runs": markdown.wanted(arm, study),
        "parameters": sorted({record.parameters for record in arm.records if record.parameters}),
        "per_second": statistics.fmean(paces) if paces else None,
        "seconds": statistics.fmean(seconds) if seconds else None,
        "results": results,
        "differs": {key: values[arm.label] for key, values in comparison.differences.items()},
    }


def _run(record: RunRecord, group: str) -> dict[str, Any]:
    return {
        "name": record.name,
        "source": record.place,
        "group": group,
        "status": record.status,
        "seed": record.seed,
        "parameters": record.parameters,
        "seconds": record.seconds,
        "per_second": record.pace[1] if record.pace else None,
        "started": record.manifest.get("started"),
        "results": {name: value for name, value in record.results.items() if not name.endswith(INTERVAL)},
    }


def _curves(arms: Sequence[Arm], metric: str) -> dict[str, Any]:
    """Of each group the mean and the deviation over its runs wherever the metric was logged."""
    lines = []
    for arm in arms:
        at: dict[int, list[float]] = {}
        for record in arm.records:
            for step, value in record.curve(metric):
                if math.isfinite(value):
                    at.setdefault(step, []).append(value)
        if at:
            points = [[x, *spread(at[x]), len(at[x])] for x in sorted(at)]
            lines.append({"group": arm.label, "points": _thinned(points)})
    return {"metric": metric, "x": "step", "lines": lines}


def _thinned(points: list[list[float]]) -> list[list[float]]:
    """At most `POINTS` of them at equal distances, the last one always."""
    step = -(-len(points) // POINTS)
    return points if step <= 1 else [*points[:-1:step], points[-1]]


def _buckets(arms: Sequence[Arm], attribute: str, metric: str) -> dict[str, Any]:
    cells = markdown.cells(arms, attribute, metric)
    buckets = sorted(cells)
    rows = [
        {"group": arm.label, "values": [_spread(cells[bucket].get(arm.label, [])) for bucket in buckets]}
        for arm in arms
        if any(arm.label in cells[bucket] for bucket in buckets)
    ]
    return {"attribute": attribute, "metric": metric, "buckets": [list(bucket) for bucket in buckets], "rows": rows}


def _spread(values: Sequence[float]) -> list[float] | None:
    return [*spread(values), len(values)] if values else None


def _parts(arms: Sequence[Arm], study: Study, metric: str) -> dict[str, Any]:
    numbers, columns = parts.columns(arms, study, metric)
    limit = None if study.failed is None else 100 * study.failed
    made = []
    for label, column in columns.items():
        values = [statistics.fmean(column[part]) if part in column else None for part in numbers]
        whole = [value for value in values if value is not None] if None not in values else []
        failed = sum(value > limit for value in whole) if whole and limit is not None else None
        mean = statistics.fmean(whole) if whole else None
        made.append({"label": label.strip("*"), "values": values, "mean": mean, "failed": failed})
    name = study.parts.rpartition(".")[2]
    return {"name": name, "metric": metric, "parts": numbers, "columns": made, "limit": limit}


def _significance(found: Significance | None) -> dict[str, Any] | None:
    if found is None:
        return None

    def cell(result: Any) -> dict[str, float | None]:
        values = {"score": result.score, "mean": result.mean, "ci": result.ci, "p": result.p_value}
        return {name: None if value is None else float(value) for name, value in values.items()}  # some are NumPy's

    return {
        "test": found.test,
        "split": found.split,
        "baseline": found.systems[0],
        "signatures": found.signatures,
        "rows": [
            {"system": system, "scores": {title: cell(results[i]) for title, results in found.scores.items()}}
            for i, system in enumerate(found.systems)
        ],
        "lengths": [{"low": low, "high": high, "sentences": count} for (low, high), count in found.lengths],
        "by_length": [[cell(result) for result in results] for results in found.by_length],
    }


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
