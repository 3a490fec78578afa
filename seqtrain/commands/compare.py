"""Compare how well runs translate: scores with intervals, and whether a difference could be chance.

  python -m seqtrain compare PATH PATH... [--test NAME] [--split NAME] [--by-length]

  PATH                          directories of runs that translate, or of single evaluations (RUN/evaluations/...); the
                                first is the baseline, which the others are held against
  --test bootstrap|randomisation
                                paired bootstrap resampling (Koehn 2004), or paired approximate randomisation (Riezler
                                and Maxwell 2005); bootstrap without it
  --split test|val              what was translated; test without it
  --by-length                   BLEU by the source sentence's length, too, in eight buckets of equal width at most

The texts that a training or `evaluate` has saved are scored by sacreBLEU; nothing is translated again. p is the
probability of a difference as large as the one found, had the two systems been equally good. Prints Markdown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqtrain.config.arguments import split
from seqtrain.errors import UserError
from seqtrain.runs.significance import Test, table, table_by_length
from seqtrain.runs.texts import read_texts, require_same

TESTS: tuple[Test, ...] = ("bootstrap", "randomisation")
SPLITS = ("test", "val")
OPTIONS = {"--test": str, "--split": str, "--by-length": bool}


@dataclass(frozen=True)
class Request:
    """What is to be compared, and how."""

    paths: list[str]
    test: Test
    split: str
    by_length: bool


def main(argv: list[str]) -> int:
    """Prints the comparison."""
    request = _request(argv)
    systems = [read_texts(path, request.split) for path in request.paths]
    for system in systems[1:]:
        require_same(systems[0], system)
    print(table(systems, request.test))
    if request.by_length:
        print(f"\n{table_by_length(systems, request.test)}")
    return 0


def _request(argv: Sequence[str]) -> Request:
    paths: list[str] = []
    _, options = split(argv, OPTIONS, words=paths)
    test, part = options.get("test", "bootstrap"), options.get("split", "test")
    if test not in TESTS:
        raise UserError(f"--test {test}: must be {' or '.join(TESTS)}")
    if part not in SPLITS:
        raise UserError(f"--split {part}: must be {' or '.join(SPLITS)}")
    if len(paths) < 2:
        raise UserError(
            "compare needs two systems or more", "Give directories: python -m seqtrain compare BASELINE RUN."
        )
    places = [Path(path).resolve() for path in paths]
    for path, place in zip(paths, places, strict=True):
        if places.count(place) > 1:
            raise UserError(f"{path} is there twice", "Give every system once.")
    return Request(paths, test, part, options.get("by_length", False))
