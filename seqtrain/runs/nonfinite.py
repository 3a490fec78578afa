"""Numbers that JSON has no word for, as text and back. Imports no torch."""

import math
from typing import Any

WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""How they are spelled in `metrics.jsonl` and in W&B."""


def spelled(value: Any) -> Any:
    """`value` with `NaN`, `Infinity` and `-Infinity` in place of such numbers, in dictionaries and lists, too."""
    if isinstance(value, dict):
        return {name: spelled(item) for name, item in value.items()}
    if isinstance(value, list):
        return [spelled(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def unspelled(value: Any) -> Any:
    """`value` with numbers in place of these words, in dictionaries and lists, too."""
    if isinstance(value, dict):
        return {name: unspelled(item) for name, item in value.items()}
    if isinstance(value, list):
        return [unspelled(item) for item in value]
    return WORDS.get(value, value) if isinstance(value, str) else value
