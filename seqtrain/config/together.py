"""What single values do not show: keys that exclude or need each other, found before PyTorch is imported."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig

from seqtrain.config.allow import TARGET, is_node, to_plain
from seqtrain.config.pair import models_with
from seqtrain.config.source import class_attribute
from seqtrain.config.team import counted
from seqtrain.decoding.settings import Decoding
from seqtrain.errors import UserError

CLIPPING = "seqtrain.callbacks.clipping.GradientClipping"
OURS = "seqtrain.callbacks."
COMPILERS = ("g++", "clang++", "c++")
SHARDED = "seqtrain.strategies.FullySharded"
SHARDED_PRECISIONS = ("32-true", "32", 32, "bf16-mixed", "bf16-true", None)
PAIRS = "seqtrain.data.pairs.Pairs"
FIXED = ("limit_train_batches", "overfit_batches", "fast_dev_run")
"""Keys of the trainer of which each, as a whole number, says how many steps an epoch has."""
COSINE = "seqtrain.optim.Cosine"
UNKNOWN = "how many steps an epoch of a stream has is not known"


def check_together(cfg: DictConfig) -> None:
    """Refuses values that are right by themselves, but not together.

    Args:
        cfg: a checked configuration.

    Raises:
        UserError: every such pair of keys, and what to set.
    """
    plain = to_plain(cfg)
    callbacks = {name: node for name, node in (plain["callbacks"] or {}).items() if is_node(node)}
    problems = [
        *_decoding(plain["decoding"], callbacks),
        *_clipping(callbacks, plain["trainer"].get("gradient_clip_val")),
        *_fused(plain["optimizer"], plain["trainer"]),
        *_monitors(callbacks),
        *_optimizer(plain["optimizer"]),
        *_languages(plain["data"]),
        *_precision(plain["trainer"]),
        *_strategy(plain["trainer"]),
        *_compiling(plain["model"], plain["trainer"]),
        *_sharding(plain["trainer"], plain["model"], callbacks),
        *_streamed(plain["data"], plain["trainer"]),
        *_ending(plain["data"], plain["trainer"], plain["scheduler"] or {}),
    ]
    if problems:
        raise UserError("\n".join(problems))


def _decoding(settings: Mapping[str, Any], callbacks: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    nested = [node["decoding"] for node in callbacks.values() if is_node(node.get("decoding"))]
    for node in [settings, *(other for other in nested if other != settings)]:
        try:
            Decoding(**{key: value for key, value in node.items() if key != TARGET})
        except UserError as error:
            yield str(error)


def _clipping(callbacks: Mapping[str, Mapping[str, Any]], by_trainer: float | None) -> Iterator[str]:
    for name, node in callbacks.items():
        if node[TARGET] != CLIPPING:
            continue
        key, norm = f"callbacks.{name}", node.get("norm", 1.0)
        ways = {"adaptive": node.get("adaptive"), "value": node.get("value"), "norm": norm}
        way, *others = [way for way, limit in ways.items() if limit is not None] or [""]
        for other in others:
            yield (
                f"{key}.{way}={ways[way]}: gradients are clipped by {way} or by {other}, and"
                f" {key}.{other}={ways[other]}; set {key}.{other}=null too"
            )
        if norm is None and node.get("per_parameter"):
            yield f"{key}.per_parameter=true: needs a norm; set {key}.norm=NUMBER"
        if by_trainer:
            yield (
                f"trainer.gradient_clip_val={by_trainer}: gradients would be clipped twice, by {key} as well;"
                f" set {key}.norm={by_trainer} in its place, or leave the callback out: ~{key}"
            )


def _monitors(callbacks: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, node in callbacks.items():
        monitor, mode = node.get("monitor"), node.get("mode")
        # Classes of libraries have a direction of their own.
        if not node[TARGET].startswith(OURS) or (monitor is None) == (mode is None):
            continue
        key = f"callbacks.{name}"
        if mode is None:
            yield f"{key}.monitor={monitor}: is more or less of it better? set {key}.mode=max or {key}.mode=min"
        else:
            yield f"{key}.mode={mode}: of which metric? set {key}.monitor=NAME"


def _optimizer(node: Mapping[str, Any]) -> Iterator[str]:
    if node.get("nesterov") and not (node.get("momentum") and not node.get("dampening")):
        yield "optimizer.nesterov=true: needs momentum and no dampening; set optimizer.momentum=0.9"


def _fused(node: Mapping[str, Any], trainer: Mapping[str, Any]) -> Iterator[str]:
    if not node.get("fused"):
        return
    for other in ("foreach", "differentiable"):
        if node.get(other):
            yield f"optimizer.{other}=true: not with optimizer.fused=true; set optimizer.fused=false too"
    if trainer.get("gradient_clip_val") and trainer.get("precision") in ("16-mixed", 16, "16"):
        yield (
            f"trainer.gradient_clip_val={trainer['gradient_clip_val']}: not in float16 with optimizer.fused=true;"
            " set optimizer.fused=false, or clip with callbacks.clipping.norm"
        )


def _languages(node: Mapping[str, Any]) -> Iterator[str]:
    source = node.get("source")
    # Pairs of files can be in one language, as in simplification; in a corpus it is the same text twice.
    if source is not None and source == node.get("target") and node[TARGET] != PAIRS:
        yield f"data.source and data.target are both {source!r}: they must be two languages"


def _precision(trainer: Mapping[str, Any]) -> Iterator[str]:
    if trainer.get("precision") in ("16-mixed", "16", 16) and trainer.get("accelerator") == "cpu":
        # Lightning would take bfloat16 without more than a warning.
        yield f"trainer.precision={trainer['precision']}: processors have no float16; set trainer.precision=bf16-mixed"


def _strategy(trainer: Mapping[str, Any]) -> Iterator[str]:
    name, devices, nodes = trainer.get("strategy"), trainer.get("devices", "auto"), trainer.get("num_nodes", 1)
    if not isinstance(name, str):
        return
    launched = re.sub("_(spawn|fork|notebook)", "", name)
    if launched != name:
        yield f"trainer.strategy={name}: its processes end with what they have trained; use trainer.strategy={launched}"
    if name.startswith("fsdp"):
        yield f"trainer.strategy={name}: is FSDP's first version, which no model here is made for; use trainer=fsdp"
    if name.endswith("tpu") or "xla" in name:
        yield f"trainer.strategy={name}: is for TPUs, which nothing here is made for; use trainer.strategy=auto"
    if name == "single_device" and (counted(devices) or 1) * nodes > 1:
        several = f"trainer.devices={devices}" if nodes == 1 else f"trainer.num_nodes={nodes}"
        yield f"trainer.strategy=single_device: is one process, but {several} asks for more; use trainer.strategy=ddp"


def _compiling(model: Mapping[str, Any], trainer: Mapping[str, Any]) -> Iterator[str]:
    if not model.get("compile"):
        return
    if not class_attribute(model[TARGET], "compiles"):
        able = ", ".join(name for name, _ in models_with("compiles"))
        yield f"model.compile=true: this model has nothing that could be compiled; models that have: {able}"
    elif not any(map(shutil.which, filter(None, (os.environ.get("CXX", "").split(" ")[0], *COMPILERS)))):
        yield (
            "model.compile=true: needs a C++ compiler, and there is none; install g++, or name one by the environment's"
            " CXX"
        )
    if _is_sharded(trainer):
        yield "model.compile=true: not with trainer=fsdp; use trainer=ddp"


def _is_sharded(trainer: Mapping[str, Any]) -> bool:
    strategy = trainer.get("strategy")
    return isinstance(strategy, Mapping) and strategy.get(TARGET) == SHARDED


def _sharding(
    trainer: Mapping[str, Any], model: Mapping[str, Any], callbacks: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    if not _is_sharded(trainer):
        return
    if not class_attribute(model[TARGET], "blocks"):
        able = ", ".join(name for name, _ in models_with("blocks"))
        yield f"trainer=fsdp: spreads the blocks of {able}, but this model has none; use trainer=ddp"
    if trainer.get("precision") not in SHARDED_PRECISIONS:
        yield (
            f"trainer.precision={trainer['precision']}: not with trainer=fsdp; set trainer.precision=bf16-mixed,"
            " bf16-true or 32-true"
        )
    for name, node in callbacks.items():
        if node[TARGET].rpartition(".")[2] == "StochasticWeightAveraging":
            yield f"callbacks.{name}: averages a whole model, which trainer=fsdp has not; use callbacks.averaging"


def _streamed(node: Mapping[str, Any], trainer: Mapping[str, Any]) -> Iterator[str]:
    hub = node.get("hub")
    if not node.get("streaming"):
        if node[TARGET] == PAIRS and hub is not None:
            yield f"data.hub={hub}: is streamed only; set data.streaming=true"
        return
    if hub is not None and node.get("train") is not None:
        yield f"data.train={node['train']}: the training split is that of data.hub={hub}; leave one of them out"
    if _has_known_steps(node, trainer):
        return
    for key in ("limit_train_batches", "overfit_batches", "val_check_interval"):
        share = trainer.get(key)
        if isinstance(share, float) and share not in (0.0, 1.0):
            yield f"trainer.{key}={share}: {UNKNOWN}; give a number of steps, trainer.{key}=N"


def _has_known_steps(node: Mapping[str, Any], trainer: Mapping[str, Any]) -> bool:
    return not node.get("streaming") or any(trainer.get(key) and isinstance(trainer[key], int) for key in FIXED)


def _ending(node: Mapping[str, Any], trainer: Mapping[str, Any], scheduler: Mapping[str, Any]) -> Iterator[str]:
    """A schedule that goes down to the training's last step, in one that has none."""
    steps, epochs = trainer.get("max_steps", -1), trainer.get("max_epochs")
    if scheduler.get(TARGET) != COSINE or trainer.get("fast_dev_run") or steps > 0:
        return
    if steps == 0:
        yield "trainer.max_steps=0: scheduler=cosine needs a step; set trainer.max_steps=N, or scheduler=constant"
    elif not _has_known_steps(node, trainer):
        yield (
            f"data.streaming=true: {UNKNOWN}, and scheduler=cosine has to know the last one; set trainer.max_steps=N,"
            " or trainer.limit_train_batches=N for epochs of N steps"
        )
    elif epochs == -1 or (epochs is None and trainer.get("max_time") is not None):
        yield (
            f"trainer.max_epochs={'null' if epochs is None else epochs}: scheduler=cosine has to know the last step;"
            " set trainer.max_epochs=N or trainer.max_steps=N, or another scheduler=NAME"
        )
