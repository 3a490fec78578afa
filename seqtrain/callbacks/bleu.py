"""BLEU and chrF in validation and test, by sacreBLEU, with the texts that they were computed from."""

import contextlib
import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from seqtrain.callbacks.gathering import gathered
from seqtrain.callbacks.showing import SAME, log_buckets, log_pictures
from seqtrain.config.types import NonNegative
from seqtrain.decoding.positions import cut, longest
from seqtrain.decoding.settings import Decoding
from seqtrain.errors import UserError
from seqtrain.runs.cutting import file_name
from seqtrain.runs.figures import draw_by_length
from seqtrain.runs.files import write_json, write_text
from seqtrain.runs.scores import METRICS, Score, buckets, by_length, metric, score, words

log = logging.getLogger(__name__)

Row = tuple[str, str, str]
"""Source, reference and hypothesis."""


class BLEU(pl.Callback):
    """Translates every validation and test batch and scores the detokenised text (Papineni 2002, Post 2018).

    Logs `val/bleu` (cased, 13a), `val/bleu_lc` (lowercased) and `val/chrf` (Popović 2015), the same with `test/`, in
    time for checkpoints and early stopping to go by them. It runs whenever Lightning validates:
    `trainer.check_val_every_n_epoch`, `trainer.val_check_interval`.

    Outside of training it also logs the 95 % bootstrap interval of each, `test/bleu_mean` ± `test/bleu_ci`, and BLEU
    and chrF by the source sentence's length in words: `test_by_length/bleu_10-19`, `buckets.json` as `Buckets` writes
    it, and a picture, `figures/bleu_by_length.png`, which W&B gets as `test/bleu_by_length`. It warns of translations
    that were ended for their length.

    The texts are saved in `hypotheses/`: `val-STEP.txt` of the best and of the last validation of a training,
    `test.txt` (or `val.txt`) of one outside of it, and `.source.txt` and `.reference.txt` of both;
    `sacrebleu hypotheses/test.reference.txt -i hypotheses/test.txt` gives the number that was logged.

    The model has `translate(batch, decoding)`, the data module `target_tokenizer`, `sources(split)` and
    `references(split)`; batches have `index`, by which a sentence that two ranks were given counts once. On tasks
    other than translation, and in Lightning's sanity check, it does nothing.

    Args:
        decoding: how to search; `None` is greedy.
        samples: rows of the table of source, reference and hypothesis in W&B.
        save: whether texts, results by length and picture are saved.
        resamples: of the bootstrap; 0 leaves the intervals out.
        edges: the lengths that buckets begin at; `None` cuts their range into eight at most, of equal width.
        directory: the run's directory; `None` is the trainer's `default_root_dir`.

    Attributes:
        signatures: sacreBLEU's signature of every metric, from the first evaluation on.

    Raises:
        UserError: edges that do not ascend, or a single resample.
    """

    def __init__(
        self,
        *,
        decoding: Decoding | None = None,
        samples: NonNegative = 20,
        save: bool = True,
        resamples: NonNegative = 1000,
        edges: list[int] | None = None,
        directory: str | None = None,
    ) -> None:
        super().__init__()
        if edges is not None and sorted(set(edges)) != list(edges):
            raise UserError(f"callbacks.bleu.edges={edges}: must ascend", "Each is where a bucket begins.")
        if resamples == 1:
            raise UserError("callbacks.bleu.resamples=1: no interval can be found by it", "Allowed: 0, and 2 or more.")
        self.decoding = decoding or Decoding()
        self.samples = samples
        self.save = save
        self.resamples = resamples
        self.edges = edges
        self.directory = directory
        self.signatures: dict[str, str] = {}
        self._decoded: dict[int, tuple[str, int]] = {}  # text and tokens of a translation, by the sentence's position
        self._best: tuple[float, str] | None = None
        self._last: str | None = None

    def state_dict(self) -> dict[str, Any]:
        """Which files hold the best and the last validation's texts."""
        return {"best": self._best, "last": self._last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with them."""
        self._best, self._last = state_dict["best"], state_dict["last"]

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forgets an evaluation that did not come to its end."""
        self._decoded = {}

    on_test_start = on_validation_start

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Decodes the batch."""
        if dataloader_idx != 0 or not _applies(trainer, pl_module):
            return
        with torch.inference_mode(), trainer.precision_plugin.forward_context():
            found: Any = pl_module.translate(batch, self.decoding)  # type: ignore[operator]
        tokenizer = trainer.datamodule.target_tokenizer  # type: ignore[attr-defined]
        for index, hypotheses in zip(batch.index.tolist(), found, strict=True):
            tokens = hypotheses[0].tokens
            self._decoded[index] = (_line(tokenizer.decode(tokens)), len(tokens))

    on_test_batch_end = on_validation_batch_end

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Scores, logs and saves the validation set's translations."""
        self._evaluate(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Scores, logs and saves the test set's translations."""
        self._evaluate(trainer, pl_module, "test")

    def _evaluate(self, trainer: pl.Trainer, pl_module: pl.LightningModule, split: str) -> None:
        if not _applies(trainer, pl_module):
            return
        decoded, self._decoded = gathered(trainer, self._decoded), {}
        if not decoded:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        sources, references = data.sources(split), data.references(split)
        # A trainer with limited batches decodes a part of the split: everything else must be the same part.
        rows = [(_line(sources[i]), _line(references[i]), decoded[i][0]) for i in sorted(decoded)]
        scores = self._score(rows, resamples=0 if trainer.state.fn == "fit" else self.resamples)
        logged: dict[str, Any] = {name: found.score for name, found in scores.items()}
        for name, found in scores.items():
            if found.ci is not None:
                logged |= {f"{name}_mean": found.mean, f"{name}_ci": found.ci}
        for name, value in logged.items():
            options: dict[str, Any] = {"prog_bar": name == "bleu", "on_step": False, "on_epoch": True, "batch_size": 1}
            pl_module.log(f"{split}/{name}", value, **options, **SAME)
        if trainer.is_global_zero:
            if self.save:
                self._write(trainer, split, rows, scores["bleu"].score)
            self._show(trainer, split, rows)
            self._warn(trainer, pl_module, [length for _, length in decoded.values()])
        if trainer.state.fn != "fit":
            self._by_length(trainer, pl_module, split, rows, scores["bleu"].score, lengths=[*map(words, sources)])

    def _warn(self, trainer: pl.Trainer, pl_module: pl.LightningModule, lengths: list[int]) -> None:
        """Says what was ended for its length; not in training, where a model has to learn first to come to an end."""
        network = getattr(pl_module, "network", None)
        count = sum(length + 1 >= longest(self.decoding, network) for length in lengths)
        if count and trainer.state.fn != "fit":
            log.warning("%s", cut(count, self.decoding, network))

    def _score(self, rows: list[Row], *, resamples: int) -> dict[str, Score]:
        hypotheses, references = [row[2] for row in rows], [row[1] for row in rows]
        scores = {name: score(metric(name), hypotheses, references, resamples=resamples) for name in METRICS}
        signatures = {name: found.signature for name, found in scores.items()}
        if not self.signatures:
            _announce(signatures)
        self.signatures = signatures
        return scores

    def _by_length(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        split: str,
        rows: list[Row],
        bleu: float,
        *,
        lengths: list[int],
    ) -> None:
        inside = buckets(lengths, self.edges)
        if len(inside) < 2:
            return
        sources, references, hypotheses = zip(*rows, strict=True)
        found = by_length(sources, references, hypotheses, inside, resamples=self.resamples)
        log_buckets(pl_module, split, "length", found)
        if not trainer.is_global_zero or not self.save:
            return
        folder = Path(self.directory or trainer.default_root_dir)
        write_json(folder / file_name(split), {"length": found})
        picture = folder / "figures" / ("bleu_by_length.png" if split == "test" else f"bleu_by_length-{split}.png")
        draw_by_length(picture, found, whole=bleu, title=f"{type(pl_module).__name__}, {split}")
        log_pictures(trainer, f"{split}/bleu_by_length", [picture])

    def _write(self, trainer: pl.Trainer, split: str, rows: list[Row], bleu: float) -> None:
        folder = Path(self.directory or trainer.default_root_dir) / "hypotheses"
        name = f"{split}-{trainer.global_step}.txt" if trainer.state.fn == "fit" else f"{split}.txt"
        columns = {f"{split}.source.txt": 0, f"{split}.reference.txt": 1, name: 2}
        for file, column in columns.items():
            write_text(folder / file, "".join(row[column] + "\n" for row in rows))
        if trainer.state.fn == "fit":
            self._keep(folder, name, bleu)

    def _keep(self, folder: Path, name: str, bleu: float) -> None:
        """Removes the validation file that is neither the best nor the last any more."""
        before = {self._last, self._best[1] if self._best else None} - {None}
        if self._best is None or bleu > self._best[0]:
            self._best = (bleu, name)
        self._last = name
        for old in before - {self._best[1], self._last}:
            with contextlib.suppress(FileNotFoundError):
                (folder / str(old)).unlink()

    def _show(self, trainer: pl.Trainer, split: str, rows: list[Row]) -> None:
        count = min(self.samples, len(rows))
        chosen = [rows[i * len(rows) // count] for i in range(count)]
        for logger in trainer.loggers if chosen else ():
            if isinstance(logger, WandbLogger):
                table = [list(row) for row in chosen]
                logger.log_table(
                    f"{split}/samples",
                    columns=["source", "reference", "hypothesis"],
                    data=table,
                    step=_log_step(trainer),
                )


def _applies(trainer: pl.Trainer, pl_module: pl.LightningModule) -> bool:
    task = getattr(pl_module, "task", None)
    return not trainer.sanity_checking and getattr(task, "name", None) == "translation"


def _line(text: str) -> str:
    """`text` as one line of a file, with nothing at its end that the `sacrebleu` command would strip."""
    return text.replace("\r", " ").replace("\n", " ").rstrip()


def _log_step(trainer: pl.Trainer) -> int:
    # Lightning logs what validation found under the step that was taken last, counted from 0.
    return max(trainer.global_step - 1, 0) if trainer.state.fn == "fit" else trainer.global_step


@rank_zero_only
def _announce(signatures: dict[str, str]) -> None:
    for name, signature in signatures.items():
        log.info("%s: %s", name, signature)
