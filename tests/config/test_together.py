"""Keys that exclude or need each other are refused together, before PyTorch is imported."""

import pytest

from seqtrain.config.check import check
from seqtrain.config.compose import compose
from seqtrain.config.together import check_together
from seqtrain.errors import UserError

STREAM = ["data=pairs", "data.streaming=true", "trainer.max_steps=9"]
NODE = "{_target_: seqtrain.decoding.settings.Decoding, beam: 2, n_best: 3}"


def refusal(overrides: list[str]) -> str:
    """Exit code and message for values that are right by themselves; nothing where they are right together too."""
    cfg = compose(overrides)
    check(cfg)
    try:
        check_together(cfg)
    except UserError as error:
        return f"{error.code}: {error}"
    return ""


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer=fsdp"], "trainer=fsdp: spreads the blocks of transformer, but this model has none; use trainer=ddp"),
        (["trainer=fsdp", "model=transformer", "trainer.precision=16-mixed"], "bf16-true or 32-true"),
        (["trainer.strategy=fsdp"], "use trainer=fsdp"),
        (["trainer.strategy=ddp_spawn"], "use trainer.strategy=ddp"),
        (
            ["trainer.strategy=ddp_notebook_find_unused_parameters_true"],
            "use trainer.strategy=ddp_find_unused_parameters_true",
        ),
        (["trainer.strategy=single_xla"], "trainer.strategy=single_xla: is for TPUs"),
        (
            ["trainer.strategy=single_device", "trainer.devices=2"],
            "trainer.devices=2 asks for more; use trainer.strate",
        ),
        (["trainer.strategy=single_device", "trainer.num_nodes=2"], "trainer.num_nodes=2 asks for more"),
        (["trainer=cpu", "trainer.precision=16-mixed"], "set trainer.precision=bf16-mixed"),
        (["model.compile=true"], "this model has nothing that could be compiled; models that have: ntm, transformer"),
        (["decoding.n_best=3"], "decoding.n_best=3 is more than decoding.beam=1"),
        (["decoding=beam", "decoding.n_best=6"], "set decoding.beam=6"),
        ([f"callbacks.bleu.decoding={NODE}"], "decoding.n_best=3 is more than decoding.beam=2"),
        (["callbacks.clipping.value=1"], "callbacks.clipping.norm=1.0; set callbacks.clipping.norm=null too"),
        (["callbacks.clipping.adaptive=0.01"], "callbacks.clipping.norm=1.0; set callbacks.clipping.norm=null too"),
        (
            ["callbacks.clipping.norm=null", "callbacks.clipping.value=1", "callbacks.clipping.adaptive=0.01"],
            "callbacks.clipping.adaptive=0.01: gradients are clipped by adaptive or by value, and"
            " callbacks.clipping.value=1; set callbacks.clipping.value=null too",
        ),
        (
            ["callbacks.clipping.norm=null", "callbacks.clipping.per_parameter=true"],
            "callbacks.clipping.per_parameter=true: needs a norm",
        ),
        (["trainer.gradient_clip_val=0.5"], "set callbacks.clipping.norm=0.5 in its place, or"),
        (["optimizer=sgd", "optimizer.nesterov=true"], "set optimizer.momentum=0.9"),
        (
            ["optimizer=sgd", "optimizer.nesterov=true", "optimizer.momentum=0.9", "optimizer.dampening=0.1"],
            "needs momentum and no dampening",
        ),
        (
            ["callbacks.early_stopping.monitor=val/nll"],
            "callbacks.early_stopping.monitor=val/nll: is more or less of it better? set"
            " callbacks.early_stopping.mode=max or callbacks.early_stopping.mode=min",
        ),
        (["callbacks.checkpoint.mode=min"], "callbacks.checkpoint.mode=min: of which metric?"),
        (["callbacks=[default,averaging]", "callbacks.averaging.monitor=val/nll"], "set callbacks.averaging.mode=max"),
        (
            ["optimizer.foreach=true"],
            "optimizer.foreach=true: not with optimizer.fused=true; set optimizer.fused=false",
        ),
        (
            ["~callbacks.clipping", "trainer.gradient_clip_val=1", "trainer.precision=16-mixed"],
            "set optimizer.fused=false, or clip with callbacks.clipping.norm",
        ),
        (["data.source=en"], "data.source and data.target are both 'en'"),
        (["data=multi30k", "data.target=de"], "data.source and data.target are both 'de'"),
        (["data=pairs", "data.hub=wmt14"], "data.hub=wmt14: is streamed only; set data.streaming=true"),
        (["data=pairs", "data.streaming=true"], "scheduler=cosine has to know the last one; set trainer.max_steps=N"),
        (
            ["trainer.max_epochs=-1"],
            "trainer.max_epochs=-1: scheduler=cosine has to know the last step; set trainer.max_",
        ),
        (
            ["trainer.max_epochs=null", "trainer.max_time=00:01:00:00"],
            "trainer.max_epochs=null: scheduler=cosine has to",
        ),
        (["trainer.max_steps=0"], "trainer.max_steps=0: scheduler=cosine needs a step"),
        ([*STREAM, "data.hub=wmt14", "data.train=a.tsv"], "data.train=a.tsv: the training split is that of data.hub"),
        ([*STREAM, "trainer.val_check_interval=0.5"], "trainer.val_check_interval=0.5: how many steps an epoch"),
        ([*STREAM, "trainer.limit_train_batches=0.5"], "give a number of steps, trainer.limit_train_batches=N"),
    ],
)
def test_what_does_not_go_together(overrides: list[str], message: str) -> None:
    said = refusal(overrides)
    assert said.startswith("2: ")
    assert message in said


def test_all_is_said_at_once() -> None:
    assert len(refusal(["data.source=en", "callbacks.clipping.value=1"]).splitlines()) == 2


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["data=pairs", "data.streaming=true", "trainer.limit_train_batches=100", "trainer.val_check_interval=0.5"],
        ["data=pairs", "data.streaming=true", "debug=fast"],
        ["trainer.max_epochs=-1", "trainer.max_steps=9"],
        ["trainer.max_epochs=-1", "debug=fast"],
        ["trainer.max_epochs=-1", "scheduler=constant"],
        ["trainer.strategy=single_device"],
        ["callbacks=none", "trainer.gradient_clip_val=1"],
        ["~callbacks.clipping", "trainer.gradient_clip_val=1"],
        ["callbacks.clipping.value=1", "callbacks.clipping.norm=null"],
        ["callbacks.clipping.adaptive=0.01", "callbacks.clipping.norm=null"],
        ["optimizer=sgd", "optimizer.nesterov=true", "optimizer.momentum=0.9"],
        ["decoding=beam", "decoding.n_best=5"],
        ["data=pairs", "data.source=en", "data.target=en"],
        ["callbacks.checkpoint.monitor=val/nll", "callbacks.checkpoint.mode=min"],
    ],
)
def test_what_goes_together(overrides: list[str]) -> None:
    assert refusal(overrides) == ""


def test_without_a_compiler_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert "install g++" in refusal(["model=transformer", "model.compile=true"])
