"""Figures: what arms reached, a line each, with the spread over seeds as a band; BLEU by length."""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtrain.runs.files import replacing
from seqtrain.runs.records import spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = Sequence[tuple[float, float]]
"""One run's curve: x and y."""
Lines = Mapping[str, Sequence[Points]]
"""Arm to the curves of its runs."""


def draw(
    path: Path,
    panels: Mapping[str, Lines],
    *,
    x: str,
    title: str = "",
    baselines: Mapping[str, float] | None = None,
    every: Sequence[str] = (),
) -> None:
    """Writes a PNG of panels beside each other, the mean of each arm's runs with a band of one standard deviation.

    Where values span powers of ten the axis is logarithmic, and mean and deviation are those of the logarithms.

    Args:
        path: the file.
        panels: label of the y axis to the curves; values that are not finite are crosses on the upper edge.
        x: label of the x axes.
        title: above all.
        baselines: name to a level that is drawn as a dashed line in the first panel.
        every: arms, in the order of their colours, so that these are the same from figure to figure.

    Raises:
        UserError: the file cannot be written.
    """
    # Here, as it takes a third of a second, and what is wrong with a request should be said before.
    from matplotlib.figure import Figure

    names = list(every) or list(dict.fromkeys(name for lines in panels.values() for name in lines))
    figure = Figure(figsize=(6.4 * len(panels), 4.2), layout="constrained", dpi=120)
    for number, (axes, (label, lines)) in enumerate(
        zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True)
    ):
        wide = _is_wide(value for runs in lines.values() for points in _finite(runs) for _, value in points)
        for name, runs in lines.items():
            colour, dashed = f"C{names.index(name) % 10}", names.index(name) >= 10
            _line(axes, name, _finite(runs), colour=colour, dashed=dashed, logarithmic=wide)
            _diverged(axes, name, runs, colour=colour)
        for name, level in (baselines or {}).items() if number == 0 else ():
            axes.axhline(level, color="0.4", linestyle="--", linewidth=1, label=name)
        if wide:
            axes.set_yscale("log")
        axes.set_xlabel(x)
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize="small")
    if title:
        figure.suptitle(title)
    save(figure, path)


def save(figure: Any, path: Path) -> None:
    """Writes a matplotlib figure as a PNG, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    with replacing(path) as file:
        file.write(picture.getvalue())


def draw_by_length(path: Path, rows: Sequence[Mapping[str, Any]], *, whole: float, title: str = "") -> None:
    """Writes a PNG: BLEU of every bucket with its interval, how many sentences that is, and BLEU of the whole.

    Args:
        path: the file.
        rows: what `seqtrain.runs.scores.by_length` returned.
        whole: BLEU of all sentences.
        title: above it.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained", dpi=120)
    axes = figure.subplots()
    places = range(len(rows))
    axes.plot(places, [row["bleu"] for row in rows], "o-", label="BLEU")
    intervals = [(place, row) for place, row in zip(places, rows, strict=True) if "bleu_ci" in row]
    if intervals:
        axes.errorbar(
            [place for place, _ in intervals],
            [row["bleu_mean"] for _, row in intervals],
            yerr=[row["bleu_ci"] for _, row in intervals],
            fmt="none",
            ecolor="C0",
            alpha=0.6,
            capsize=3,
            label="95 %, bootstrap",
        )
    axes.axhline(whole, color="0.4", linestyle="--", linewidth=1, label=f"all: {whole:.1f}")
    axes.set_xticks(places, [f"{_range(row['low'], row['high'])}\nn={row['count']}" for row in rows])
    axes.set(xlabel="words of the source sentence", ylabel="BLEU", title=title)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")
    save(figure, path)


def _line(axes: "Axes", name: str, runs: Sequence[Points], *, colour: str, dashed: bool, logarithmic: bool) -> None:
    at: dict[float, list[float]] = {}
    for points in runs:
        for place, value in points:
            if not logarithmic:
                at.setdefault(place, []).append(value)
            elif value > 0:
                at.setdefault(place, []).append(math.log10(value))
    if not at:
        return
    xs = sorted(at)
    spreads = [spread(at[place]) for place in xs]
    middle, low, high = ([m + k * d for m, d in spreads] for k in (0, -1, 1))
    if logarithmic:
        middle, low, high = ([10**value for value in values] for values in (middle, low, high))
    axes.plot(
        xs, middle, color=colour, linestyle=":" if dashed else "-", marker="." if len(xs) < 30 else "", label=name
    )
    if any(deviation for _, deviation in spreads):
        axes.fill_between(xs, low, high, color=colour, alpha=0.2, linewidth=0)


def _diverged(axes: "Axes", name: str, runs: Sequence[Points], *, colour: str) -> None:
    """Crosses on the upper edge where a run has a value that is not finite."""
    xs = sorted({place for points in runs for place, value in points if not math.isfinite(value)})
    if xs:
        edge = axes.get_xaxis_transform()
        label = f"{name}, not finite"
        axes.plot(xs, [1.0] * len(xs), "x", color=colour, markersize=4, transform=edge, clip_on=False, label=label)


def _finite(runs: Sequence[Points]) -> list[Points]:
    return [[(place, value) for place, value in points if math.isfinite(value)] for points in runs]


def _is_wide(values: Iterable[float]) -> bool:
    """Whether values, none of them below 0, span so many powers of ten that a linear axis hides most of them."""
    found = list(values)
    positive = [value for value in found if value > 0]
    return len(positive) > len(found) / 2 and min(found) >= 0 and max(positive) > 200 * min(positive)


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}–{high}"
