"""The translations that an evaluation left behind, with their sources and references. Imports no torch."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from seqtrain.errors import UserError


@dataclass(frozen=True)
class Texts:
    """What one system made of a test set.

    Attributes:
        name: what it is called: the path that it was read from.
        sources: source sentences.
        references: their translations, by people.
        hypotheses: their translations, by the system.
    """

    name: str
    sources: list[str]
    references: list[str]
    hypotheses: list[str]


def read_texts(path: str, split: str) -> Texts:
    """Reads what the callback `bleu` wrote: of a run, its own test; of a folder of `evaluations/`, that one.

    Args:
        path: the directory that `hypotheses/` is in.
        split: `test` or `val`.

    Raises:
        UserError: there is nothing of that split, or the files do not belong together.
    """
    directory = Path(path)
    if not directory.is_dir():
        raise UserError(f"there is no directory {path}", "Give the directory of a run or of one of its evaluations.")
    folder = directory / "hypotheses"
    files = [folder / f"{split}{part}.txt" for part in (".source", ".reference", "")]
    if not all(file.is_file() for file in files):
        raise UserError(f"{path} has no translations of the {split} split", _elsewhere(directory, split))
    columns = [_lines(file) for file in files]
    if len({len(column) for column in columns}) > 1:
        counts = ", ".join(f"{file.name} {len(column)}" for file, column in zip(files, columns, strict=True))
        raise UserError(f"{folder} has files of different lengths: {counts} lines", "Evaluate the run again.")
    return Texts(path, *columns)


def require_same(first: Texts, other: Texts) -> None:
    """Two systems can be compared only on the same sentences.

    Raises:
        UserError: sources or references differ; the message says where first.
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


def _different(first: Texts, other: Texts, how: str) -> UserError:
    return UserError(
        f"{first.name} and {other.name} cannot be compared: {how}",
        "Evaluate both on the same data: python -m seqtrain evaluate run=RUN data.KEY=VALUE.",
    )


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file}: {error}", "Evaluate the run again.") from error
    return text.removesuffix("\n").split("\n") if text else []  # a text may hold other signs that end a line


def _elsewhere(directory: Path, split: str) -> str:
    found = sorted(file.parents[1] for file in directory.glob(f"*/**/hypotheses/{split}.txt"))
    if found:
        return f"There are some in {', '.join(map(str, found[-5:]))}: give one of these."
    return f"Make them: python -m seqtrain evaluate run={shlex.quote(str(directory))} split={split}"
