"""Settings of what Hydra makes: plain values, held against a dataclass by its source."""

from collections.abc import Mapping
from typing import Any

from seqtrain.config.allow import TARGET
from seqtrain.config.names import did_you_mean
from seqtrain.config.schema import constructor
from seqtrain.config.values import accepts, describe
from seqtrain.errors import UserError


def checked(target: str, given: Mapping[str, Any], *, key: str, others: tuple[str, ...] = ()) -> dict[str, Any]:
    """The values of a dataclass's fields, from a node of the configuration.

    Args:
        target: dotted name of the dataclass.
        given: the node.
        key: the node's key, for messages.
        others: what else may stand in it.

    Raises:
        UserError: every value that is missing or not allowed, and every key that there is not.
    """
    found = constructor(target)
    assert found is not None
    problems = []
    for name in given:
        if name not in (*found.parameters, *others, TARGET):
            near = did_you_mean(name, found.parameters, f"{key}.")
            problems.append(
                f"{key}.{name}={given[name]!r}: no such key{near} Keys of {key}: {', '.join(found.parameters)}"
            )
    for name, parameter in found.parameters.items():
        if not accepts(given.get(name), parameter.hint):
            problems.append(f"{key}.{name}={given.get(name)!r}: must be {describe(parameter.hint)}")
    if problems:
        raise UserError("\n".join(problems))
    return {name: given.get(name) for name in found.parameters}
