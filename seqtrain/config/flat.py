"""Nested values by their dotted keys."""

from typing import Any


def flattened(node: Any, key: str = "") -> dict[str, Any]:
    """The values of a nested configuration by their dotted keys; a mapping without any is a value."""
    if not isinstance(node, dict) or not node:
        return {key: node}
    found: dict[str, Any] = {}
    for name, inner in node.items():
        found |= flattened(inner, f"{key}.{name}" if key else str(name))
    return found
