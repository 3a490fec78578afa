"""bAbI as a data module: stories, questions and their answers."""

from collections.abc import Sequence
from typing import Any, Literal

from seqtrain.data.answering import AnsweringData
from seqtrain.data.corpora.babi import BabiSource, open_babi
from seqtrain.data.corpora.base import Split
from seqtrain.data.corpora.questions import Question, TaskNumber


class Babi(AnsweringData):
    """One of the twenty bAbI tasks (Weston et al. 2015), several or all: their questions are mixed.

    Args:
        task: its number, a list of several, or `all`.
        variant: `en` has 1,000 training questions a task, `en-10k` 10,000; those with `valid` have a validation split
            of their own.
        root: the folder tasks_1-20_v1-2 or its archive; without it `data/babi` if there is one, else the hub.
        hub: data set on the hub, or a local folder of its layout.
        cache: folder in which a copy of what the hub gave is kept.
        options: those of `AnsweringData`.
    """

    def __init__(
        self,
        *,
        task: Literal["all"] | TaskNumber | Sequence[TaskNumber] = 1,
        variant: Literal["en", "en-10k", "en-valid", "en-valid-10k"] = "en-10k",
        root: str | None = None,
        hub: str = "facebook/babi_qa",
        cache: str = "data/cache",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._where: dict[str, Any] = {"task": task, "variant": variant, "root": root, "hub": hub, "cache": cache}
        self._source: BabiSource | None = None

    def prepare_data(self) -> None:
        """Reads, and fetches what only the hub has, before other processes do."""
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Reads all splits, once."""
        super().setup(stage)
        self._source = None  # an archive's content

    def questions(self, split: Split) -> list[Question]:
        """Those of the folder, the archive or the hub's copy."""
        self._source = self._source or open_babi(**self._where)
        return self._source.read(split) if split in self._source.splits else []
