"""Pictures of what a translation or an answer looked at: attention weights with words or sentences on the axes."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from seqtrain.callbacks.gathering import gathered
from seqtrain.callbacks.showing import log_pictures
from seqtrain.config.types import Positive
from seqtrain.decoding.settings import Decoding
from seqtrain.runs.figures import save
from seqtrain.tasks.answering import AnsweringBatch, most_probable
from seqtrain.tasks.base import Batch
from seqtrain.tasks.translation import BOS, EOS, TranslationBatch

log = logging.getLogger(__name__)

INCHES = 0.26
"""The side of a cell."""
LETTER = 0.08
"""Inches that a letter takes beside a panel."""
SHORT = 10
"""Letters that there is room for in any case."""
COLUMNS = 3
"""Panels beside each other, at most."""
LONGEST = 100
"""Pieces on a side, at most: a picture of more would take gigabytes."""


@dataclass(frozen=True)
class Map:
    """The attention of one translation or answer.

    Attributes:
        weights: (L, T, S) mean over the heads of each decoder layer; row t is what was looked at to write piece t. Of
            an answer, (1, M, K): column k is what hop k looked at.
        source: S pieces; or names of K hops.
        target: T pieces; or M sentences.
        about: what stands above, below the title.
    """

    weights: np.ndarray
    source: list[str]
    target: list[str]
    about: str = ""


class AttentionMaps(pl.Callback):
    """Draws the attention weights of some translations of the test set, as Bahdanau 2014 (figure 3) does, or of some
    answers.

    Outside of training it takes a few examples of the split, evenly spread over it and so always the same. It
    translates them and asks the network for `attention(source, lengths, tokens)`, (B, L, N, T, S) weights of L layers
    and N heads, under its own translation: a picture an example, with a panel a layer, the mean over its heads. Of a
    network that answers it asks `read(story, question)`, logits (B, A) and the weights (B, K, M) of the story's
    sentences in K hops: a column a hop, a row a sentence, those that the answer follows from with a dot.

    The files are `figures/attention-INDEX.png` (of validation `attention-val-INDEX.png`), where INDEX is the example's
    number, from 0. W&B gets them as `test/attention`. Examples of more than 100 pieces on a side are passed over. On
    other tasks, and for networks without attention, it does nothing.

    Args:
        examples: how many.
        decoding: how to search; `None` is greedy.
        directory: the run's directory; `None` is the trainer's `default_root_dir`.
    """

    def __init__(
        self, *, examples: Positive = 4, decoding: Decoding | None = None, directory: str | None = None
    ) -> None:
        super().__init__()
        self.examples = examples
        self.decoding = decoding or Decoding()
        self.directory = directory
        self._chosen: set[int] = set()
        self._maps: dict[int, Map] = {}

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Chooses the examples."""
        self._maps, self._chosen = {}, set()
        if trainer.state.fn != "fit" and (kind := _kind(pl_module)):
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            split = _split(trainer)
            size = len(data.sources(split)) if kind == "translation" else data.sizes[split]
            self._chosen = {i * size // self.examples for i in range(self.examples)}

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
        """Translates or answers those that are in the batch."""
        rows = [row for row, index in enumerate(batch.index.tolist()) if index in self._chosen] if self._chosen else []
        if dataloader_idx == 0 and rows:
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            chosen = _rows(batch, rows)
            with torch.inference_mode(), trainer.precision_plugin.forward_context():
                if _kind(pl_module) == "translation":
                    self._maps |= maps(pl_module, chosen, self.decoding, data)
                else:
                    self._maps |= answer_maps(pl_module.network, chosen, data)

    on_test_batch_end = on_validation_batch_end

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draws."""
        if not self._chosen:
            return
        found, self._maps = gathered(trainer, self._maps), {}
        if not trainer.is_global_zero:
            return
        split = _split(trainer)
        folder = Path(self.directory or trainer.default_root_dir) / "figures"
        paths = []
        for index, shown in sorted(found.items()):
            if max(shown.weights.shape[1:]) > LONGEST:
                log.info("no attention map of %s %d: more than %d pieces on a side", split, index, LONGEST)
                continue
            paths.append(folder / (f"attention-{index}.png" if split == "test" else f"attention-{split}-{index}.png"))
            title = f"{type(pl_module).__name__}, {split} {index}"
            draw(paths[-1], shown, title="\n".join(filter(None, [title, shown.about])))
        if paths:
            log_pictures(trainer, f"{split}/attention", paths)

    on_test_epoch_end = on_validation_epoch_end


def maps(model: Any, batch: TranslationBatch, decoding: Decoding, data: Any) -> dict[int, Map]:
    """Translates a batch; the attention of every translation by the sentence's `index`.

    Args:
        model: has `translate(batch, decoding)`, and a `network` with `attention`.
        batch: source sentences; targets are not looked at.
        decoding: how to search.
        data: has `source_tokenizer` and `target_tokenizer`, with `pieces(ids)`.
    """
    written = [[*hypotheses[0].tokens, EOS] for hypotheses in model.translate(batch, decoding)]
    tokens = [torch.tensor([BOS, *ids[:-1]]) for ids in written]
    tokens_BT = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True).to(batch.source.device)
    weights_BLNTS = model.network.attention(batch.source, batch.source_lengths, tokens_BT).float()
    weights_BLTS = weights_BLNTS.mean(2).cpu().numpy()
    found = {}
    for row, (index, length) in enumerate(zip(batch.index.tolist(), batch.source_lengths.tolist(), strict=True)):
        found[index] = Map(
            weights=weights_BLTS[row, :, : len(written[row]), :length],
            source=data.source_tokenizer.pieces(batch.source[row, :length].tolist()),
            target=data.target_tokenizer.pieces(written[row]),
        )
    return found


def answer_maps(network: Any, batch: AnsweringBatch, data: Any) -> dict[int, Map]:
    """Answers a batch; what was attended to, by the question's `index`.

    Args:
        network: has `read(story, question)`: logits (B, A) and weights of sentences (B, K, M).
        batch: questions with their stories.
        data: has `words`, by their ids, and `task` with `answers`.
    """
    probability_B, best_B, hops_BKM = most_probable(network, batch.story, batch.question)
    assert hops_BKM is not None
    words, answers = data.words, data.task.answers

    def text(ids: torch.Tensor) -> str:
        return " ".join(words[i] for i in ids.tolist() if i)

    found = {}
    for row, index in enumerate(batch.index.tolist()):
        supports, right = batch.supports[row].tolist(), int(batch.answers[row])
        story = [f"{'• ' if m in supports else ''}{text(ids)}" for m, ids in enumerate(batch.story[row]) if ids.any()]
        given, known = answers[int(best_B[row])], "" if right < 0 else answers[right]
        found[index] = Map(
            weights=hops_BKM[row, :, : len(story)].T.unsqueeze(0).cpu().numpy(),
            source=[f"hop {k}" for k in range(1, hops_BKM.shape[1] + 1)],
            target=story,
            about=f"{text(batch.question[row])}? {given} ({float(probability_B[row]):.2f})"
            + ("" if given == known else f", wrong: {known or 'an answer that is not in training'}"),
        )
    return found


def draw(path: Path, shown: Map, *, title: str = "") -> None:
    """Writes a PNG: a panel a layer, source pieces or hops on top, the translation or the story downwards.

    Black is 0, white the panel's largest weight, which is written below it.

    Raises:
        UserError: the file cannot be written.
    """
    # Here, as nothing else needs it.
    from matplotlib.figure import Figure

    layers, target, source = shown.weights.shape
    columns = min(layers, COLUMNS)
    rows = -(-layers // columns)
    longest = max(map(len, shown.target), default=0)
    wide = columns * (INCHES * source + 1.3 + LETTER * max(0, longest - SHORT))
    size = (max(wide, LETTER * len(shown.about)), rows * (INCHES * target + 1.5))
    figure = Figure(figsize=size, layout="constrained", dpi=100)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes in panels[layers:]:
        axes.remove()
    for layer, axes in enumerate(panels[:layers]):
        most = float(shown.weights[layer].max())
        axes.imshow(shown.weights[layer], cmap="gray", vmin=0, vmax=most, aspect="equal")
        _label(axes.xaxis, shown.source, rotation=90)
        _label(axes.yaxis, shown.target)
        axes.xaxis.tick_top()
        axes.set_xlabel(f"layer {layer}, white: {most:.2f}" if layers > 1 else f"white: {most:.2f}")
    figure.suptitle(title, **({"fontsize": "medium"} if shown.about else {}))
    save(figure, path)


def _label(axis: Any, pieces: Sequence[str], **options: Any) -> None:
    # A piece may be a dollar sign, which is no formula.
    axis.set_ticks(range(len(pieces)), pieces, fontsize=8, parse_math=False, **options)


def _kind(module: pl.LightningModule) -> str | None:
    """The task, where its network says what it attends to."""
    task, network = getattr(module, "task", None), getattr(module, "network", None)
    name = getattr(task, "name", None)
    attends = {"translation": "attention", "answering": "read"}
    return name if name in attends and hasattr(network, attends[name]) else None


def _rows(batch: Batch, rows: Sequence[int]) -> Any:
    tensors = {f.name: getattr(batch, f.name) for f in fields(batch)}
    return replace(batch, **{name: value[list(rows)] for name, value in tensors.items()})


def _split(trainer: pl.Trainer) -> str:
    return "test" if trainer.testing else "val"
