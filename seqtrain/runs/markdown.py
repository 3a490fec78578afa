"""A comparison as Markdown: tables of means over seeds, what is missing from them, and what they were made with."""

import math
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seqtrain.config.study import Study
from seqtrain.runs import parts
from seqtrain.runs.records import Arm, RunRecord, spread


def markdown(arms: Sequence[Arm], study: Study, figures: Sequence[str], *, paths: Sequence[str]) -> str:
    """The report.

    Args:
        arms: the runs, grouped.
        study: what to show of them.
        figures: files beside the report.
        paths: what was reported on, to say how it is done again.
    """
    records = [record for arm in arms for record in arm.records]
    texts = [f"# {study.title or 'Comparison'}", _commands(records, paths), _table(arms, study)]
    texts += [text for attribute in study.by if (text := _by(arms, study, attribute))]
    texts += [grid(*parts.table(arms, study, metric)) for metric in study.metrics if study.parts]
    notes = [f"- {note}" for note in _notes(arms, study)]
    texts += ["\n".join(notes)] if notes else []
    texts += [f"![{Path(name).stem}]({name})" for name in figures]
    texts += [_made_with(records)]
    return "\n\n".join(texts) + "\n"


def number(value: float) -> str:
    """A number in as many digits as say something: 0.9841, 3.2e-05, 1234."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if 0.01 <= size < 10 or value == 0:
        return f"{value:.4f}"
    return f"{value:,.0f}" if 1000 <= size < 1e6 else f"{value:.3g}"


def _with_spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    mean, deviation = spread(values)
    return f"{number(mean)} ± {number(deviation)}" if len(values) > 1 else number(mean)


def _table(arms: Sequence[Arm], study: Study) -> str:
    best = max if study.goal == "max" else min
    head = ["arm", *study.metrics[:1], "best", *study.metrics[1:], "seeds", "parameters", "training, s"]
    every = parts.every_part(arms, study) if study.parts else []
    rows = []
    for arm in arms:
        columns = [parts.means(arm, study, metric, every) if every else arm.values(metric) for metric in study.metrics]
        first = columns[0] if columns else []
        complete, seeds = len(first), len({record.seed for record in arm.records} if every else arm.records)
        rows.append(
            [
                arm.label,
                *([_with_spread(first) or _diverged(arm, study.metrics[0])] if study.metrics else []),
                number(best(first)) if first else "",
                *map(_with_spread, columns[1:]),
                str(complete) if complete == seeds else f"{complete} of {seeds}",
                _sizes(arm.records),
                _seconds(arm.records, study),
            ]
        )
    rows += [[f"*{name}*", number(value), *[""] * (len(head) - 2)] for name, value in study.baselines.items()]
    return grid(head, rows)


def _diverged(arm: Arm, metric: str) -> str:
    """What stands in place of a mean where every result of an arm is infinite or not a number."""
    found = [record.results[metric] for record in arm.records if metric in record.results]
    return "diverged" if found and not any(map(math.isfinite, found)) else ""


def _sizes(records: Sequence[RunRecord]) -> str:
    found = sorted({record.parameters for record in records if record.parameters})
    return f"{found[0]:,} to {found[-1]:,}" if len(found) > 3 else ", ".join(f"{count:,}" for count in found)


def _seconds(records: Sequence[RunRecord], study: Study) -> str:
    """Of one run or, where these are parts, of all those of a seed: the mean."""
    found: dict[object, float] = {}
    for record in records:
        if record.seconds is not None and record.status == "finished":
            one = record.seed if study.parts else record.place
            found[one] = found.get(one, 0.0) + record.seconds
    return f"{spread(list(found.values()))[0]:,.0f}" if found else ""


def _by(arms: Sequence[Arm], study: Study, attribute: str) -> str:
    """A table of the metric of single examples by an attribute; empty where no run has one."""
    cells: dict[tuple[int, int], dict[str, list[float]]] = {}
    for arm in arms:
        for record in arm.records:
            for row in record.buckets(attribute):
                value = row.get(study.each)
                if isinstance(value, int | float) and math.isfinite(value):
                    cells.setdefault((row["low"], row["high"]), {}).setdefault(arm.label, []).append(float(value))
    if not cells:
        return ""
    buckets = sorted(cells)
    head = [f"{study.each} by {attribute}", *(str(low) if low == high else f"{low}–{high}" for low, high in buckets)]
    rows = [[arm.label, *(_with_spread(cells[bucket].get(arm.label, [])) for bucket in buckets)] for arm in arms]
    return grid(head, rows)


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(head), "|" + "---|" * len(head), *map(line, rows)])


def _notes(arms: Sequence[Arm], study: Study) -> Iterator[str]:
    """What is not in the means, and what makes runs hard to compare."""
    records = [record for arm in arms for record in arm.records]
    if study.parts:
        yield from parts.notes(arms, study)
    for record in records:
        error = str(record.manifest.get("error") or "").partition("\n")[0]
        if record.status != "finished":
            yield f"{record.name}: {record.status}{f': {error}' if error else ''}; not counted"
            continue
        for metric in study.metrics[:1] if study.parts else study.metrics:
            value = record.results.get(metric)
            if value is None:
                yield f"{record.name}: has no {metric}"
            elif not math.isfinite(value):
                yield f"{record.name}: {metric} is {value}: it diverged; not counted"
    several: dict[str, set[str]] = {"code": {_commit(record) for record in records}}
    for arm in arms:
        for record in arm.records:
            # How much of a story is read is an arm's own affair.
            part = f" for {arm.label}, {study.parts}={record.at(study.parts)}" if study.parts else ""
            several.setdefault(f"data{part}", set()).add(_data(record))
    for what, found in several.items():
        if len(found - {""}) > 1:
            yield f"the runs were made with different {what}: {', '.join(sorted(found - {''}))}"


def _commands(records: Sequence[RunRecord], paths: Sequence[str]) -> str:
    name = records[0].study_name
    made = [f"python -m seqtrain study={name}"] if name else []
    return "\n".join(["```sh", *made, f"python -m seqtrain report {shlex.join(map(_relative, paths))}", "```"])


def _relative(path: str) -> str:
    place, here = Path(path).resolve(), Path.cwd()
    return str(place.relative_to(here)) if place.is_relative_to(here) else place.name


def _made_with(records: Sequence[RunRecord]) -> str:
    """Code, versions and machine, each value once."""
    found: dict[str, set[str]] = {}
    for record in records:
        hardware: dict[str, Any] = record.manifest.get("hardware") or {}
        machine = f"{hardware.get('processor')}, {hardware.get('cores')} cores" if hardware else ""
        for what, value in (
            ("commit", _commit(record)),
            ("torch", (record.manifest.get("versions") or {}).get("torch", "")),
            ("data", _data(record)),
            ("on", ", ".join([machine, *hardware.get("gpus", [])])),
        ):
            found.setdefault(what, set()).update({value} - {""})
    few = {what: ", ".join(sorted(values)) for what, values in found.items() if 0 < len(values) <= 4}
    many = {what: f"{len(values)} different" for what, values in found.items() if len(values) > 4}
    return "Made with " + "; ".join(f"{what} {text}" for what, text in (few | many).items())


def _commit(record: RunRecord) -> str:
    git = record.manifest.get("git") or {}
    return str(git.get("commit", ""))[:12] + (" with changes" if git.get("dirty") else "")


def _data(record: RunRecord) -> str:
    return str((record.manifest.get("data") or {}).get("fingerprint", ""))[:12]
