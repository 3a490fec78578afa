"""Splits a command's arguments into overrides (`key=value`) and options (`--name value`)."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqtrain.config.names import did_you_mean
from seqtrain.errors import UserError


def split(
    argv: Sequence[str], flags: Mapping[str, type], *, words: list[str] | None = None, keys: Sequence[str] = ()
) -> tuple[list[str], dict[str, Any]]:
    """Overrides and options of a command line, in any order.

    Args:
        argv: arguments after the command's name.
        flags: option, as `--n-best`, to the type of its value; `bool` options take no value.
        words: where words that are neither are added, of a command that takes paths and no overrides but of `keys`.
        keys: what such a command can be given as `key=value`.

    Returns:
        The overrides as written, and the options that were given, by name with underscores (`n_best`).

    Raises:
        UserError: an unknown option, a value that is missing or of the wrong type, or a word that is neither.
    """
    overrides: list[str] = []
    options: dict[str, Any] = {}
    rest = iter(argv)
    for word in rest:
        if not word.startswith("-"):
            if words is None:
                overrides.append(_override(word))
            elif _is_given(word, keys):
                overrides.append(word)
            elif "=" in word and not Path(word).exists():
                raise _unknown(word, [*keys, *flags])
            else:
                words.append(word)
            continue
        flag, equals, value = word.partition("=")
        if flag not in flags:
            raise _unknown(flag, [*keys, *flags])
        kind = flags[flag]
        if kind is bool:
            if equals:
                raise UserError(f"{word}: {flag} takes no value")
            options[_name(flag)] = True
        else:
            options[_name(flag)] = _value(flag, value if equals else next(rest, None), kind)
    return overrides, options


def take(overrides: Sequence[str], key: str) -> tuple[str | None, list[str]]:
    """The value that overrides give a key, None where they do not, and the overrides without it."""
    prefix = f"{key}="
    values = [override.removeprefix(prefix) for override in overrides if override.startswith(prefix)]
    rest = [override for override in overrides if not override.startswith(prefix)]
    return (values[-1] if values else None), rest


def command_line(words: Sequence[str]) -> str:
    """What to type to run this program with other words: `python -m seqtrain ...`, or as it is called now."""
    program = Path(sys.argv[0]).name
    program = "python -m seqtrain" if program == "__main__.py" else shlex.quote(program)
    return f"{program} {shlex.join(words)}".strip()


def several(value: str) -> list[str]:
    """The values that commas separate, `a,b`; a path that is there as it stands, commas and all, is one."""
    if "," not in value or Path(value).exists():
        return [value]
    return [part for part in value.split(",") if part] or [value]


def _is_given(word: str, keys: Sequence[str]) -> bool:
    key, _, value = word.partition("=")
    return key in keys and bool(value)


def _unknown(word: str, names: Sequence[str]) -> UserError:
    hint = did_you_mean(word.partition("=")[0], names)
    return UserError(f"{word}: no such option{hint} Options: {', '.join(names) or 'none'}")


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
