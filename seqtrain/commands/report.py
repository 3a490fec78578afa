"""Make the table and the figures of a study, or of any runs that are to be compared, from their records.

  python -m seqtrain report PATH... [out=DIR] [metric=NAME]

  PATH                          directories of runs or of multiruns: multirun/NAME, where study=NAME writes
  out=DIR                       where report.md, runs.csv and the figures go; the multirun's directory without it
  metric=NAME                   the result that is tabulated first, test/accuracy, say; the study's without it

Means and standard deviations are over seeds. What is not finished, or has no such result, is named below the table.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from seqtrain.config.arguments import split, take
from seqtrain.config.names import did_you_mean
from seqtrain.config.study import Goal, Study
from seqtrain.errors import UserError
from seqtrain.runs.collect import arms, collect
from seqtrain.runs.figures import Lines, Points, draw
from seqtrain.runs.files import write_text
from seqtrain.runs.markdown import markdown
from seqtrain.runs.parts import SHARES
from seqtrain.runs.records import INTERVAL, Arm, RunRecord

KEYS = ("out", "metric")


@dataclass(frozen=True)
class Request:
    """What is to be reported, and where to."""

    paths: list[str]
    out: Path
    metric: str | None


def main(argv: list[str]) -> int:
    """Writes the report and prints its table."""
    request = _request(argv)
    records = collect(request.paths)
    names = sorted({record.study_name or "" for record in records})
    if len(names) > 1:
        shown = ", ".join(name or "none" for name in names)
        raise UserError(f"these are runs of several studies: {shown}", "Report each of them by itself.")
    study = _shown(records, request.metric)
    grouped = arms(records)
    figures = _figures(grouped, study, request.out)
    text = markdown(grouped, study, figures, paths=request.paths)
    write_text(request.out / "runs.csv", _csv(grouped, study))
    write_text(request.out / "report.md", text)
    print(text)
    print(f"written: {', '.join(str(request.out / name) for name in ('report.md', 'runs.csv', *figures))}")
    return 0


def _request(argv: Sequence[str]) -> Request:
    paths: list[str] = []
    given, _ = split(argv, {}, words=paths, keys=KEYS)
    place, given = take(given, "out")
    metric, _ = take(given, "metric")
    if not paths:
        raise UserError("report needs a path", "Give the directory of a multirun: seqtrain report multirun/NAME.")
    if len(paths) > 1 and place is None:
        raise UserError("several paths, and no directory for their report", "Name one: out=DIR.")
    out = Path(place or paths[0])
    if out.exists() and not out.is_dir():
        raise UserError(f"out={out}: is a file, not a directory", "Name another: out=DIR.")
    return Request(paths, out, metric)


def _shown(records: Sequence[RunRecord], metric: str | None) -> Study:
    """What is to be shown: by the study, by what was asked for, and else by what there is."""
    study = records[0].study
    there = sorted({name for record in records for name in record.results})
    if metric is not None and metric not in there:
        raise UserError(
            f"metric={metric}: no run has that result{did_you_mean(metric, there)}",
            f"There are: {', '.join(there) or 'none'}.",
        )
    scores = [name for name in there if not name.endswith(INTERVAL)]
    metrics = study.metrics or [name for name in scores if name.startswith("test/")] or scores
    if metric is not None:
        metrics = [metric, *(name for name in metrics if name != metric)]
    first = metrics[0].rpartition("/")[2] if metrics else ""
    if study.parts and not metrics:
        raise UserError("no run of this study has a result yet", "Report it when one is finished.")
    if study.parts and (odd := [name for name in metrics if name.rpartition("/")[2] not in SHARES]):
        raise UserError(
            f"{odd[0]}: the parts of this study are shown in percent, and that is no share",
            f"Ask for one of {', '.join(name for name in there if name.rpartition('/')[2] in SHARES)}.",
        )
    if metric is not None:
        study = replace(study, baselines={}, published={}, failed=None, floor="")
    return replace(
        study,
        metrics=metrics,
        goal=study.goal if study.metrics and metric is None else _goal(first),
        by=study.by if study.metrics else list(dict.fromkeys(name for record in records for name in record.attributes)),
        curves=study.curves or ([] if study.parts else ["train/loss", *([f"val/{first}"] if first else [])]),
        each=study.each if study.metrics else first,
    )


def _goal(metric: str) -> Goal:
    return "max" if metric in ("accuracy", "exact", "bleu", "bleu_lc", "chrf") else "min"


def _figures(grouped: Sequence[Arm], study: Study, out: Path) -> list[str]:
    """Draws what there is to draw; returns the names of the files."""

    def lines(points: Callable[[RunRecord], Points]) -> Lines:
        return {arm.label: [points(record) for record in arm.records] for arm in grouped}

    def by(attribute: str) -> Lines:
        return lines(
            lambda record: [
                ((row["low"] + row["high"]) / 2, row[study.each])
                for row in record.buckets(attribute)
                if study.each in row
            ]
        )

    level = study.baselines if study.metrics and study.metrics[0].rpartition("/")[2] == study.each else {}
    wanted: list[tuple[str, str, dict[str, Lines], Mapping[str, float]]] = [
        *((f"{attribute}.png", attribute, {study.each: by(attribute)}, level) for attribute in study.by),
        ("curves.png", "step", {metric: lines(partial(RunRecord.curve, metric=metric)) for metric in study.curves}, {}),
        (
            "gradient_flow.png",
            "steps back from the last",
            {
                f"‖∂L/∂s$_t$‖, {when} of the training": {arm.label: _flows(arm, last=last) for arm in grouped}
                for when, last in (("beginning", False), ("end", True))
            },
            {},
        ),
    ]
    made = []
    for name, x, panels, baselines in wanted:
        there = {label: drawn for label, drawn in panels.items() if any(map(any, drawn.values()))}
        if there:
            every = [arm.label for arm in grouped]
            draw(out / name, there, x=x, title=study.title, baselines=baselines, every=every)
            made.append(name)
    return made


def _flows(arm: Arm, *, last: bool) -> list[Points]:
    """The gradients of an arm's runs, as far back as all of them reach: measured sequences differ in length."""
    flows = [flow for record in arm.records if (flow := record.flow("loss", last=last))]
    reach = min((max(distance for distance, _ in flow) for flow in flows), default=0.0)
    return [[(distance, norm) for distance, norm in flow if distance <= reach] for flow in flows]


def _csv(grouped: Sequence[Arm], study: Study) -> str:
    names = sorted({name for arm in grouped for record in arm.records for name in record.results})
    parts = [study.parts] if study.parts else []
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["arm", *parts, "seed", "run", "status", "parameters", "seconds", *names])
    for arm in grouped:
        for record in arm.records:
            own = [record.seed, record.name, record.status, record.parameters, record.seconds]
            results = (record.results.get(name) for name in names)
            table.writerow([arm.label, *map(record.at, parts), *own, *results])
    return text.getvalue()
