"""Overrides and options of a command."""

import pytest

from seqtrain.config.arguments import split, take
from seqtrain.errors import UserError

FLAGS = {"--n-best": int, "--file": str, "--json": bool}


def test_overrides_and_options_in_any_order() -> None:
    overrides, options = split(["run=a", "--n-best", "3", "decoding.beam=5", "--json", "--file=x=y", "~tags"], FLAGS)
    assert overrides == ["run=a", "decoding.beam=5", "~tags"]
    assert options == {"n_best": 3, "json": True, "file": "x=y"}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--nbest", "3"], "--nbest: no such option; did you mean --n-best?"),
        (["--n-best"], "--n-best: a value is needed"),
        (["--n-best", "x"], "--n-best x: must be a whole number"),
        (["--json=1"], "--json takes no value"),
        (["a/path"], "a/path: neither KEY=VALUE nor an option"),
    ],
)
def test_mistakes(argv: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        split(argv, FLAGS)


def test_take_gives_the_last_value_and_the_rest() -> None:
    assert take(["run=a", "x=1", "run=b"], "run") == ("b", ["x=1"])
    assert take(["running=a"], "run") == (None, ["running=a"])
