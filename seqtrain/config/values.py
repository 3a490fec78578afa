"""Whether a plain value is one that a type allows, and what a type allows in words."""

import math
import re
import types
import typing
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from seqtrain.config.types import Pattern, Range


def accepts(value: object, hint: Any) -> bool:
    """Whether a value, as YAML gives it, is allowed for a parameter of this type.

    Whole numbers are allowed where numbers are, lists where tuples are; what is not a plain type allows everything.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is None or hint is type(None):
        return value is None
    if hint in (bool, str):
        return isinstance(value, hint)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if origin is Annotated:
        return accepts(value, arguments[0]) and all(
            within(value, limit) if isinstance(limit, Range) else re.fullmatch(limit.regex, str(value)) is not None
            for limit in arguments[1:]
            if isinstance(limit, Range | Pattern)
        )
    if origin is Literal:
        return any(type(value) is type(allowed) and value == allowed for allowed in arguments)
    if origin in (Union, types.UnionType):
        return any(accepts(value, member) for member in arguments)
    if hint in (list, tuple) or origin in (list, tuple):
        return isinstance(value, list | tuple) and _items(list(value), hint)
    if hint is dict or origin is dict:
        inner = arguments[1] if arguments else Any
        keys = arguments[0] if arguments else str
        return isinstance(value, dict) and all(accepts(k, keys) and accepts(v, inner) for k, v in value.items())
    return True


def within(value: object, limits: Range) -> bool:
    """Whether a number lies in a range; not-a-number lies in none."""
    if not isinstance(value, int | float) or math.isnan(value):
        return False
    return (
        (limits.low is None or value >= limits.low)
        and (limits.high is None or value <= limits.high)
        and (limits.above is None or value > limits.above)
        and (limits.below is None or value < limits.below)
    )


def describe(hint: Any) -> str:
    """What a type allows, in words: "a whole number of at least 1 or null"."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _WORDS:
        return _WORDS[hint]
    if origin is Annotated:
        if patterns := [limit for limit in arguments[1:] if isinstance(limit, Pattern)]:
            return patterns[0].words
        return describe(arguments[0]) + "".join(_limits(r) for r in arguments[1:] if isinstance(r, Range))
    if origin is Literal:
        listed = ", ".join(dict.fromkeys("null" if value is None else str(value) for value in arguments))
        return f"one of {listed}" if len(arguments) > 1 else listed
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(describe(member) for member in arguments))
    if origin is tuple and Ellipsis not in arguments:
        return f"a list of {len(arguments)}: " + ", ".join(describe(item) for item in arguments)
    if origin in (list, tuple):
        return f"a list, each item {describe(arguments[0])}"
    if origin is dict:
        return f"a mapping, each value {describe(arguments[1])}"
    return "any value"


_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    type(None): "null",
    None: "null",
    list: "a list",
    tuple: "a list",
    dict: "a mapping",
}


def _items(values: list[object], hint: Any) -> bool:
    arguments = typing.get_args(hint)
    if not arguments:
        return True
    if get_origin(hint) is tuple and Ellipsis not in arguments:
        return len(values) == len(arguments) and all(map(accepts, values, arguments))
    return all(accepts(value, arguments[0]) for value in values)


def _limits(limits: Range) -> str:
    if limits.low is not None and limits.high is not None:
        return f" from {_number(limits.low)} to {_number(limits.high)}"
    parts = []
    if limits.above is not None:
        parts.append(f"above {_number(limits.above)}")
    if limits.low is not None:
        parts.append(f"of at least {_number(limits.low)}")
    if limits.high is not None:
        parts.append(f"of at most {_number(limits.high)}")
    if limits.below is not None:
        parts.append(f"below {_number(limits.below)}")
    return " " + " and ".join(parts) if parts else ""


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:g}"
