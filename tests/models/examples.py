"""Every recurrent architecture, made tiny, and one batch of every task, whose examples are of several lengths."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from seqtrain.decoding.settings import Decoding
from seqtrain.models.recurrent import RecurrentModel
from seqtrain.tasks.answering import Answering, AnsweringBatch
from seqtrain.tasks.base import Task
from seqtrain.tasks.bits import Bits, BitsBatch
from seqtrain.tasks.labelling import Labelling, LabellingBatch
from seqtrain.tasks.regression import Regression, RegressionBatch
from seqtrain.tasks.transduction import NOT_ASKED, Transduction, TransductionBatch
from seqtrain.tasks.translation import BOS, EOS, PAD, Translation, TranslationBatch

CONF = Path(__file__).parents[2] / "conf" / "model"
WIDTH = 12
"""What sizes are made, where they are more."""


def architecture(name: str) -> tuple[Any, dict[str, Any]]:
    """The class of `model=name` and its options in YAML."""
    options = yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8"))
    options.pop("defaults", None)  # an optimizer and a schedule of its own
    module, _, attribute = options.pop("_target_").rpartition(".")
    return getattr(import_module(module), attribute), options


RECURRENT = [
    path.stem for path in sorted(CONF.glob("*.yaml")) if issubclass(architecture(path.stem)[0], RecurrentModel)
]
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in RECURRENT),
    *(
        (name, {"layer_norm": not options["layer_norm"]})
        for name in RECURRENT
        if "layer_norm" in (options := architecture(name)[1])
    ),
    ("rnn", {"activation": "relu"}),
    ("gru", {"reset": "after"}),
]


def called(variant: tuple[str, dict[str, Any]]) -> str:
    """The name of a variant in the list of tests."""
    name, options = variant
    return ",".join([name, *(f"{key}={value}" for key, value in options.items())])


def tiny(name: str, task: Task, **given: Any) -> Any:
    """A small model without anything random in it, always the same one."""
    kind, options = architecture(name)
    for key, value in options.items():
        if key.endswith("dropout") or key == "label_smoothing":
            options[key] = 0.0
        elif type(value) is int:
            options[key] = min(value, WIDTH)
    torch.manual_seed(0)
    return kind(task=task, **{**options, **given})


def padded(rows: list[list[int]], filler: int = PAD) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [filler] * (longest - len(row)) for row in rows])


def pairs(sources: list[list[int]], targets: list[list[int]]) -> TranslationBatch:
    return TranslationBatch(
        index=torch.arange(len(sources)),
        source=padded([[*row, EOS] for row in sources]),
        source_lengths=torch.tensor([len(row) + 1 for row in sources]),
        target=padded([[BOS, *row, EOS] for row in targets]),
        target_lengths=torch.tensor([len(row) + 1 for row in targets]),
    )


PAIR = Translation(source_vocabulary=12, target_vocabulary=14, shared=False)
JOINT = Translation(source_vocabulary=12, target_vocabulary=12, shared=True)
LABELS = Labelling(vocabulary=6, labels=("no", "yes"))
STEPS = Transduction(vocabulary=5, classes=5)
NUMBERS = Regression(inputs=2)
BITS = Bits(inputs=2, outputs=3)
QUESTIONS = Answering(vocabulary=9, answers=("garden", "kitchen", "office"), answer_words=(3, 6, 7), sentences=3)

SOURCES = [[4, 5, 6], [8], [4, 9, 10], [7, 6, 5, 4]]
TARGETS = [[5, 4], [6, 7, 8, 9], [4], [11, 10, 9]]
TEXTS = [[1, 2], [2, 1, 3, 4, 4], [3, 3, 1], [4]]
STORIES = [[[1, 2]], [[1, 3, 4], [2, 5], [1, 4, 8]], [[2, 6, 7], [1, 2]], [[5]]]
ASKED = [[8, 1], [8, 2], [8, 1, 7], [8]]
SUPPORTS = [[0], [0, 2], [1], []]
ALL = (0, 1, 2, 3)


def translations(rows: Sequence[int] = ALL) -> TranslationBatch:
    return pairs([SOURCES[row] for row in rows], [TARGETS[row] for row in rows])


def strings(rows: Sequence[int] = ALL) -> LabellingBatch:
    labels = torch.tensor([0, 1, 1, 0])[list(rows)]
    return LabellingBatch(torch.tensor(rows), padded([TEXTS[row] for row in rows]), lengths(rows), labels)


def steps(rows: Sequence[int] = ALL) -> TransductionBatch:
    """The token before is asked for."""
    texts = [TEXTS[row] for row in rows]
    targets = padded([[NOT_ASKED, *text[:-1]] for text in texts], NOT_ASKED)
    return TransductionBatch(torch.tensor(rows), padded(texts), lengths(rows), targets)


def numbers(rows: Sequence[int] = ALL) -> RegressionBatch:
    """Behind the numbers stands something that must not be read."""
    inputs = torch.randn(4, 5, 2, generator=torch.Generator().manual_seed(0))[list(rows), : lengths(rows).max()]
    targets = torch.tensor([0.1, 0.7, 0.4, 0.9])[list(rows)]
    return RegressionBatch(torch.tensor(rows), inputs, lengths(rows), targets)


def bits(rows: Sequence[int] = ALL) -> BitsBatch:
    """Behind the sequences stands something that must not be read; bits are asked for at all steps but the first."""
    made = numbers(rows)
    targets = torch.randint(2, (4, 5, 3), generator=torch.Generator().manual_seed(1))[list(rows), : lengths(rows).max()]
    step_T = torch.arange(targets.shape[1])
    asked = (step_T > 0) & (step_T < made.lengths.unsqueeze(1))
    return BitsBatch(made.index, made.inputs, made.lengths, targets.float(), asked)


def questions(rows: Sequence[int] = ALL) -> AnsweringBatch:
    stories, asked = [STORIES[row] for row in rows], [ASKED[row] for row in rows]
    M, W = max(map(len, stories)), max(len(sentence) for story in stories for sentence in story)
    story_BMW = torch.zeros(len(rows), M, W, dtype=torch.long)
    for row, story in enumerate(stories):
        for place, sentence in enumerate(story):
            story_BMW[row, place, : len(sentence)] = torch.tensor(sentence)
    answers, supports = torch.tensor([0, 1, 2, 1])[list(rows)], padded([SUPPORTS[row] for row in rows], -1)
    return AnsweringBatch(torch.tensor(rows), story_BMW, padded(asked), answers, supports)


def lengths(rows: Sequence[int]) -> torch.Tensor:
    return torch.tensor([len(TEXTS[row]) for row in rows])


EXAMPLES: dict[str, tuple[Task, Callable[..., Any]]] = {
    "translation": (PAIR, translations),
    "labelling": (LABELS, strings),
    "transduction": (STEPS, steps),
    "regression": (NUMBERS, numbers),
    "bits": (BITS, bits),
    "answering": (QUESTIONS, questions),
}
"""Task to a task and what makes a batch of it, of some of four examples."""


def overfit(model: Any, batch: Any, *, steps: int, lr: float = 0.03) -> float:
    """The loss on the batch after so many steps on it."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for _ in range(steps):
        loss = model.measure(batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        torch.clear_autocast_cache()  # which holds the weights of before, as long as one context lasts
    loss: float = model.measure(batch).loss.item()
    return loss


@torch.no_grad()
def assert_stepping_is_teaching(model: Any) -> None:
    """Steps of a translator's decoder, its rows in order and reordered, give the logits of teacher forcing."""
    batch = translations()
    decoder, tokens = model.network.decoder, batch.target[:, :-1]
    taught = decoder.output(model.network.teach(batch.source, batch.source_lengths, tokens))
    state = decoder.init_state(model.network.encode(batch.source, batch.source_lengths))
    order = torch.tensor([2, 0, 0, 3])
    for t in range(tokens.shape[1]):
        reordered, _ = decoder.step(tokens[order, t], decoder.reorder_state(state, order))
        logits, state = decoder.step(tokens[:, t], state)
        torch.testing.assert_close(logits, taught[:, t])
        torch.testing.assert_close(reordered, taught[order, t])


def assert_pairs_are_alone(model: Any) -> None:
    """What a translator makes of a sentence pair does not depend on what else is in the batch."""
    together, alone = model.measure(translations()), [model.measure(translations([row])) for row in ALL]
    for key, value in together.sums.items():
        torch.testing.assert_close(value, torch.stack([single.sums[key] for single in alone]).sum(0))


def assert_translations_are_alone(model: Any) -> None:
    """What a translator writes for a sentence does not depend on what else is in the batch."""
    for decoding in (Decoding(max_length=6), Decoding(beam=3, n_best=3, max_length=6)):
        found = model.translate(translations(), decoding)
        for source, hypotheses in zip(SOURCES, found, strict=True):
            (single,) = model.translate(pairs([source], [[]]), decoding)
            assert [h.tokens for h in single] == [h.tokens for h in hypotheses]
            assert [h.score for h in single] == pytest.approx([h.score for h in hypotheses], abs=1e-5)
