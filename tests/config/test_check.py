"""Composed configurations are held against the constructors that they name."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from seqtrain.config.check import check
from seqtrain.config.compose import compose, compose_job
from seqtrain.config.pair import check_pair, models_for
from seqtrain.config.places import conf_directory, groups, options
from seqtrain.config.together import check_together
from seqtrain.errors import UserError

EVERY_OPTION = [(group, option) for group in groups() for option in options(group)]


def refusal(*overrides: str) -> str:
    def composed_and_checked() -> None:
        job = compose_job(list(overrides))
        check(job.cfg, job.choices)

    with pytest.raises(UserError) as caught:
        composed_and_checked()
    assert caught.value.code == 2
    return str(caught.value)


@pytest.mark.parametrize(("group", "option"), EVERY_OPTION, ids=[f"{g}={o}" for g, o in EVERY_OPTION])
def test_every_yaml_composes_and_is_right(group: str, option: str) -> None:
    pair = [f"{name}={value}" for name, value in zip(("model", "data"), option.split("-"), strict=False)]
    job = compose_job([*(pair if group == "recipe" else []), f"{group}={option}"])
    if OmegaConf.missing_keys(job.cfg):
        with pytest.raises(UserError, match="a value is needed"):
            check(job.cfg, job.choices)
    else:
        check(job.cfg, job.choices)
    first = (conf_directory() / group / f"{option}.yaml").read_text().splitlines()[0]
    assert first.startswith("# ")
    assert options(group)[option]


def test_unknown_key_names_the_nearest_and_all() -> None:
    message = refusal("model.hiden=300")
    assert "model.hiden=300: no such key; did you mean model.hidden? Keys of model=gru: " in message
    assert "label_smoothing" in message
    assert "task" not in message.partition("Keys of")[2].split(": ")[1].split(", ")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr=abc", "optimizer.lr='abc': must be a number above 0"),
        ("optimizer.lr=0", "optimizer.lr=0: must be a number above 0"),
        ("optimizer.lr='1e-3'", "optimizer.lr='1e-3': must be a number above 0"),
        ("optimizer.betas=[0.9,1.0]", "optimizer.betas=[0.9, 1.0]: must be a list of 2"),
        ("model.dropout=1", "model.dropout=1: must be a number of at least 0 and below 1"),
        ("model.hidden=3.5", "model.hidden=3.5: must be a whole number of at least 1"),
        ("model.bidirectional=1", "model.bidirectional=1: must be true or false"),
        ("model.reset=befor", "model.reset='befor': must be one of before, after"),
        ("trainer.max_epochs=-2", "trainer.max_epochs=-2: must be a whole number of at least -1 or null"),
        ("trainer.max_epoch=2", "trainer.max_epoch=2: no such key; did you mean trainer.max_epochs?"),
        ("seed=-1", "seed=-1: must be a whole number from 0 to 4294967295"),
        ("seed=null", "seed=null: must be a whole number"),
        ("group=5", "to give a text, quote it: \"group='5'\""),
        ("tags=a", "tags='a': must be a list, each item a text"),
        ("+sed=1", "sed=1: no such key; did you mean seed?"),
        ("++a.b=1", "a={'b': 1}: no such key"),
        ("~seed", "seed: is needed"),
        ("~model", "model: is needed"),
        ("+model.task=3", "model.task=3: is given by the program and cannot be set"),
        ("+data.seed=3", "data.seed=3: is given by the program and cannot be set"),
        ("+trainer.callbacks=[]", "trainer.callbacks=[]: is given by the program and cannot be set"),
        ("callbacks.blue.samples=3", "callbacks.blue={'samples': 3}: no such entry; did you mean callbacks.bleu?"),
        ("callbacks.ema.decay=0.9", "no such entry; it is added by 'callbacks=[default,ema]'. Entries of callbacks: "),
        ("+callbacks@callbacks.ema=ema", "no such entry; it is added by 'callbacks=[default,ema]'. Entries"),
        ("model.hidden=???", "model.hidden: a value is needed"),
        ("model.hidden=${nope}", "nope"),
        ("~model.hidden.x", "model.hidden.x"),
        ("optimizer.lr=inf", "optimizer.lr=inf: must be a number above 0, and finite"),
        ("optimizer.lr=nan", "optimizer.lr=nan: must be a number above 0, and finite"),
        ("callbacks.bleu.decoding.beam=0", "set decoding.beam=0"),
        ("callbacks.bleu.decoding.bem=3", "set decoding.bem=3"),
        ("callbacks.bleu.decoding=abc", "callbacks.bleu.decoding='abc': must be a mapping with a _target_"),
        ("callbacks.bleu.decoding=null", "callbacks.bleu.decoding=null: must be a mapping with a _target_"),
        ("trainer.plugins=[]", "trainer.plugins=[]: is given by the program and cannot be set"),
        ("trainer.use_distributed_sampler=true", "is given by the program and cannot be set"),
        ("trainer.enable_model_summary=true", "is given by the program and cannot be set"),
        ("trainer.enable_checkpointing=false", "cannot be set; without checkpoints: ~callbacks.checkpoint"),
        ("trainer.enable_progress_bar=false", "cannot be set; without it: ~callbacks.progress"),
        ("trainer.barebones=true", "is given by the program and cannot be set"),
        ("trainer.accelerator=gpus", "trainer.accelerator='gpus': must be one of auto, cpu, gpu, cuda, mps"),
        ("trainer.strategy=dpp", "trainer.strategy='dpp': must be one of auto, ddp, "),
        ("trainer.profiler=fast", "trainer.profiler='fast': must be one of simple, advanced, pytorch or null"),
        ("trainer.devices=0", "trainer.devices=0: must be one of auto, -1 or a whole number of at least 1 or "),
        ("trainer.devices=all", "trainer.devices='all': must be one of auto, -1 "),
        ("trainer.devices=[-2]", "trainer.devices=[-2]: must be "),
        ("trainer.max_time='10:00'", "trainer.max_time='10:00': must be a time as DD:HH:MM:SS or a mapping"),
        ("trainer.max_time={hour: 1}", "trainer.max_time={'hour': 1}: must be a time as DD:HH:MM:SS"),
        ("trainer.precision=fp16", "trainer.precision='fp16': must be one of 32-true, "),
        ("trainer.deterministic=no", "trainer.deterministic='no': must be true or false or warn or null"),
        ("trainer.accelerator=tpu", "trainer.accelerator='tpu': must be one of auto, cpu, gpu, cuda, mps"),
        ("trainer.val_check_interval=0", "trainer.val_check_interval=0: must be a whole number of at least 1 or "),
        ("trainer.val_check_interval=0.0", "trainer.val_check_interval=0.0: must be "),
        ("trainer.limit_train_batches=0", "trainer.limit_train_batches=0: must be a whole number of at least 1 or "),
        ("data.vocabulary=7", "data.vocabulary=7: must be a whole number of at least 8"),
    ],
)
def test_mistakes(override: str, message: str) -> None:
    assert message in refusal(override)


@pytest.mark.parametrize(("chosen", "way"), [("none", "callbacks=ema"), ("[bleu,buckets]", "'callbacks=[...,ema]'")])
def test_a_callback_is_added_to_those_that_are_chosen(chosen: str, way: str) -> None:
    assert f"added by {way}. Entries of" in refusal(f"callbacks={chosen}", "callbacks.ema.decay=0.9")


def test_a_missing_value_is_asked_for() -> None:
    stopping = "+callbacks.stop={_target_: pytorch_lightning.callbacks.EarlyStopping}"
    assert "callbacks.stop.monitor: a value is needed, a text" in refusal(stopping)


def test_every_mistake_is_said_at_once() -> None:
    assert len(refusal("model.hidden=0", "optimizer.lr=-1", "seed=x").splitlines()) == 3


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("optimizer.lr=1", "optimizer.lr", 1),
        ("optimizer.lr=1e-3", "optimizer.lr", 0.001),
        ("optimizer.amsgrad=true", "optimizer.amsgrad", True),
        ("trainer.limit_val_batches=0.5", "trainer.limit_val_batches", 0.5),
        ("trainer.limit_val_batches=3", "trainer.limit_val_batches", 3),
        ("trainer.profiler=simple", "trainer.profiler", "simple"),
        ("trainer.devices=[0]", "trainer.devices", [0]),
        ("trainer.max_time=00:01:00:00", "trainer.max_time", "00:01:00:00"),
        ("trainer.max_time={hours: 1.5}", "trainer.max_time", {"hours": 1.5}),
        ("trainer.accelerator=gpu", "trainer.accelerator", "gpu"),
        ("trainer.strategy=ddp_find_unused_parameters_true", "trainer.strategy", "ddp_find_unused_parameters_true"),
        ("trainer.devices=auto", "trainer.devices", "auto"),
        ("trainer.devices=2", "trainer.devices", 2),
        ("trainer.devices=-1", "trainer.devices", -1),
        ("trainer.devices='0,1'", "trainer.devices", "0,1"),
        ("trainer.devices='1,'", "trainer.devices", "1,"),
        ("trainer.precision=bf16-mixed", "trainer.precision", "bf16-mixed"),
        ("trainer.deterministic=warn", "trainer.deterministic", "warn"),
        ("trainer.val_check_interval=0.25", "trainer.val_check_interval", 0.25),
        ("data.vocabulary=8", "data.vocabulary", 8),
        ("tags=[a,b]", "tags", ["a", "b"]),
        ("callbacks.bleu=null", "callbacks.bleu", None),
        ("~callbacks.bleu", "callbacks.bleu", None),
        ("logger=none", "logger", {}),
        ("+model={hidden: 7}", "model.hidden", 7),
    ],
)
def test_what_a_constructor_takes_can_be_set(override: str, key: str, value: Any) -> None:
    cfg = compose([override])
    check(cfg)
    assert OmegaConf.select(cfg, key) == value


def test_numbers_in_yaml_are_numbers(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("a: 1e-3\nb: 5e-4\nc: .5\n")
    assert OmegaConf.to_container(OmegaConf.load(file)) == {"a": 1e-3, "b": 5e-4, "c": 0.5}
    assert compose(["optimizer.lr=1e-3"]).optimizer.lr == 1e-3


def test_a_pair_that_cannot_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    job = compose_job(["model=gru", "data=multi30k"])
    check_pair(job.cfg, job.choices)
    real = {"seqtrain.models.gru.GRU": ("answering",)}
    from seqtrain.config import pair

    attribute = pair.class_attribute
    monkeypatch.setattr(pair, "class_attribute", lambda target, name: real.get(target) or attribute(target, name))
    with pytest.raises(UserError) as caught:
        check_pair(job.cfg, job.choices)
    message = str(caught.value)
    assert message.startswith(
        "model=gru does answering, but data=multi30k is translation; models that do translation: "
    )
    assert "\n" not in message


def test_models_are_found_by_task() -> None:
    assert "gru" in models_for("translation")
    assert "gru" in models_for("labelling")
    assert list(models_for("no such task")) == []


def test_the_names_of_strategies_are_lightning_s() -> None:
    from typing import get_args

    from pytorch_lightning.strategies import StrategyRegistry

    from seqtrain.config.ranges import Strategy

    assert set(get_args(Strategy)) == {"auto", *StrategyRegistry.available_strategies()}


def test_a_paper_s_recipe_is_what_is_chosen() -> None:
    job = compose_job(["experiment=cho2014"])
    check(job.cfg, job.choices)
    check_together(job.cfg)
    assert job.choices["data"] == "multi30k"
    assert job.cfg.optimizer == {
        "_target_": "torch.optim.Adadelta",
        "lr": 1.0,
        "rho": 0.95,
        "eps": 1e-6,
        "weight_decay": 0.0,
    }
    assert (job.cfg.model.hidden, job.cfg.model.embedding, job.cfg.model.bidirectional) == (1000, 100, False)
    assert job.cfg.model.dropout == 0.0
    assert job.cfg.model.tie_embeddings is False
    assert compose(["experiment=cho2014", "model.hidden=8"]).model.hidden == 8


def test_what_a_recipe_sets_for_another_schedule_is_named_with_the_way_out() -> None:
    message = refusal("model=memn2n", "data=babi_sim", "scheduler=constant")
    way_out = [line.partition("scheduler=constant: ~")[2] for line in message.splitlines()]
    assert way_out == ["scheduler.after", "scheduler.every"]
    job = compose_job(["model=memn2n", "data=babi_sim", "scheduler=constant", *(f"~{key}" for key in way_out)])
    check(job.cfg, job.choices)
