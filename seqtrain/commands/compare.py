"""Compare runs: results over seeds, learning curves, in what they differ, and whether it could be chance.

  python -m seqtrain compare PLACE... [by=KEY,...] [metric=NAME,...] [out=DIR] [allow=WHAT,...] [test=NAME] [split=NAME]

  PLACE                         directories of runs, of multiruns or of evaluations (RUN/evaluations/...), patterns of
                                them ('runs/*/*'), or runs of W&B: wandb:ENTITY/PROJECT?group=NAME
  by=KEY,...                    what runs are grouped by: model, data.task, model.hidden, ...; name tells every run.
                                Without it by their study's arms or what they were asked for, the seed left out
  metric=NAME,...               results that come first: test/bleu, say
  out=DIR                       also written: comparison.md, comparison.html (one file, with the plots), comparison.json
                                and runs.csv
  allow=WHAT,...                compare runs of different data, tokenizer, reference or signature all the same
  test=bootstrap|randomisation|none
                                of translations: paired bootstrap resampling (Koehn 2004; the default) or paired
                                approximate randomisation (Riezler and Maxwell 2005), of each group against the first
  split=test|val                whose translations these are; test without it

Means and standard deviations are over seeds. Nothing is trained, translated or measured again.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from seqtrain.config.arguments import split, take
from seqtrain.errors import UserError
from seqtrain.runs.collect import arms, collect, grouped
from seqtrain.runs.comparison import Comparison, plain, spreadsheet
from seqtrain.runs.differences import KINDS, differences, require_comparable
from seqtrain.runs.files import write_text
from seqtrain.runs.markdown import first_line, markdown
from seqtrain.runs.page import page
from seqtrain.runs.records import Arm
from seqtrain.runs.shown import shown
from seqtrain.runs.significance import Significance, Test, TooManyError, significance
from seqtrain.runs.texts import DifferentTextsError, read_texts

KEYS = ("by", "metric", "out", "allow", "test", "split")
TESTS = (*get_args(Test), "none")
SPLITS = ("test", "val")


@dataclass(frozen=True)
class Request:
    """What is to be compared, and how."""

    places: list[str]
    by: list[str]
    metrics: list[str]
    out: Path | None
    allow: list[str]
    test: str
    split: str
    test_needed: bool


def main(argv: list[str]) -> int:
    """Prints the comparison and writes it."""
    request = _request(argv)
    records = collect(request.places)
    study = shown(records, request.metrics)
    found = grouped(records, request.by) if request.by else arms(records)
    notes = require_comparable(found, study, request.split, request.allow)
    tested = _tested(found, request, notes)
    comparison = Comparison(found, study, differences(found), tested, notes)
    command = f"python -m seqtrain compare {shlex.join(argv)}"
    text = markdown(comparison, commands=[command])
    print(text, end="")
    if request.out is not None:
        _write(request.out, comparison, text, command, request.by)
    return 0


def _tested(found: Sequence[Arm], request: Request, notes: list[str]) -> Significance | None:
    """The test, if there is something to test; without being asked for it is left out where it cannot be made."""
    if request.test == "none":
        return None
    try:
        tested = significance(found, cast(Test, request.test), request.split)
    except (TooManyError, DifferentTextsError) as error:
        needed = request.test_needed if isinstance(error, TooManyError) else "reference" not in request.allow
        if needed:
            raise
        notes.append(f"not tested: {first_line(error)}")
        return None
    if tested is None and request.test_needed:
        for arm in found:
            read_texts(arm.records[0], arm.label, request.split)  # which says what is missing
        raise UserError("one group of runs, and a test holds two against each other", "Tell every run: by=name.")
    return tested


def _write(out: Path, comparison: Comparison, text: str, command: str, by: Sequence[str]) -> None:
    values = plain(comparison, command=command, by=by)
    write_text(out / "comparison.md", text)
    write_text(out / "runs.csv", spreadsheet(comparison))
    write_text(out / "comparison.json", json.dumps(values, ensure_ascii=False) + "\n")
    write_text(out / "comparison.html", page(values))
    names = ("comparison.md", "comparison.html", "comparison.json", "runs.csv")
    print(f"written: {', '.join(str(out / name) for name in names)}")


def _request(argv: Sequence[str]) -> Request:
    places: list[str] = []
    given, _ = split(argv, {}, words=places, keys=KEYS)
    values: dict[str, str | None] = {}
    for key in KEYS:
        values[key], given = take(given, key)
    if not places:
        raise UserError("compare needs runs", "Give directories: python -m seqtrain compare RUN RUN, or a multirun's.")
    out = Path(values["out"]) if values["out"] else None
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f"out={out}: is a file, not a directory", "Name another: out=DIR.")
    allow = _listed(values["allow"])
    for key, known, asked in (
        ("allow", KINDS, allow),
        ("test", TESTS, [values["test"]] if values["test"] else []),
        ("split", SPLITS, [values["split"]] if values["split"] else []),
    ):
        if unknown := [name for name in asked if name not in known]:
            raise UserError(f"{key}={unknown[0]}: must be {', '.join(known[:-1])} or {known[-1]}")
    return Request(
        places=places,
        by=_listed(values["by"]),
        metrics=_listed(values["metric"]),
        out=out,
        allow=allow,
        test=values["test"] or "bootstrap",
        split=values["split"] or "test",
        test_needed=bool(values["test"] or values["split"]),
    )


def _listed(value: str | None) -> list[str]:
    return [part for part in (value or "").split(",") if part]
