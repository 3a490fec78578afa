"""Holds a composed configuration against the constructors that it names, before any of them is imported."""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seqtrain.config.allow import GROUPS, INSTEAD, TARGET, TOP_LEVEL, Group, is_node, permit
from seqtrain.config.names import did_you_mean
from seqtrain.config.places import options
from seqtrain.config.schema import Constructor, constructor
from seqtrain.config.study import KEY as STUDY
from seqtrain.config.study import problems as study_problems
from seqtrain.config.types import Range
from seqtrain.config.values import accepts, describe
from seqtrain.errors import UserError

SETTINGS: Mapping[str, Any] = {
    "seed": Annotated[int, Range(low=0, high=2**32 - 1)],
    "tags": list[str],
    "group": str | None,
    "resume": str | None,
}
"""The keys of a configuration that belong to no group, and their types."""

CHOSEN = ("optimizer", "scheduler")
"""Groups of which recipes set keys that not every option has."""

SEVERAL = "..."
"""Stands for a list of options: Hydra does not say which."""


def check(cfg: DictConfig, choices: Mapping[str, str] | None = None) -> None:
    """Refuses a configuration that names what does not exist or gives a value that is not allowed.

    Args:
        cfg: a composed configuration.
        choices: the option chosen of each group, to name it in messages.

    Raises:
        UserError: every mistake found: the key, its value, what is allowed and the nearest match.
    """
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise UserError("\n".join(f"{key}: a value is needed: {key}=VALUE" for key in missing))
    problems = list(_problems(resolved(cfg), choices or {}))
    if problems:
        raise UserError("\n".join(problems))


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain containers.

    Raises:
        UserError: an interpolation leads nowhere.
    """
    try:
        plain = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        raise UserError(f"{key}: {str(error).splitlines()[0]}" if key else str(error)) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _problems(cfg: Mapping[str, Any], choices: Mapping[str, str]) -> Iterator[str]:
    for key in (*SETTINGS, *TOP_LEVEL):
        if key not in cfg:
            yield f"{key}: is needed, but is not there"
    for key, value in cfg.items():
        if key in TOP_LEVEL:
            label = f"{key}={choices[key]}" if choices.get(key) else key
            yield from _group_problems(key, value, GROUPS[key], label)
        elif key == STUDY:
            yield from study_problems(value)
        elif key not in SETTINGS:
            names = [*SETTINGS, *TOP_LEVEL, STUDY]
            yield f"{key}={_shown(value)}: no such key{did_you_mean(key, names)} Keys: {', '.join(sorted(names))}"
        elif not accepts(value, SETTINGS[key]):
            yield _wrong(key, value, SETTINGS[key])


def _group_problems(key: str, value: Any, group: Group, label: str) -> Iterator[str]:
    if value is None and group.optional:
        return
    if is_node(value):
        yield from _node_problems(key, value, key, label)
    elif not group.many or not isinstance(value, Mapping):
        yield f"{key}={_shown(value)}: must be a mapping with a {TARGET}"
    else:
        for name, node in value.items():
            if is_node(node):
                yield from _node_problems(f"{key}.{name}", node, key, f"{key}.{name}")
            elif node is not None:
                entries = [n for n, other in value.items() if is_node(other)]
                yield _not_one_of_many(key, name, node, entries, label.partition("=")[2] or SEVERAL)


def _not_one_of_many(key: str, name: str, node: Any, names: list[str], chosen: str) -> str:
    there = ", ".join(names) or "none"
    way = way_to_add(key, name, chosen)
    hint = f"; it is added by {way}." if way else did_you_mean(name, names, f"{key}.")
    return f"{key}.{name}={_shown(node)}: no such entry{hint} Entries of {key}: {there}"


def way_to_add(group: str, option: str, chosen: str = "default") -> str:
    """The override that adds an option to the one that is chosen of a group of many; empty where there is none."""
    known = options(group)
    if group not in GROUPS or not GROUPS[group].many or option not in known or chosen not in (*known, SEVERAL):
        return ""
    return f"{group}={option}" if chosen == "none" else f"'{group}=[{chosen},{option}]'"


def _node_problems(key: str, node: Mapping[str, Any], group: str, label: str) -> Iterator[str]:
    target = permit(node[TARGET], group, f"{key}.{TARGET}")
    signature = constructor(target)
    if signature is None:
        yield f"{key}.{TARGET}={target}: no such class is installed"
        return
    supplied = GROUPS[group].supplied
    settable = {name: p for name, p in signature.parameters.items() if name not in supplied}
    for name, value in node.items():
        if name == TARGET:
            continue
        if name in supplied:
            instead = f"; {INSTEAD[name]}" if group == "trainer" and name in INSTEAD else ""
            yield f"{key}.{name}={_shown(value)}: is given by the program and cannot be set{instead}"
        elif name in settable:
            yield from _value_problems(f"{key}.{name}", name, value, settable[name].hint)
        elif not signature.open:
            yield _unknown(key, name, value, list(settable), label)
        elif _holds_node(value):
            yield f"{key}.{name}: no class can be named here"
    yield from _absent(key, node, signature, supplied | GROUPS[group].offered)


def _absent(key: str, node: Mapping[str, Any], signature: Constructor, given: frozenset[str]) -> Iterator[str]:
    for name, parameter in signature.parameters.items():
        if parameter.required and name not in given and name not in node:
            yield f"{key}.{name}: a value is needed, {describe(parameter.hint)}: {key}.{name}=VALUE"


def _value_problems(key: str, name: str, value: Any, hint: Any) -> Iterator[str]:
    if is_node(value) and name in GROUPS:
        yield from _node_problems(key, value, name, key)
    elif _holds_node(value):
        yield f"{key}: no class can be named here"
    elif name in TOP_LEVEL:  # `callbacks.bleu.decoding.beam=4` puts {beam: 4} in the place of ${decoding}
        keys = [f"{name}.{k}={_shown(v)}" for k, v in value.items()] if isinstance(value, Mapping) else []
        yield f"{key}={_shown(value)}: must be a mapping with a {TARGET}; set {' '.join(keys) or f'{name}=OPTION'}"
    elif not accepts(value, hint):
        yield _wrong(key, value, hint)


def _holds_node(value: Any) -> bool:
    if isinstance(value, Mapping):
        return TARGET in value or any(map(_holds_node, value.values()))
    return isinstance(value, list) and any(map(_holds_node, value))


def _unknown(key: str, name: str, value: Any, names: list[str], label: str) -> str:
    return (
        f"{key}.{name}={_shown(value)}: no such key{did_you_mean(name, names, f'{key}.')}"
        f" Keys of {label}: {', '.join(names) or 'none'}"
        + (f"; to leave out what a recipe sets for another than {label}: ~{key}.{name}" if key in CHOSEN else "")
    )


def _wrong(key: str, value: Any, hint: Any) -> str:
    message = f"{key}={_shown(value)}: must be {describe(hint)}"
    if isinstance(value, float) and not math.isfinite(value):
        message += ", and finite"
    if isinstance(value, int | float) and accepts(str(value), hint):
        message += f"; to give a text, quote it: \"{key}='{value}'\""
    return message


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
