"""Reading the simulated world's sentences by patterns: what its solvers share."""

import re

WALK = r"(?:hurried|ran|strolled|walked)"


def read(pattern: str, text: str) -> tuple[str, ...] | None:
    """The groups of a pattern that the whole text fits."""
    found = re.fullmatch(pattern, text)
    return None if found is None else tuple(group or "" for group in found.groups())


def must(pattern: str, text: str) -> tuple[str, ...]:
    """The same of a text that has to fit."""
    found = read(pattern, text)
    assert found is not None, f"{text!r} is not {pattern!r}"
    return found
