"""What overrides let a search choose from."""

from functools import cache

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from seqtrain.config.compose import compose
from seqtrain.errors import UserError
from seqtrain.sweep.space import Space

default = cache(lambda: compose([]))


def space(*overrides: str) -> Space:
    return Space.of(OverridesParser.create().parse_overrides(list(overrides)), default())


@pytest.mark.parametrize(
    ("override", "distribution"),
    [
        ("optimizer.lr=tag(log,interval(1e-4,1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        # Whether 0.5 lies between 0 and 1 is the constructor's to say.
        ("model.hidden=tag(log,interval(8,64))", IntDistribution(8, 64, log=True)),
        ("model.dropout=interval(0,1)", FloatDistribution(0, 1)),
        ("model.dropout=int(interval(0,1))", IntDistribution(0, 1)),
        ("model.hidden=interval(8,64.5)", FloatDistribution(8, 64.5)),
        ("model.hidden=range(16,64,16)", IntDistribution(16, 48, step=16)),
        ("model.hidden=range(48,0,-16)", IntDistribution(16, 48, step=16)),
        ("model.hidden=choice(32,64)", CategoricalDistribution((32, 64))),
        ("model.bidirectional=true,false", CategoricalDistribution((True, False))),
        ("group='a,b',c,null", CategoricalDistribution(("'a,b'", "c", "null"))),
    ],
)
def test_a_sweep_is_a_distribution(override: str, distribution: BaseDistribution) -> None:
    (swept,) = space(override).swept.values()
    assert swept.distribution == distribution


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr=tag(lgo,interval(1e-4,1e-2))", "lgo: no such tag"),
        ("model.hidden=tag(log,choice(1,2))", "only an interval can have a logarithmic scale"),
        ("optimizer.lr=tag(log,interval(0,1))", "optimizer.lr=tag(log,interval(0,1)): "),
        ("optimizer.lr=interval(2,1)", "optimizer.lr=interval(2,1): "),
        ("model.hidden=range(3,3)", "model.hidden=range(3,3): "),
    ],
)
def test_what_cannot_be_searched_is_refused(override: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        space(override)
    assert message in str(caught.value)


def test_of_two_overrides_of_a_key_the_last_counts() -> None:
    found = space("seed=choice(1,2)", "model.hidden=8", "seed=3", "++model.hidden=choice(8,9)", "data=brackets")
    assert found.fixed == ["seed=3", "data=brackets"]
    assert found.overrides({"model.hidden": 9}) == ["++model.hidden=9"]


def test_edges_are_looked_at_one_after_another() -> None:
    found = space("optimizer.lr=interval(0.1,0.2)", "model.hidden=choice(1,2,3)")
    assert [list(values.values()) for _, values in found.at_the_edges()] == [[0.1, 1], [0.2, 1], [0.1, 2], [0.1, 3]]
    assert [name for name, _ in found.at_the_edges()][-1] == "model.hidden=choice(1,2,3)"
