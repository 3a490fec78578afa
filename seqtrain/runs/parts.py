"""Results by the parts that a comparison consists of, as bAbI does of twenty tasks: each by itself, and their mean."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from seqtrain.config.study import Study
from seqtrain.runs.records import Arm, RunRecord, spread

SHARES = ("error", "accuracy", "supported", "exact")
"""What is shown in percent, and nothing else is."""
SELECTED_BY = "best/val/accuracy"
"""What tells which of several runs is the best in validation."""
Parts = dict[int, float]
"""A result of each part, by its number."""


class Selected(NamedTuple):
    """The run that was chosen for a part: of which arm, how good it was in validation, and its result."""

    label: str
    validation: float
    percent: float


def parts_of(record: RunRecord, study: Study, metric: str) -> Parts:
    """A run's finite results, by part: of the one that it was trained on, or of all that it was tested on."""
    value = record.at(study.parts)
    name = metric.rpartition("/")[2]
    if isinstance(value, int):
        found = {value: record.results.get(metric, math.nan)}
    else:
        found = {row["low"]: _of_bucket(row, name) for row in record.buckets(study.parts.rpartition(".")[2])}
    return {part: result for part, result in found.items() if math.isfinite(result)}


def by_seed(arm: Arm, study: Study, metric: str) -> dict[int | None, Parts]:
    """The results of an arm's finished runs: all parts that were trained with a seed together."""
    found: dict[int | None, Parts] = {}
    for record in arm.records:
        if record.status == "finished" and (parts := parts_of(record, study, metric)):
            found.setdefault(record.seed, {}).update(parts)
    return found


def every_part(arms: Sequence[Arm], study: Study) -> list[int]:
    """The parts that there are, which an arm's mean is over."""
    return sorted({part for arm in arms for parts in by_seed(arm, study, study.metrics[0]).values() for part in parts})


def per_seed(arm: Arm, study: Study, metric: str, parts: Sequence[int]) -> list[float]:
    """An arm's results, one a seed: of its runs or, where there are parts, the means over them of each that has all."""
    if not parts:
        return arm.values(metric)
    found = by_seed(arm, study, metric).values()
    return [statistics.fmean(one[part] for part in parts) for one in found if one.keys() >= set(parts)]


def notes(arms: Sequence[Arm], study: Study) -> Iterator[str]:
    """Which seeds have no result of some part, and so no mean; which parts several runs have results of; and which arms
    were selected where it was not the first one.
    """
    parts = every_part(arms, study)
    for arm in arms:
        there = [
            (record.seed, part)
            for record in arm.records
            if record.status == "finished"
            for part in parts_of(record, study, study.metrics[0])
        ]
        for seed, part in sorted({one for one in there if there.count(one) > 1}, key=str):
            yield f"{arm.label}, seed {seed}: several runs have {_name(study)} {part}; the last one counts"
        for seed, found in by_seed(arm, study, study.metrics[0]).items():
            if missing := [str(part) for part in parts if part not in found]:
                yield f"{arm.label}, seed {seed}: nothing for {_name(study)} {', '.join(missing)}; not in the means"
    for name, labels in study.selected.items():
        chosen = _selected(arms, study, labels)
        for label in labels[1:]:
            if of := [str(part) for part, one in sorted(chosen.items()) if one.label == label]:
                yield f"{name}, selected: {label} for {_name(study)} {', '.join(of)}"
        if unknown := set(labels) - {arm.label for arm in arms}:
            yield f"{name}, selected: no runs of {', '.join(sorted(unknown))}"


def columns(arms: Sequence[Arm], study: Study, metric: str) -> tuple[list[int], dict[str, dict[int, list[float]]]]:
    """The parts and, by what stands above them, the columns of a metric's table: percents of each part.

    A column for each arm that has the metric. The first metric's have beside them whatever was the best in validation
    (`study.selected`), what is reached without learning (`study.floor`) and what others report, both in italics.
    """
    parts = every_part(arms, study)
    found = {arm.label: column for arm in arms if (column := _column([arm], study, metric))}
    if metric != study.metrics[0]:
        return parts, found
    for name, labels in study.selected.items():
        if chosen := _selected(arms, study, labels):
            found[f"{name}, selected"] = {part: [one.percent] for part, one in chosen.items()}
    if study.floor and (floor := _column(arms, study, study.floor)):
        found[f"*{study.floor.rpartition('/')[2]}*"] = floor
    for name, values in study.published.items():
        found[f"*{name}*"] = {part: [value] for part, value in enumerate(values, start=1) if part in parts}
    return parts, found


def table(arms: Sequence[Arm], study: Study, metric: str) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of a metric by part, in percent, with the means at the end.

    Below those of the first metric stands how many parts failed (`study.failed`).
    """
    parts, found = columns(arms, study, metric)
    whole = [
        {part: statistics.fmean(values) for part, values in column.items()} if column.keys() >= set(parts) else {}
        for column in found.values()
    ]
    made = [[str(part), *(_cell(column.get(part, [])) for column in found.values())] for part in parts]
    made.append(["mean", *(_cell([statistics.fmean(means.values())] if means else []) for means in whole)])
    if metric == study.metrics[0] and study.failed is not None:
        limit = 100 * study.failed
        failures = (str(sum(value > limit for value in means.values())) if means else "" for means in whole)
        made.append([f"above {limit:g}", *failures])
    return [f"{metric} by {_name(study)}, %", *found], made


def _column(arms: Sequence[Arm], study: Study, metric: str) -> dict[int, list[float]]:
    """Of each part the percents of all seeds."""
    found: dict[int, list[float]] = {}
    for arm in arms:
        for parts in by_seed(arm, study, metric).values():
            for part, value in parts.items():
                found.setdefault(part, []).append(100 * value)
    return found


def _selected(arms: Sequence[Arm], study: Study, labels: Sequence[str]) -> dict[int, Selected]:
    """Of each part the run that was the best in validation; those of one part alone are compared."""
    best: dict[int, Selected] = {}
    for arm in sorted((arm for arm in arms if arm.label in labels), key=lambda arm: labels.index(arm.label)):
        for record in arm.records:
            validation, part = record.results.get(SELECTED_BY, math.nan), record.at(study.parts)
            result = parts_of(record, study, study.metrics[0]).get(part) if isinstance(part, int) else None
            if record.status != "finished" or result is None or not math.isfinite(validation):
                continue
            if part not in best or validation > best[part].validation:
                best[part] = Selected(arm.label, validation, 100 * result)
    return best


def _of_bucket(row: Mapping[str, Any], name: str) -> float:
    if name == "error" and name not in row:
        return 1 - float(row.get("accuracy", math.nan))
    return float(row.get(name, math.nan))


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ""
    mean, deviation = spread(values)
    return f"{mean:.1f} ± {deviation:.1f}" if len(set(values)) > 1 else f"{mean:.1f}"


def _name(study: Study) -> str:
    return study.parts.rpartition(".")[2]
