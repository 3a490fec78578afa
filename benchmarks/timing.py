"""Side-by-side timing: alternatives in turn, medians, ratios."""

import statistics
import time
from collections.abc import Callable

import torch

from seqtrain.runs.environment import hardware


def machine() -> str:
    """The processor, its cores, and the threads that torch uses."""
    found = hardware()
    processor = f"{found.get('processor')}, {found.get('cores')} cores"
    return f"{processor}; {torch.get_num_threads()} threads; torch {torch.__version__}"


def side_by_side(
    alternatives: dict[str, Callable[[], object]], *, rounds: int = 9, warmup: int = 2
) -> dict[str, float]:
    """Median seconds of each alternative, run in turn so that a drift of the machine's speed meets all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in alternatives}
    for round_ in range(warmup + rounds):
        for name, run in alternatives.items():
            start = time.perf_counter()
            run()
            if round_ >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def table(rows: list[tuple[str, dict[str, float]]], reference: str) -> str:
    """A Markdown table of milliseconds, each with its ratio to the reference's."""
    names = list(rows[0][1])
    lines = ["| | " + " | ".join(names) + " |", "|-" * (len(names) + 1) + "|"]
    for label, seconds in rows:
        cells = [f"{seconds[name] * 1e3:.1f} ms ({seconds[name] / seconds[reference]:.2f})" for name in names]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
