"""What Hydra says is said again in one message; multiruns are expanded before they start."""

import contextlib
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from seqtrain.config.compose import compose, compose_job, jobs, parse
from seqtrain.config.directories import quoted
from seqtrain.config.places import Sources
from seqtrain.errors import UserError


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model=gruu", "model=gruu: no such option; did you mean gru? Options of model: "),
        ("modle=gru", "modle: no such key; did you mean model? Keys and groups: "),
        ("hydra/launcher=nope", "hydra/launcher=nope: no such option"),
        ("hydra.nope=1", "hydra.nope: no such key"),
        ("hydra.launcher.time=1:00", "hydra.launcher.time: is there only with launcher=slurm; add launcher=slurm"),
        ("hydra.launcher.tme=1:00", "hydra.launcher.tme: no such key; did you mean hydra.launcher.time? Keys with"),
        ("callbacks@callbacks.ema=ema", "it is chosen by 'callbacks=[default,ema]'"),
        ("optimizer@x.y=sgd", "it is chosen by optimizer=NAME"),
        ("+callbacks=ema", "in its place callbacks=ema, to have it as well 'callbacks=[default,ema]'"),
        ("+model=gru", "something is chosen of model already"),
        ("hydra.job.num=abc", "hydra.job.num=abc"),
        ("gru", "gru: not an override, which is written KEY=VALUE"),
        ("model=[a", "model=[a: cannot be read: "),
        ("data=x=y", "data=x=y: cannot be read: "),
        ("seed=1,2", "seed=1,2: several values; for one run each add -m, for a list write seed=[1,2]"),
        ("+seed=3", "seed"),
        ("data=null", "Config group override must be a string"),
        ("model@x=gru", "model@x"),
    ],
)
def test_one_message_for_each_mistake(override: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        compose([override])
    assert message in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert "None" not in str(caught.value).replace("NoneType", "")


def test_composed_values_need_no_hydra() -> None:
    cfg = compose(["callbacks.bleu.decoding.beam=4", "+model={hidden: 7}", "group=${hydra:runtime.choices.model}"])
    assert cfg.model.hidden == 7
    assert cfg.group == "gru"
    assert "hydra" not in cfg
    assert not HydraConfig.initialized()
    assert OmegaConf.to_container(cfg, resolve=True) == OmegaConf.to_container(cfg, resolve=False)


def test_a_job_knows_its_directory_and_choices() -> None:
    job = compose_job(["hydra.run.dir=a b/c", "optimizer=sgd"])
    assert job.directory == Path("a b/c")
    assert job.choices["optimizer"] == "sgd"
    assert compose_job(["hydra.sweep.dir=s"], number=3).directory == Path("s/3")


def test_keys_that_a_yaml_leaves_out_are_added() -> None:
    job = compose_job(["optimizer.amsgrad=true", "seed=2"])
    assert job.cfg.optimizer.amsgrad is True
    assert job.overrides == ["++optimizer.amsgrad=true", "seed=2"]


def test_jobs_are_the_product_of_the_sweeps() -> None:
    lines = jobs(["seed=1,2", "optimizer=adam,sgd", "model.hidden=range(1,3)", "hydra.sweep.dir=x"])
    assert len(lines) == 8
    assert len({tuple(line) for line in lines}) == 8
    assert all(line[0] == "hydra.sweep.dir=x" for line in lines)
    assert jobs(["seed=3"]) == [["seed=3"]]


def test_a_study_brings_its_own_sweep(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "seeds.yaml").write_text(
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      seed: 1,2,3\n"
    )
    sources = Sources(extra=tmp_path)
    assert compose_job(["study=seeds"], sources).mode == RunMode.MULTIRUN
    assert compose_job([]).mode is None
    assert [line[0] for line in jobs(["study=seeds"], sources)] == ["seed=1", "seed=2", "seed=3"]
    assert jobs(["study=seeds", "seed=7"], sources) == [["seed=7", "study=seeds"]]


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1).filter(lambda t: "${" not in t))
def test_quoted_texts_come_back(text: str) -> None:
    (override,) = parse([f"group={quoted(text)}"])
    assert override.value() == text


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused_in_one_message(text: str) -> None:
    with contextlib.suppress(UserError):
        assert len(parse([text])) == 1
