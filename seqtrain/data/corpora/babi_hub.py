"""bAbI from the Hugging Face hub, or from a local folder that is shaped like facebook/babi_qa."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seqtrain.data.corpora.babi import HINT, parse, splits_of
from seqtrain.data.corpora.base import Split
from seqtrain.data.corpora.hub import HUB_SPLITS, fetched, hub_copy, reachable
from seqtrain.data.corpora.questions import Question
from seqtrain.errors import UserError


class BabiHub:
    """Tasks of bAbI in the layout of facebook/babi_qa: a configuration `en-10k-qa3` for every variant and task.

    An example is a story with its questions, columns of as many entries as it has lines: `id` (the line's number),
    `text`, `answer` (empty for a sentence) and `supporting_ids`.

    Args:
        hub: name on the hub, or a local folder with the same configurations.
        cache: folder in which a copy of what was fetched is kept.
        variant: en, en-10k, en-valid or en-valid-10k.
        tasks: their numbers.

    Raises:
        UserError: in the methods: it cannot be opened, or is of another layout.
    """

    def __init__(self, *, hub: str, cache: str, variant: str, tasks: Sequence[int]) -> None:
        self.hub, self.cache, self.tasks = hub, cache, tasks
        self.splits: tuple[Split, ...] = splits_of(variant)
        self._configs = {task: f"{variant}-qa{task}" for task in tasks}
        self._opened: dict[int, Any] = {}

    def unreachable(self) -> str | None:
        """Why it is out of reach, in a few words, or `None`: it is on the hub, or there is a copy of all tasks."""
        here = Path(self.hub).exists() or all(self._copy(task).exists() for task in self.tasks)
        return None if here else reachable(self.hub)

    def read(self, split: Split) -> list[Question]:
        """The questions of a split."""
        found = []
        for task, config in self._configs.items():
            if task not in self._opened:
                self._opened[task] = fetched(self.hub, copy=self._copy(task), hint=HINT, config=config)
            splits, name = self._opened[task], HUB_SPLITS[split]
            if name not in splits:
                raise UserError(f"{self.hub} has no split {name!r} of {config}, only {', '.join(splits)}", HINT)
            place = f"{self.hub}:{config}:{name}"
            try:
                lines = [line for example in splits[name] for line in _lines(example["story"])]
            except (KeyError, TypeError) as error:
                raise UserError(f"{place} is not of the layout of facebook/babi_qa: {error}", HINT) from error
            found += parse(lines, place, task)
        return found

    def _copy(self, task: int) -> Path:
        return hub_copy(f"{self.hub}/{self._configs[task]}", self.cache)


def _lines(story: Any) -> Iterator[str]:
    """The lines that an example was made of."""
    columns = (story["id"], story["text"], story["answer"], story["supporting_ids"])
    for number, text, answer, facts in zip(*columns, strict=True):
        yield f"{number} {text}\t{answer}\t{' '.join(facts)}" if answer else f"{number} {text}"
