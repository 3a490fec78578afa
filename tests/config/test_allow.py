"""A configuration is untrusted: it names classes of the list, or nothing is imported and nothing runs."""

import sys
from pathlib import Path

import pytest
from omegaconf import ListConfig, OmegaConf

from seqtrain.config.allow import GROUPS, build, build_all, resolve
from seqtrain.config.check import check
from seqtrain.config.compose import compose
from seqtrain.errors import UserError

ATTACKS = [
    "os.system",
    "posix.system",
    "builtins.eval",
    "builtins.exec",
    "torch.load",
    "subprocess.Popen",
    "hydra.utils.instantiate",
    "hydra._internal.utils._locate",
    "seqtrain.models.gru.os.system",
    "seqtrain.models.gru.torch.os.system",
    "seqtrain.models.base.torch.load",
    "seqtrain.models.base.pl.Trainer",
    "seqtrain.models.base.SequenceModel",
    "seqtrain.models.gru.SequenceModel",
    "seqtrain.models.gru.GRU.load_from_checkpoint",
    "seqtrain.models.gru.GRU.__init__",
    "seqtrain.models.gru.__builtins__.eval",
    "seqtrain.models.gru.Translation",
    "seqtrain.models.._x.GRU",
    "seqtrain.models/gru.GRU",
    "seqtrain.models.gru.GRU ",
    "seqtrain.modelsx.gru.GRU",
    "seqtrain.data.multi30k.Multi30k",
    "seqtrain.decoding.settings.Decoding",
    "torch.optim.Adam.__class__",
    "torch.optim.LBFGS",
    "torch.nn.Linear",
    "pytorch_lightning.loggers.wandb.os.system",
    "pytorch_lightning.callbacks.LambdaCallback",
    "",
    ".",
    "GRU",
]


@pytest.mark.parametrize("group", list(GROUPS))
@pytest.mark.parametrize("target", ATTACKS)
def test_what_is_not_on_the_list_is_refused(group: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if target in GROUPS[group].classes or (group, target) == ("data", "seqtrain.data.multi30k.Multi30k"):
        return
    imported: list[str] = []
    monkeypatch.setattr("importlib.import_module", lambda name, package=None: imported.append(name))
    with pytest.raises(UserError, match="not a class that"):
        resolve(target, group)
    with pytest.raises(UserError):
        build({"_target_": target}, group)
    assert imported == []


@pytest.mark.parametrize("target", [["os.system"], {"a": 1}, None, 3])
def test_a_target_is_a_text(target: object) -> None:
    with pytest.raises(UserError):
        build({"_target_": target}, "model")


@pytest.mark.parametrize(
    "override",
    [
        "model._target_=os.system",
        "+model.hidden={_target_: os.system, command: touch owned}",
        "+callbacks.x={_target_: subprocess.Popen, args: [touch, owned]}",
        "+callbacks.x={_target_: seqtrain.callbacks.clipping.os.system, command: touch owned}",
        "+callbacks.bleu.decoding._target_=os.system",
        "+callbacks.bleu.decoding={_target_: builtins.eval, source: 1}",
        "trainer.strategy={_target_: os.system, command: touch owned}",
        "trainer.plugins=[{_target_: os.system, command: touch owned}]",
        "trainer.profiler={_target_: os.system, command: touch owned}",
        "+logger.x={_target_: os.system, command: touch owned}",
        "optimizer.betas=[{_target_: os.system, command: touch owned}]",
        "+model._args_=[1]",
        "+model._partial_=true",
        "+model._recursive_=true",
        "+model._convert_=all",
    ],
)
def test_attacks_through_a_configuration(override: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError):
        check(compose([override]))
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_became_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import seqtrain.models.gru

    monkeypatch.setattr(seqtrain.models.gru, "GRU", print)
    with pytest.raises(UserError, match="is not a SequenceModel"):
        resolve("seqtrain.models.gru.GRU", "model")


def test_a_class_of_the_package_that_is_no_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import seqtrain.callbacks.clipping as clipping

    found = [name for name, value in vars(clipping).items() if isinstance(value, type)]
    assert found
    with pytest.raises(UserError):
        resolve("seqtrain.callbacks.clipping." + found[0], "model")


@pytest.mark.parametrize(
    ("group", "target"),
    [(group, target) for group in GROUPS for target in GROUPS[group].classes if "TensorBoard" not in target]
    + [("model", "seqtrain.models.gru.GRU"), ("data", "seqtrain.data.multi30k.Multi30k")]
    + [("scheduler", "seqtrain.optim.Cosine")],
)
def test_what_is_on_the_list_resolves(group: str, target: str) -> None:
    found = resolve(target, group)
    assert found.__qualname__ == target.rpartition(".")[2]
    assert sys.modules[found.__module__]


def test_build_gives_plain_containers_and_what_the_constructor_takes() -> None:
    import torch

    node = {"_target_": "torch.optim.AdamW", "lr": "${rate}", "betas": [0.5, 0.6]}
    root = OmegaConf.create({"rate": 0.25, "optimizer": node})
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = build(root.optimizer, "optimizer", params=[parameter], unknown=3)
    assert optimizer.defaults["lr"] == 0.25
    assert tuple(optimizer.defaults["betas"]) == (0.5, 0.6)
    assert not isinstance(optimizer.defaults["betas"], ListConfig)


def test_nested_nodes_are_built_by_the_group_of_their_key() -> None:
    node = {
        "bleu": {
            "_target_": "seqtrain.callbacks.bleu.BLEU",
            "decoding": {"_target_": "seqtrain.decoding.settings.Decoding", "beam": 3},
        },
        "off": None,
    }
    (callback,) = build_all(node, "callbacks")
    assert callback.decoding.beam == 3
    node["bleu"]["samples"] = {"_target_": "os.system", "command": "touch owned"}  # type: ignore[index]
    with pytest.raises(UserError, match="no class can be named here"):
        build_all(node, "callbacks")
    assert build_all(None, "callbacks") == build_all({}, "logger") == []
