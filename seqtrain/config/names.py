"""Suggests the name that a mistyped one was meant to be."""

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that a mistyped one was probably meant to be, or None."""
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(name: str, names: Iterable[str], prefix: str = "") -> str:
    """`; did you mean NAME?` where there is a near name, else a full stop."""
    near = nearest(name, names)
    return f"; did you mean {prefix}{near}?" if near else "."
