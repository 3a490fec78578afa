"""JSON and YAML of records that anybody may have written: what is made to use up memory, time or the stack is refused.

Imports no torch.
"""

import io
import json
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

from seqtrain.errors import UserError
from seqtrain.runs.files import text_of

DEPTH = 100
"""Levels of lists and mappings in one another: far more than any record has, and few enough to walk by recursion."""

REFERENCES = 30
"""Of a configuration to values of its own, `${model.hidden}`: a chain of pairs of them doubles at each step."""

DAMAGED = "The run's record is damaged."


def json_of(text: str) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is no JSON, or nested deeper than `DEPTH`.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if text.count("[") + text.count("{") <= DEPTH:  # a line of metrics, of which there are many
        return value
    level = [value]
    for _ in range(DEPTH):
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _values(outer)]
        if not level:
            return value
    raise ValueError("nested too deeply")


def read_json(path: Path) -> Any:
    """What a file of JSON says. Raises `UserError` where there is none, or it cannot be read."""
    try:
        return json_of(required(path))
    except ValueError as error:
        raise UserError(f"cannot read {path}: {error}", DAMAGED) from error


def read_yaml(path: Path) -> DictConfig | ListConfig:
    """What a file of YAML without aliases and with few references says: a chain of either can take all memory.

    Raises:
        UserError: there is no file, it cannot be read, or it has an alias or too many references.
    """
    text = required(path)
    try:
        if text.count("${") > REFERENCES:
            raise ValueError(f"it refers to its own values more than {REFERENCES} times")
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("it has an alias, which no record is written with")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEPTH:
                raise ValueError("nested too deeply")
        return OmegaConf.load(io.StringIO(text))
    except Exception as error:  # of OmegaConf's many
        raise UserError(f"cannot read {path}: {error}", DAMAGED) from error


def required(path: Path) -> str:
    """The content of a file. Raises `UserError` where there is no regular file, or it cannot be read."""
    text = text_of(path)
    if text is None:
        raise UserError(f"cannot read {path}: there is no such file", DAMAGED)
    return text


def _values(container: dict[str, Any] | list[Any]) -> list[Any]:
    return list(container.values()) if isinstance(container, dict) else container
