"""Constructors are read from source: real ones of the libraries, and ones written here."""

import importlib
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Literal

import pytest

from seqtrain.config import source
from seqtrain.config.schema import constructor
from seqtrain.config.types import Positive, PositiveFloat, Range
from seqtrain.config.values import accepts, describe

EXAMPLES = """
    from dataclasses import dataclass
    from typing import Annotated, Any, ClassVar, Literal, Optional, Union
    import seqtrain.config.types as t
    from seqtrain.config.types import Positive, Range
    from torch import Tensor

    Side = Literal["left", "right"]

    class Base:
        tasks: ClassVar[tuple[str, ...]] = ("labelling",)

        def __init__(self, *, width: Positive, depth: int = 1) -> None: ...

    class Child(Base):
        def __init__(self, *, side: Side = "left", depth: "Positive" = 2, **options: Any) -> None: ...

    class Heir(Child):
        pass

    class Wide:
        def __init__(
            self,
            first,
            rate: t.Positive | None,
            names: list[str],
            pair: tuple[float, float] = (0.0, 1.0),
            table: Optional[dict[str, int]] = None,
            tensor: Tensor | None = None,
            either: Union[bool, str] = True,
            bounded: Annotated[int, Range(low=2, high=4)] = 3,
        ) -> None: ...

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        kind: ClassVar[str] = "settings"
        beam: Positive = 1
        name: str

    def function(x): ...
"""


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of the same name rules as the project's, importable and never imported."""
    package = tmp_path / "examples_of_constructors"
    package.mkdir()
    (package / "__init__.py").write_text("from .things import Child as Renamed\nraise RuntimeError('imported')\n")
    (package / "things.py").write_text(dedent(EXAMPLES) + "raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("seqtrain.config.schema.OWN", package.name)
    for cached in (source.module_file, source.module_tree, constructor):
        cached.cache_clear()
    importlib.invalidate_caches()
    return package.name


def _hints(target: str) -> dict[str, object]:
    found = constructor(target)
    assert found is not None
    return {name: parameter.hint for name, parameter in found.parameters.items()}


def test_types_come_from_annotations(examples: str) -> None:
    hints = _hints(f"{examples}.things.Wide")
    assert hints["rate"] == Positive | None
    assert hints["names"] == list[str]
    assert hints["pair"] == tuple[float, float]
    assert hints["table"] == dict[str, int] | None
    assert hints["either"] == bool | str
    assert hints["bounded"] == Annotated[int, Range(low=2, high=4)]
    assert accepts(object(), hints["first"])
    assert accepts(object(), hints["tensor"])


def test_options_are_those_of_the_base(examples: str) -> None:
    found = constructor(f"{examples}.things.Child")
    assert found is not None
    assert not found.open
    assert {name: p.required for name, p in found.parameters.items()} == {"side": False, "depth": False, "width": True}
    assert found.parameters["side"].hint == Literal["left", "right"]
    assert found.parameters["depth"].hint == Positive


def test_a_class_without_constructor_has_its_base_s_and_reexports_are_followed(examples: str) -> None:
    assert _hints(f"{examples}.things.Heir") == _hints(f"{examples}.things.Child") == _hints(f"{examples}.Renamed")


def test_dataclass_fields_are_parameters(examples: str) -> None:
    found = constructor(f"{examples}.things.Settings")
    assert found is not None
    assert {name: p.required for name, p in found.parameters.items()} == {"beam": False, "name": True}


@pytest.mark.parametrize(
    "name", ["things.function", "things.Nothing", "nothing.Child", "things.Child.tasks", "..Child"]
)
def test_what_is_no_class_has_no_constructor(examples: str, name: str) -> None:
    assert constructor(f"{examples}.{name}") is None


def test_class_attributes_are_inherited(examples: str) -> None:
    assert source.class_attribute(f"{examples}.things.Heir", "tasks") == ("labelling",)
    assert source.class_attribute(f"{examples}.things.Settings", "tasks") is None


def test_library_constructors() -> None:
    adam = _hints("torch.optim.Adam")
    assert adam["lr"] == PositiveFloat
    assert adam["amsgrad"] is bool
    trainer = _hints("pytorch_lightning.Trainer")
    assert not accepts(-2, trainer["max_epochs"])
    assert accepts("bf16-mixed", trainer["precision"])
    assert not accepts("bf17", trainer["precision"])
    stopping = constructor("pytorch_lightning.callbacks.EarlyStopping")
    assert stopping is not None
    assert stopping.parameters["monitor"].required


def test_precisions_are_lightning_s() -> None:
    from typing import get_args

    from lightning_fabric.connector import _PRECISION_INPUT

    from seqtrain.config.ranges import TRAINER

    def leaves(hint: object) -> set[object]:
        arguments = get_args(hint)
        return set().union(*map(leaves, arguments)) if arguments else {hint}

    ours = leaves(TRAINER["precision"]) - {type(None)}
    assert ours <= leaves(_PRECISION_INPUT)


def test_nothing_is_imported() -> None:
    code = (
        "import sys; from seqtrain.config.schema import constructor;"
        "assert constructor('torch.optim.Adam') and constructor('pytorch_lightning.Trainer');"
        "print([m for m in ('torch', 'pytorch_lightning') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (bool, [True], [1, "true", None]),
        (int, [1, -1], [True, 1.0, "1"]),
        (float, [1, 0.5], [True, "1e-3", None, float("inf")]),
        (str, [""], [1, None]),
        (PositiveFloat, [1, 1e-9], [0, -1.0, float("nan"), True]),
        (Literal["a", 1], ["a", 1], [True, "b", 1.0]),
        (list[int], [[], [1, 2]], [[1.0], "12", 1]),
        (tuple[int, int], [[1, 2], (1, 2)], [[1], [1, 2, 3]]),
        (tuple[int, ...], [[], [1, 2, 3]], [["a"]]),
        (dict[str, int], [{}, {"a": 1}], [{"a": "b"}, {1: 1}, []]),
        (int | None, [None, 3], ["3"]),
    ],
)
def test_accepts(hint: object, good: list[object], bad: list[object]) -> None:
    assert [value for value in good if not accepts(value, hint)] == []
    assert [value for value in bad if accepts(value, hint)] == []


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (Positive | None, "a whole number of at least 1 or null"),
        (PositiveFloat, "a number above 0"),
        (Annotated[float, Range(low=0, below=1)], "a number of at least 0 and below 1"),
        (Annotated[int, Range(low=0, high=2**32)], "a whole number from 0 to 4294967296"),
        (Literal["a", None], "one of a, null"),
        (tuple[int, int], "a list of 2: a whole number, a whole number"),
        (list[str], "a list, each item a text"),
    ],
)
def test_describe(hint: object, words: str) -> None:
    assert describe(hint) == words
