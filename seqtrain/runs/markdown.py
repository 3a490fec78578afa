"""A comparison as Markdown: tables of means over seeds, what is missing from them, and what they were made with."""

import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtrain.config.study import Study
from seqtrain.runs import parts
from seqtrain.runs.records import Arm, RunRecord, spread

if TYPE_CHECKING:
    from seqtrain.runs.comparison import Comparison
    from seqtrain.runs.differences import Differences
    from seqtrain.runs.significance import Significance


def markdown(comparison: "Comparison", *, commands: Sequence[str], figures: Sequence[str] = ()) -> str:
    """The comparison as Markdown.

    Args:
        comparison: what to show.
        commands: what makes it again.
        figures: files beside it.
    """
    arms, study = comparison.arms, comparison.study
    texts = [f"# {printable(study.title or 'Comparison')}", "\n".join(["```sh", *commands, "```"]), _table(arms, study)]
    texts += [text for attribute in study.by if (text := _by(arms, study, attribute))]
    texts += [grid(*parts.table(arms, study, metric)) for metric in study.metrics if study.parts]
    if comparison.differences:
        texts += [_differences(comparison.differences, [arm.label for arm in arms])]
    if comparison.significance:
        texts += _significance(comparison.significance)
    said = [f"- {printable(note)}" for note in remarks(comparison)]
    texts += ["\n".join(said)] if said else []
    texts += [f"![{Path(name).stem}]({name})" for name in figures]
    texts += [printable(made_with(comparison.records))]
    return "\n\n".join(texts) + "\n"


def number(value: float) -> str:
    """A number in as many digits as say something: 0.9841, 41.86, 3.2e-05, 1,234."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if 0.01 <= size < 10 or value == 0:
        return f"{value:.4f}"
    if 10 <= size < 1000:
        return f"{value:.2f}"
    return f"{value:,.0f}" if 1000 <= size < 1e6 else f"{value:.3g}"


def printable(text: str) -> str:
    """A text out of a record in one line, without what a terminal would take for a command: these are escapes."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def first_line(error: Exception) -> str:
    """What an error says, without the hint, `printable`."""
    return printable(str(error).partition("\n")[0])


def _with_spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    mean, deviation = spread(values)
    if len(values) == 1:
        return number(mean)
    short = 10 <= abs(mean) < 1000 and 0.005 <= deviation < 10
    return f"{number(mean)} ± {deviation:.2f}" if short else f"{number(mean)} ± {number(deviation)}"


def _table(arms: Sequence[Arm], study: Study) -> str:
    best = max if study.goal == "max" else min
    head = ["arm", *study.metrics[:1], "best", *study.metrics[1:], "seeds", "parameters", "training, s"]
    pace = unit([record for arm in arms for record in arm.records])
    head += [f"{pace}/s"] if pace else []
    every = parts.every_part(arms, study) if study.parts else []
    rows = []
    for arm in arms:
        columns = [parts.per_seed(arm, study, metric, every) for metric in study.metrics]
        first = columns[0] if columns else []
        complete, seeds = len(first), wanted(arm, study)
        rows.append(
            [
                arm.label,
                *([_with_spread(first) or _diverged(arm, study.metrics[0])] if study.metrics else []),
                number(best(first)) if first else "",
                *map(_with_spread, columns[1:]),
                str(complete) if complete == seeds else f"{complete} of {seeds}",
                _sizes(arm.records),
                f"{spread(times)[0]:,.0f}" if (times := seconds(arm.records, study)) else "",
                *([_pace(arm.records)] if pace else []),
            ]
        )
    rows += [[f"*{name}*", number(value), *[""] * (len(head) - 2)] for name, value in study.baselines.items()]
    return grid(head, rows)


def wanted(arm: Arm, study: Study) -> int:
    """How many results an arm would have: one a run or, where these are parts, one a seed."""
    return len({record.seed for record in arm.records} if study.parts else arm.records)


def _diverged(arm: Arm, metric: str) -> str:
    """What stands in place of a mean where every result of an arm is infinite or not a number."""
    found = [record.results[metric] for record in arm.records if metric in record.results]
    return "diverged" if found and not any(map(math.isfinite, found)) else ""


def _sizes(records: Sequence[RunRecord]) -> str:
    found = sorted({record.parameters for record in records if record.parameters})
    return f"{found[0]:,} to {found[-1]:,}" if len(found) > 3 else ", ".join(f"{count:,}" for count in found)


def seconds(records: Sequence[RunRecord], study: Study) -> list[float]:
    """How long finished runs trained or, where these are parts, all those of a seed together."""
    found: dict[object, float] = {}
    for record in records:
        if record.seconds is not None and record.status == "finished":
            one = record.seed if study.parts else record.place
            found[one] = found.get(one, 0.0) + record.seconds
    return list(found.values())


def unit(records: Sequence[RunRecord]) -> str:
    """What the trainings' pace is counted in; empty where no run has one, or they count different things."""
    found = {record.pace[0] for record in records if record.pace}
    return found.pop() if len(found) == 1 else ""


def _pace(records: Sequence[RunRecord]) -> str:
    found = [record.pace[1] for record in records if record.pace]
    return f"{spread(found)[0]:,.0f}" if found else ""


def cells(arms: Sequence[Arm], attribute: str, metric: str) -> dict[tuple[int, int], dict[str, list[float]]]:
    """The finite values of a metric of single examples: by bucket of an attribute, then by arm."""
    found: dict[tuple[int, int], dict[str, list[float]]] = {}
    for arm in arms:
        for record in arm.records:
            for row in record.buckets(attribute):
                value = row.get(metric)
                if isinstance(value, int | float) and math.isfinite(value):
                    found.setdefault((row["low"], row["high"]), {}).setdefault(arm.label, []).append(float(value))
    return found


