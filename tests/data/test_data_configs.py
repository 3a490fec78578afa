"""Every data set's YAML names its class's parameters, all of them, with the defaults that the class has."""

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml

CONF = Path(__file__).parents[2] / "conf"
NAMES = sorted(file.stem for file in (CONF / "data").glob("*.yaml"))


def parameters(target: type) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for cls in reversed(target.__mro__):
        if "__init__" in vars(cls) and cls.__module__.startswith("seqtrain."):
            own = inspect.signature(cls.__init__).parameters.values()
            if not any(p.kind is p.VAR_KEYWORD for p in own):
                known = {}
            known |= {p.name: p.default for p in own if p.kind is p.KEYWORD_ONLY}
    return known


@pytest.mark.parametrize("name", NAMES)
def test_every_key_is_listed_with_its_default(name: str) -> None:
    text = (CONF / "data" / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# ")
    config = yaml.safe_load(text)
    module, _, attribute = config.pop("_target_").rpartition(".")
    known = parameters(getattr(importlib.import_module(module), attribute))
    del known["seed"]
    if name == "captions":  # a small corpus needs fewer subwords and smaller batches than the base class has
        for key in ("vocabulary", "batch_tokens"):
            del known[key], config[key]
    assert config == known
