"""Nested values by their dotted keys."""

from typing import Any

CHANGES_NOTHING = ("group", "resume", "study", "tags")
"""Keys of a configuration that a training does not depend on."""


def flattened(node: Any, key: str = "") -> dict[str, Any]:
    """The values of a nested configuration by their dotted keys; a mapping without any is a value."""
    if not isinstance(node, dict) or not node:
        return {key: node}
    found: dict[str, Any] = {}
    for name, inner in node.items():
        found |= flattened(inner, f"{key}.{name}" if key else str(name))
    return found


def differing(before: Any, after: Any) -> dict[str, tuple[Any, Any]]:
    """The dotted keys, in alphabetical order, at which two plain configurations differ in what matters to a training,
    with both values; None where a configuration has no such key.
    """
    had, has = flattened(before), flattened(after)
    return {
        key: (had.get(key), has.get(key))
        for key in sorted(had.keys() | has.keys())
        if had.get(key) != has.get(key) and key.split(".")[0] not in CHANGES_NOTHING
    }
