"""Measure a trained run on a split of its data, or of other data, and print the result as JSON.

  python -m seqtrain evaluate run=RUN [KEY=VALUE ...]

  run=RUN                       the run's directory, as training printed it; needed; RUN,RUN is an ensemble
  checkpoint=best|last|averaged|PATH
                                which weights; best without it
  split=test|val                what is measured; test without it
  data=NAME, data.KEY=VALUE     another data set of the same task, or another test set: data.test=test_2017_flickr
  decoding=NAME, decoding.KEY=VALUE
                                another search: decoding=beam decoding.beam=10
  trainer.KEY=VALUE             another computation: trainer.accelerator=cpu trainer.precision=32-true

What is not given is as the run was trained, but everything is measured, whatever limits the training had, and on one
device. Of the run's callbacks bleu, buckets, attention_maps and memory_maps measure, set up as they were. Result and
translations are kept in RUN/evaluations/, in a folder of their own for other data, search, weights or trainer settings.
"""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtrain.commands.summary import shown
from seqtrain.config.allow import TARGET, build, to_plain
from seqtrain.config.arguments import split, take
from seqtrain.data.corpora.base import digest_of
from seqtrain.errors import UserError
from seqtrain.runs.chosen import Chosen, choose
from seqtrain.runs.files import write_json

if TYPE_CHECKING:
    from seqtrain.decoding.settings import Decoding
    from seqtrain.runs.loading import Loaded

BLEU = "seqtrain.callbacks.bleu.BLEU"
MEASURING = {
    BLEU: {"save": True},
    "seqtrain.callbacks.buckets.Buckets": {"validation": True},
    "seqtrain.callbacks.attention_maps.AttentionMaps": {},
    "seqtrain.callbacks.memory_maps.MemoryMaps": {},
}
"""The callbacks that measure, and what is not as in the training: everything that is measured is kept."""
CHANGES_NOTHING = ("enable_progress_bar", "log_every_n_steps", "max_epochs", "max_steps", "max_time", "profiler")
"""Settings of the trainer that an evaluation's result does not depend on."""


def main(argv: list[str]) -> int:
    """Prints the metrics of a run's checkpoint as JSON; keeps them, and the texts, in `evaluations/` of the run."""
    logging.basicConfig(level=logging.WARNING, format="seqtrain: %(message)s")
    overrides, _ = split(argv, {})
    asked, overrides = take(overrides, "split")
    stage = asked or "test"
    if stage not in ("test", "val"):
        raise UserError(f"split={stage}: must be test or val")
    chosen = choose(overrides, options=("split",), needed=(stage,))
    decoding: Decoding = build(chosen.config.decoding, "decoding")
    results = evaluate(chosen, decoding, stage)
    if results is not None:
        print(json.dumps(results, indent=2, ensure_ascii=False))
    return 0


def evaluate(chosen: Chosen, decoding: "Decoding", stage: str) -> dict[str, Any] | None:
    """Measures a run's checkpoint on a split (`test`, `val`); keeps what it finds and returns it.

    On several devices only the process that is the first one has a result.
    """
    # What takes seconds to import comes after all that could have been wrong with the arguments.
    from seqtrain.commands.train import quieten_lightning
    from seqtrain.decoding.positions import check_data
    from seqtrain.runs.loading import load

    quieten_lightning()
    loaded = load(chosen)
    loaded.data.setup("test" if stage == "test" else "validate")
    if not loaded.data.has(stage):
        raise UserError(f"the data has no {stage} split", "Evaluate another: split=val or split=test.")
    check_data(loaded.data, loaded.model.network, (stage,))
    directory = folder(loaded, decoding, stage)
    callbacks = measuring(chosen.config.get("callbacks"), decoding, directory)
    found = _measured(loaded, stage, directory, list(callbacks.values()))
    if found is None:
        return None
    results: dict[str, Any] = {
        "run": str(shown(loaded.run.directory)),
        "checkpoint": loaded.checkpoint.name,
        "step": loaded.step,
        **({"ensemble": [[str(shown(file)), step] for file, step in loaded.others]} if loaded.others else {}),
        "split": stage,
        "data": loaded.data.description,
        "metrics": {key: round(value, 4) for key, value in sorted(found.items()) if "_by_" not in key},
    }
    if callbacks[BLEU].signatures:
        results |= {"decoding": vars(decoding), "signatures": callbacks[BLEU].signatures}
    write_json(directory / "results.json", results)
    return results


def measuring(trained: Any, decoding: "Decoding", directory: Path) -> dict[str, Any]:
    """The callbacks that measure, by class: those of the run as they were set up, and BLEU in any case.

    Args:
        trained: the callbacks of the configuration.
        decoding: how they search.
        directory: where they write what they find.
    """
    found = {node[TARGET]: node for node in (to_plain(trained) or {}).values() if node}
    given = {"decoding": decoding, "directory": str(directory)}
    made = {}
    for target, fixed in MEASURING.items():
        if target in found or target == BLEU:
            node = {TARGET: target, **found.get(target, {}), **fixed}
            made[target] = build({k: v for k, v in node.items() if k not in given}, "callbacks", **given)
    return made


def folder(loaded: "Loaded", decoding: "Decoding", stage: str) -> Path:
    """Where an evaluation is kept.

    The name tells data set, split, checkpoint and search, and ends in a hash of everything else that the result depends
    on, so that two evaluations share a folder only if one repeats the other.
    """
    run, weights = loaded.run.directory, loaded.checkpoint.resolve()
    trainer = to_plain(loaded.config.trainer)
    parts = {
        "data": loaded.data.fingerprint,
        "decoding": {key: value for key, value in vars(decoding).items() if key != "too_long"},
        "checkpoint": _within(run, weights),
        "step": loaded.step,
        "others": [(_within(run, file.resolve()), step) for file, step in loaded.others],
        "trainer": {key: value for key, value in trainer.items() if key not in CHANGES_NOTHING},
    }
    identity = digest_of([json.dumps(parts, sort_keys=True).encode()])[:8]
    data = type(loaded.data).__name__.lower()
    which = f"ensemble{1 + len(loaded.others)}" if loaded.others else weights.stem
    how = "sample" if decoding.sample else f"beam{decoding.beam}"
    return run / "evaluations" / f"{data}-{stage}-{which}-{how}-{identity}"


def _within(run: Path, weights: Path) -> str:
    """A checkpoint's path in the run, so that a run that was moved finds its evaluations again."""
    return str(weights.relative_to(run) if weights.is_relative_to(run) else weights)


def _measured(loaded: "Loaded", stage: str, directory: Path, callbacks: list[Any]) -> dict[str, float] | None:
    from seqtrain.callbacks.progress import Progress
    from seqtrain.commands.memory import naming_the_batch
    from seqtrain.commands.processes import make_trainer

    trainer = make_trainer(
        loaded.config.trainer,
        callbacks=[*callbacks, Progress()],
        logger=False,
        default_root_dir=str(directory),
        enable_checkpointing=False,
    )
    measure = trainer.test if stage == "test" else trainer.validate
    with naming_the_batch(loaded.model, loaded.data, loaded.config):
        measure(loaded.model, datamodule=loaded.data, verbose=False)
    if not trainer.is_global_zero:
        return None
    return {key: float(value) for key, value in trainer.callback_metrics.items()}
