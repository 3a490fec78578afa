"""What can be set of a class: its constructor's parameters with their types, read from source without importing it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal, Union

from seqtrain.config import types
from seqtrain.config.ranges import known_types
from seqtrain.config.source import Definition, base_classes, find_class, reference

OWN = "seqtrain"
"""The package whose constructors name everything that they take."""

_PLAIN: dict[str, Any] = {
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "Path": str,
    "list": list,
    "List": list,
    "Sequence": list,
    "Iterable": list,
    "tuple": tuple,
    "Tuple": tuple,
    "dict": dict,
    "Dict": dict,
    "Mapping": dict,
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a constructor: its name, its type and whether it must be given."""

    name: str
    hint: Any
    required: bool


@dataclass(frozen=True)
class Constructor:
    """The parameters of a class.

    Attributes:
        target: dotted name of the class.
        parameters: by name, in the order of the signature.
        open: whether further keywords are taken that the source does not name.
    """

    target: str
    parameters: dict[str, Parameter] = field(default_factory=dict)
    open: bool = False


@cache
def constructor(target: str) -> Constructor | None:
    """The constructor of a class given by its dotted name, or None where no such class is found."""
    found = find_class(target)
    if found is None:
        return None
    parameters, is_open = _parameters(found)
    known = known_types(target)
    typed = {p.name: Parameter(p.name, known.get(p.name, p.hint), p.required) for p in parameters}
    return Constructor(target, typed, is_open)


def hint(node: ast.expr | None, module: str) -> Any:
    """The type that an annotation in a module stands for; `Any` for whatever is not a plain type."""
    if isinstance(node, ast.Constant):
        return _constant_hint(node, module)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return Union[hint(node.left, module), hint(node.right, module)]  # noqa: UP007
    if isinstance(node, ast.Subscript):
        return _subscript_hint(node, module)
    if isinstance(node, ast.Name | ast.Attribute):
        return _named_hint(node, module)
    return Any


def _constant_hint(node: ast.Constant, module: str) -> Any:
    if node.value is None:
        return type(None)
    if isinstance(node.value, str):
        try:
            return hint(ast.parse(node.value, mode="eval").body, module)
        except SyntaxError:
            return Any
    return Any


def _named_hint(node: ast.Name | ast.Attribute, module: str) -> Any:
    name = node.id if isinstance(node, ast.Name) else node.attr
    if name in _PLAIN:
        return _PLAIN[name]
    found = reference(module, node) if module.split(".")[0] == OWN else None
    if found is None or not isinstance(found.node, ast.expr):
        return Any
    if found.module == types.__name__:
        return getattr(types, found.name)
    return hint(found.node, found.module)


def _subscript_hint(node: ast.Subscript, module: str) -> Any:
    base = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
    items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if base == "Literal":
        try:
            return Literal[tuple(ast.literal_eval(item) for item in items)]
        except ValueError:
            return Any
    if base == "Annotated":
        limits = [value for value in map(_range, items[1:]) if value is not None]
        inner = hint(items[0], module)
        return Annotated[(inner, *limits)] if limits else inner
    if base == "Optional":
        return Union[hint(items[0], module), None]  # noqa: UP007
    if base == "Union":
        return Union[tuple(hint(item, module) for item in items)]  # noqa: UP007
    container = _PLAIN.get(base)
    if container is list:
        return list[hint(items[0], module)]  # type: ignore[misc]
    if container is tuple:
        return tuple[tuple(Ellipsis if _is_ellipsis(item) else hint(item, module) for item in items)]  # type: ignore[misc]
    if container is dict and len(items) == 2:
        return dict[str, hint(items[1], module)]  # type: ignore[misc]
    return Any


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is Ellipsis


def _range(node: ast.expr) -> types.Range | None:
    if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Range":
        try:
            return types.Range(
                *map(ast.literal_eval, node.args), **{str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
            )
        except (ValueError, TypeError):
            return None
    return None


def _parameters(found: Definition) -> tuple[list[Parameter], bool]:
    for place in (found, *base_classes(found)):
        assert isinstance(place.node, ast.ClassDef)
        init = next((n for n in place.node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
        if init is not None:
            return _of_function(place, init)
        if _is_dataclass(place.node):
            return list(_of_dataclass(place)), False
    return [], False


def _of_function(place: Definition, init: ast.FunctionDef) -> tuple[list[Parameter], bool]:
    arguments = init.args
    positional = [*arguments.posonlyargs, *arguments.args][1:]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    pairs = [*zip(positional, defaults, strict=False), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    own = [Parameter(a.arg, hint(a.annotation, place.module), default is None) for a, default in pairs]
    if arguments.kwarg is None:
        return own, False
    inherited, is_open = _inherited(place)
    names = {parameter.name for parameter in own}
    return [*own, *(p for p in inherited if p.name not in names)], is_open


def _inherited(place: Definition) -> tuple[list[Parameter], bool]:
    is_own = place.module.split(".")[0] == OWN
    for base in base_classes(place):
        parameters, _ = _parameters(base)
        return parameters, not is_own
    return [], not is_own


def _is_dataclass(node: ast.ClassDef) -> bool:
    names = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
    return any(getattr(name, "id", getattr(name, "attr", "")) == "dataclass" for name in names)


def _of_dataclass(found: Definition) -> Iterator[Parameter]:
    fields: dict[str, Parameter] = {}
    for place in reversed([found, *base_classes(found)]):
        assert isinstance(place.node, ast.ClassDef)
        for node in place.node.body if _is_dataclass(place.node) else ():
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                if "ClassVar" in ast.unparse(node.annotation):
                    continue
                name = node.target.id
                fields[name] = Parameter(name, hint(node.annotation, place.module), node.value is None)
    yield from fields.values()
