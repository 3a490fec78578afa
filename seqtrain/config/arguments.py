"""Splits a command's arguments into overrides (`key=value`) and options (`--name value`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from seqtrain.config.names import did_you_mean
from seqtrain.errors import UserError


def split(argv: Sequence[str], flags: Mapping[str, type]) -> tuple[list[str], dict[str, Any]]:
    """Overrides and options of a command line, in any order.

    Args:
        argv: arguments after the command's name.
        flags: option, as `--n-best`, to the type of its value; `bool` options take no value.

    Returns:
        The overrides as written, and the options that were given, by name with underscores (`n_best`).

    Raises:
        UserError: an unknown option, a value that is missing or of the wrong type, or a word that is neither.
    """
    overrides: list[str] = []
    options: dict[str, Any] = {}
    words = iter(argv)
    for word in words:
        if not word.startswith("-"):
            overrides.append(_override(word))
            continue
        flag, equals, value = word.partition("=")
        if flag not in flags:
            raise UserError(f"{flag}: no such option{did_you_mean(flag, flags)} Options: {', '.join(flags) or 'none'}")
        kind = flags[flag]
        if kind is bool:
            if equals:
                raise UserError(f"{word}: {flag} takes no value")
            options[_name(flag)] = True
        else:
            options[_name(flag)] = _value(flag, value if equals else next(words, None), kind)
    return overrides, options


def take(overrides: Sequence[str], key: str) -> tuple[str | None, list[str]]:
    """The value that overrides give a key, None where they do not, and the overrides without it."""
    prefix = f"{key}="
    values = [override.removeprefix(prefix) for override in overrides if override.startswith(prefix)]
    rest = [override for override in overrides if not override.startswith(prefix)]
    return (values[-1] if values else None), rest


def _name(flag: str) -> str:
    return flag.lstrip("-").replace("-", "_")


def _override(word: str) -> str:
    if "=" not in word and not word.startswith("~"):
        raise UserError(f"{word}: neither KEY=VALUE nor an option that begins with --")
    return word


def _value(flag: str, value: str | None, kind: type) -> Any:
    if value is None:
        raise UserError(f"{flag}: a value is needed: {flag} VALUE")
    try:
        return kind(value)
    except ValueError as error:
        wanted = {int: "a whole number", float: "a number"}.get(kind, kind.__name__)
        raise UserError(f"{flag} {value}: must be {wanted}") from error
