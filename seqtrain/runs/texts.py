"""The translations that an evaluation left behind, with their sources and references. Imports no torch."""

import shlex
from dataclasses import dataclass

from seqtrain.errors import UserError
from seqtrain.runs.records import RunRecord


class DifferentTextsError(UserError):
    """Systems translated different sentences."""


@dataclass(frozen=True)
class Texts:
    """What one system made of a test set.

    Attributes:
        name: what it is called.
        sources: source sentences.
        references: their translations, by people.
        hypotheses: their translations, by the system.
    """

    name: str
    sources: list[str]
    references: list[str]
    hypotheses: list[str]


def read_texts(record: RunRecord, name: str, split: str) -> Texts:
    """Reads what the callback `bleu` wrote in a run's own test, or in an evaluation.

    Args:
        record: the run or the evaluation.
        name: what the system is to be called.
        split: `test` or `val`.

    Raises:
        UserError: there is nothing of that split, or the files do not belong together.
    """
    parts = (".source", ".reference", "")
    texts = {f"{split}{part}.txt": record.source.text(f"hypotheses/{split}{part}.txt") for part in parts}
    if None in texts.values():
        raise UserError(
            f"{record.place} has no translations of the {split} split",
            f"Make them: python -m seqtrain evaluate run={shlex.quote(record.place)} split={split}",
        )
    columns = [_lines(text or "") for text in texts.values()]
    if len({len(column) for column in columns}) > 1:
        counts = ", ".join(f"{file} {len(column)}" for file, column in zip(texts, columns, strict=True))
        raise UserError(
            f"{record.place}/hypotheses has files of different lengths: {counts} lines", "Evaluate the run again."
        )
    return Texts(name, *columns)


def require_same(first: Texts, other: Texts) -> None:
    """Two systems can be compared only on the same sentences.

    Raises:
        DifferentTextsError: sources or references differ; the message says where first.
    """
    for what in ("sources", "references"):
        ours, theirs = getattr(first, what), getattr(other, what)
        if len(ours) != len(theirs):
            raise _different(first, other, f"the {what} are {len(ours)} sentences and {len(theirs)}")
        differing = [i for i, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]]
        if differing:
            line = differing[0]
            raise _different(
                first,
                other,
                f"{len(differing)} of {len(ours)} {what} differ, first in line {line + 1}:"
                f" {ours[line]!r} and {theirs[line]!r}",
            )


def _different(first: Texts, other: Texts, how: str) -> DifferentTextsError:
    return DifferentTextsError(
        f"{first.name} and {other.name} cannot be compared: {how}",
        "Evaluate both on the same data: python -m seqtrain evaluate run=RUN data.KEY=VALUE.",
    )


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []  # a text may hold other signs that end a line
