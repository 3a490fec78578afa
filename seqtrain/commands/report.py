"""Make the table and the figures of a study from the records of its runs.

  python -m seqtrain report STUDY|PATH... [out=DIR] [metric=NAME,...]

  STUDY                         a study whose runs are in multirun/STUDY, where study=STUDY writes
  PATH                          directories of multiruns or runs of one study, if they are elsewhere
  out=DIR                       where report.md, runs.csv and the figures go; the multirun's directory without it
  metric=NAME,...               results that are tabulated first, test/accuracy, say; the study's without it

Means and standard deviations are over seeds. What is not finished, or has no such result, is named below the table.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from seqtrain.config.arguments import split, take
from seqtrain.config.places import options
from seqtrain.config.study import Study
from seqtrain.errors import UserError
from seqtrain.runs.collect import arms, collect
from seqtrain.runs.comparison import Comparison, spreadsheet
from seqtrain.runs.figures import Lines, Points, draw
from seqtrain.runs.files import write_text
from seqtrain.runs.markdown import markdown
from seqtrain.runs.records import Arm, RunRecord
from seqtrain.runs.shown import shown

KEYS = ("out", "metric")


@dataclass(frozen=True)
class Request:
    """What is to be reported, and where to."""

    paths: list[str]
    out: Path
    metrics: list[str]


def main(argv: list[str]) -> int:
    """Writes the report and prints its table."""
    request = _request(argv)
    records = collect(request.paths)
    names = sorted({record.study_name or "" for record in records})
    if names == [""]:
        raise UserError("these are runs of no study", f"Compare them: seqtrain compare {shlex.join(request.paths)}")
    if len(names) > 1:
        listed = ", ".join(name or "none" for name in names)
        raise UserError(f"these are runs of several studies: {listed}", "Report each of them by itself.")
    study = shown(records, request.metrics)
    comparison = Comparison(arms(records), study)
    figures = _figures(comparison.arms, study, request.out)
    shown_paths = shlex.join(map(_relative, request.paths))
    commands = [f"python -m seqtrain study={names[0]}", f"python -m seqtrain report {shown_paths}"]
    text = markdown(comparison, commands=commands, figures=figures)
    write_text(request.out / "runs.csv", spreadsheet(comparison))
    write_text(request.out / "report.md", text)
    print(text)
    print(f"written: {', '.join(str(request.out / name) for name in ('report.md', 'runs.csv', *figures))}")
    return 0


def _request(argv: Sequence[str]) -> Request:
    given_paths: list[str] = []
    given, _ = split(argv, {}, words=given_paths, keys=KEYS)
    place, given = take(given, "out")
    metric, _ = take(given, "metric")
    if not given_paths:
        raise UserError("report needs a study", f"There are: {', '.join(options('study'))}.")
    paths = [_place(path) for path in given_paths]
    if len(paths) > 1 and place is None:
        raise UserError("several paths, and no directory for their report", "Name one: out=DIR.")
    out = Path(place or paths[0])
    if out.exists() and not out.is_dir():
        raise UserError(f"out={out}: is a file, not a directory", "Name another: out=DIR.")
    return Request(paths, out, metric.split(",") if metric else [])


def _place(path: str) -> str:
    """Where a study's runs are, if it is the name of one."""
    runs = Path("multirun", path)
    if Path(path).exists() or path not in options("study"):
        return path
    if not runs.is_dir():
        raise UserError(f"{path} has no runs in {runs}", f"Make them: python -m seqtrain study={path}")
    return str(runs)


def _relative(path: str) -> str:
    place, here = Path(path).resolve(), Path.cwd()
    return str(place.relative_to(here)) if place.is_relative_to(here) else place.name


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
