"""Evaluate a trained run: `seqtrain evaluate run=PATH [data=… decoding=beam split=test checkpoint=best]`."""

import json
import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from seqtrain.callbacks.bleu import BLEU
from seqtrain.callbacks.progress import Progress
from seqtrain.commands.summary import shown
from seqtrain.commands.train import quieten_lightning
from seqtrain.config.allow import build
from seqtrain.config.arguments import split, take
from seqtrain.errors import UserError
from seqtrain.runs.files import write_json
from seqtrain.runs.loading import Loaded, load


def main(argv: list[str]) -> int:
    """Prints the metrics of a run's checkpoint as JSON; keeps them, and the texts, in `evaluations/` of the run."""
    logging.basicConfig(level=logging.WARNING, format="seqtrain: %(message)s")
    quieten_lightning()
    overrides, _ = split(argv, {})
    path, overrides = take(overrides, "run")
    checkpoint, overrides = take(overrides, "checkpoint")
    stage, overrides = take(overrides, "split")
    if stage not in (None, "test", "val"):
        raise UserError(f"split={stage}: must be test or val")
    loaded = load(path, overrides, checkpoint=checkpoint or "best")
    evaluate(loaded, stage or "test")
    return 0


def evaluate(loaded: Loaded, stage: str) -> dict[str, Any]:
    """Measures a loaded model on a split of its data; prints and keeps what it finds."""
    loaded.data.setup("test" if stage == "test" else "validate")
    if not loaded.data.has(stage):
        raise UserError(f"the data has no {stage} split", "Evaluate another: split=val or split=test.")
    decoding = build(loaded.config.decoding, "decoding")
    directory = loaded.run.directory / "evaluations" / name(loaded, stage)
    bleu = BLEU(decoding=decoding, directory=str(directory))
    trainer: pl.Trainer = build(
        loaded.config.trainer,
        "trainer",
        callbacks=[bleu, Progress()],
        logger=False,
        default_root_dir=str(directory),
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    measure = trainer.test if stage == "test" else trainer.validate
    measure(loaded.model, datamodule=loaded.data, verbose=False)
    found = {key: float(value) for key, value in trainer.callback_metrics.items()}
    results = {
        "run": str(shown(loaded.run.directory)),
        "checkpoint": loaded.checkpoint.name,
        "step": loaded.step,
        "data": {"fingerprint": loaded.data.fingerprint, "sizes": loaded.data.sizes},
        "metrics": {key: round(value, 4) for key, value in sorted(found.items())},
    }
    if bleu.signatures:
        results |= {"decoding": vars(decoding), "signatures": bleu.signatures}
    write_json(directory / "results.json", results)
    print(json.dumps(results, indent=2, ensure_ascii=False))
    return results


def name(loaded: Loaded, stage: str) -> str:
    """The folder of an evaluation: the data set, the split, the checkpoint and the beam."""
    data = type(loaded.data).__name__.lower()
    return f"{data}-{stage}-{Path(loaded.checkpoint).stem}-beam{loaded.config.decoding.beam}"
