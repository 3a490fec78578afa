"""Finds classes in source files without importing the modules that they stand in.

Only the top-level package is looked up by `importlib`, which imports nothing; from there on files are found by name and
read with `ast`. That is what lets a mistake in a configuration show itself before PyTorch is imported.
"""

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Definition:
    """Where a name is defined.

    Attributes:
        module: dotted name of the module.
        name: the name there.
        node: the class statement, or the expression that is assigned to the name.
    """

    module: str
    name: str
    node: ast.AST


@cache
def module_file(module: str) -> Path | None:
    """The source file of a dotted module name, or None where there is none."""
    top, *rest = module.split(".")
    if not all(part.isidentifier() for part in (top, *rest)):
        return None
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for location in spec.submodule_search_locations or ():
        place = Path(location, *rest)
        for file in (place / "__init__.py", place.with_name(place.name + ".py")):
            if file.is_file():
                return file
    return None


@cache
def module_tree(module: str) -> ast.Module | None:
    """The parsed source of a module, or None where there is none or it does not parse."""
    file = module_file(module)
    if file is None:
        return None
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return None


def docstring(module: str) -> str:
    """The docstring of a module, or an empty text."""
    tree = module_tree(module)
    return (ast.get_docstring(tree) or "") if tree else ""


def defined_class(module: str, name: str) -> ast.ClassDef | None:
    """The class that a module itself defines at its top level; what it imports from elsewhere does not count."""
    tree = module_tree(module)
    found = [node for node in (tree.body if tree else []) if isinstance(node, ast.ClassDef) and node.name == name]
    return found[-1] if found else None


def definition(module: str, name: str) -> Definition | None:
    """Where a name that a module offers is defined; re-exports are followed."""
    return _definition(module, name, frozenset())


def find_class(target: str) -> Definition | None:
    """The class that a dotted name leads to, or None."""
    module, _, name = target.rpartition(".")
    found = definition(module, name) if module else None
    return found if found and isinstance(found.node, ast.ClassDef) else None


def reference(module: str, node: ast.expr) -> Definition | None:
    """Where a name or a dotted name, as it is written in a module, is defined."""
    if isinstance(node, ast.Name):
        return definition(module, node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        package = _imported_module(module, node.value.id)
        return definition(package, node.attr) if package else None
    return None


def base_classes(found: Definition) -> Iterator[Definition]:
    """The classes that a class derives from, nearest first, as far as their source is found."""
    assert isinstance(found.node, ast.ClassDef)
    for base in found.node.bases:
        parent = reference(found.module, base.value if isinstance(base, ast.Subscript) else base)
        if parent and isinstance(parent.node, ast.ClassDef):
            yield parent
            yield from base_classes(parent)


def class_attribute(target: str, name: str) -> object:
    """The literal that a class, or the nearest of its bases, assigns to an attribute; None where there is none."""
    found = find_class(target)
    for place in (found, *base_classes(found)) if found else ():
        assert isinstance(place.node, ast.ClassDef)
        for node in place.node.body:
            value = _assigned(node, name)
            if value is not None:
                try:
                    return ast.literal_eval(value)
                except ValueError:
                    return None
    return None


def _assigned(node: ast.stmt, name: str) -> ast.expr | None:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    if any(isinstance(target, ast.Name) and target.id == name for target in targets):
        assert isinstance(node, ast.Assign | ast.AnnAssign)
        return node.value
    return None


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _statements(node.body)
            yield from _statements(node.orelse)


def _definition(module: str, name: str, seen: frozenset[tuple[str, str]]) -> Definition | None:
    tree = module_tree(module)
    if tree is None or (module, name) in seen:
        return None
    seen |= {(module, name)}
    for node in _statements(tree.body):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return Definition(module, name, node)
        value = _assigned(node, name)
        if value is not None:
            return Definition(module, name, value)
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _definition(_absolute(module, node), alias.name, seen)
    return None


def _absolute(module: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    file = module_file(module)
    up = node.level - 1 if file and file.name == "__init__.py" else node.level
    parts = module.split(".")[: len(module.split(".")) - up]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _imported_module(module: str, name: str) -> str | None:
    tree = module_tree(module)
    for node in _statements(tree.body if tree else []):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname == name or (alias.asname is None and alias.name == name):
                    return alias.name
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return f"{_absolute(module, node)}.{alias.name}"
    return None