def _by(arms: Sequence[Arm], study: Study, attribute: str) -> str:
    """A table of the metric of single examples by an attribute; empty where no run has one."""
    found = cells(arms, attribute, study.each)
    if not found:
        return ""
    buckets = sorted(found)
    head = [f"{study.each} by {attribute}", *(between(low, high) for low, high in buckets)]
    rows = [[arm.label, *(_with_spread(found[bucket].get(arm.label, [])) for bucket in buckets)] for arm in arms]
    return grid(head, [row for row in rows if any(row[1:])])


def between(low: int, high: int) -> str:
    """A bucket, as people write it."""
    return str(low) if low == high else f"{low}–{high}"


def _differences(found: "Differences", labels: Sequence[str]) -> str:
    """A row for each key in which configurations differ, a column for each group."""
    rows = [[key, *(_few(values[label]) for label in labels)] for key, values in found.items()]
    return grid(["differs", *labels], rows)


def _few(values: Sequence[str]) -> str:
    return ", ".join(values) if len(values) <= 3 else f"{len(values)} values"


def _significance(found: "Significance") -> list[str]:
    """Scores and p by every metric, the signatures, and BLEU by length."""
    names = [f"{name} (baseline)" if i == 0 else name for i, name in enumerate(found.systems)]
    columns = [list(map(_score, results)) for results in found.scores.values()]
    scores = grid(
        [f"{found.split}, {found.test}", *found.scores], [list(row) for row in zip(names, *columns, strict=True)]
    )
    signatures = "\n".join(printable(f"- {title}: `{signature}`") for title, signature in found.signatures.items())
    head = [f"{between(low, high)} (n={count})" for (low, high), count in found.lengths]
    columns = [list(map(_score, results)) for results in found.by_length]
    rows = [list(row) for row in zip(found.systems, *columns, strict=True)]
    return [scores, signatures, grid(["BLEU by words of the source", *head], rows)]


def _score(result: Any) -> str:
    """`31.20 (31.18 ± 0.95), p = 0.0010`, the last part for all but the baseline."""
    interval = "" if result.mean is None else f" ({result.mean:.2f} ± {result.ci:.2f})"
    chance = "" if result.p_value is None else f", p = {result.p_value:.4f}"
    return f"{result.score:.2f}{interval}{chance}"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; what would break it, or be a command to a terminal, is written as an escape."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(printable(cell).replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(head), "|" + "---|" * len(head), *map(line, rows)])


def notes(arms: Sequence[Arm], study: Study) -> Iterator[str]:
    """What is not in the means, and what makes runs hard to compare."""
    records = [record for arm in arms for record in arm.records]
    if study.parts:
        yield from parts.notes(arms, study)
    for arm in arms:
        known = (
            {study.metrics[0], *(name for record in arm.records for name in record.results)} if study.metrics else ()
        )
        for record in arm.records:
            yield from _uncounted(record, study, known)
    several: dict[str, set[str]] = {"code": {_commit(record) for record in records}}
    for arm in arms:
        for record in arm.records:
            # How much of a story is read is an arm's own affair.
            part = f" for {arm.label}, {study.parts}={record.at(study.parts)}" if study.parts else ""
            if record.status == "finished":  # before its end a run knows less of its data
                several.setdefault(f"data{part}", set()).add(_data(record))
    for what, found in several.items():
        if len(found - {""}) > 1:
            yield f"the runs were made with different {what}: {', '.join(sorted(found - {''}))}"


def _uncounted(record: RunRecord, study: Study, known: Collection[str]) -> Iterator[str]:
    """Why a run is not in the means; what no run of its arm has is not missing."""
    error = str(record.manifest.get("error") or "").partition("\n")[0]
    if record.status != "finished":
        yield f"{record.name}: {record.status}{f': {error}' if error else ''}; not counted"
        return
    for metric in study.metrics[:1] if study.parts else study.metrics:
        value = record.results.get(metric)
        if value is not None and not math.isfinite(value):
            yield f"{record.name}: {metric} is {value}: it diverged; not counted"
        elif value is None and metric in known:
            yield f"{record.name}: has no {metric}"


def made_with(records: Sequence[RunRecord]) -> str:
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


def remarks(comparison: "Comparison") -> list[str]:
    """All that the reader of a comparison has to know besides its tables."""
    arms, study = comparison.arms, comparison.study
    tested = comparison.significance.notes if comparison.significance else []
    return [*comparison.notes, *_not_seeds(comparison), *notes(arms, study), *tested]


def _not_seeds(comparison: "Comparison") -> Iterator[str]:
    """Groups whose runs differ in more than the seed, or not even in that."""
    for arm in comparison.arms:
        differing = [key for key, values in comparison.differences.items() if len(values[arm.label]) > 1]
        differing = [key for key in differing if key != comparison.study.parts]
        if differing:
            more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
            yield f"{arm.label}: its runs differ in {', '.join(differing[:3])}{more}, not in the seed alone"
        if not comparison.study.parts:
            seeds = [record.seed for record in arm.records if record.status == "finished"]
            for seed in sorted({seed for seed in seeds if seed is not None and seeds.count(seed) > 1}):
                yield f"{arm.label}: {seeds.count(seed)} runs have the seed {seed}; each counts"


def _commit(record: RunRecord) -> str:
    git = record.manifest.get("git") or {}
    return str(git.get("commit", ""))[:12] + (" with changes" if git.get("dirty") or git.get("changes") else "")


def _data(record: RunRecord) -> str:
    return str((record.manifest.get("data") or {}).get("fingerprint", ""))[:12]
