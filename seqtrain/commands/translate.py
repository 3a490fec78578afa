"""Translate text: `seqtrain translate run=PATH [--input FILE] [--output FILE] [--n-best N] [decoding=beam …]`."""

import dataclasses
import logging
import sys
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from seqtrain.config.allow import build
from seqtrain.config.arguments import split, take
from seqtrain.decoding.settings import Decoding, Hypothesis
from seqtrain.errors import UserError
from seqtrain.runs.files import write_text
from seqtrain.runs.loading import Loaded, load

AT_ONCE = 512
"""Lines that are read, sorted by length and translated together."""


def main(argv: list[str]) -> int:
    """Writes the translation of every line of the input; with `--n-best`, `line<TAB>score<TAB>translation` rows.

    Input is standard input or `--input FILE`, output is standard output or `--output FILE`, which is written when all
    is translated. An empty line is translated to an empty line. On a terminal it prompts for sentences.
    """
    logging.basicConfig(level=logging.WARNING, format="seqtrain: %(message)s", stream=sys.stderr)
    overrides, options = split(argv, {"--input": str, "--output": str, "--n-best": int})
    path, overrides = take(overrides, "run")
    checkpoint, overrides = take(overrides, "checkpoint")
    if options.get("n_best", 1) < 1:
        raise UserError(f"--n-best {options['n_best']}: must be 1 or more")
    source = _open(options["input"]) if "input" in options else sys.stdin.buffer
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # as the input is, whatever the terminal's language
    loaded = load(path, overrides, checkpoint=checkpoint or "best", task="translation")
    decoding: Decoding = build(loaded.config.decoding, "decoding")
    n_best = options.get("n_best")
    if n_best is not None:
        decoding = dataclasses.replace(decoding, n_best=n_best, beam=max(decoding.beam, n_best))
    if "input" not in options and sys.stdin.isatty():
        _converse(loaded, decoding, n_best)
        return 0
    translated = _rows(loaded, decoding, n_best, decoded_lines(source, options.get("input", "standard input")))
    if "output" in options:
        write_text(Path(options["output"]), "".join(f"{row}\n" for row in translated))
    else:
        for row in translated:
            print(row, flush=True)
    return 0


def decoded_lines(source: BinaryIO, name: str) -> Iterator[str]:
    """Lines as text.

    Raises:
        UserError: a line is not UTF-8.
    """
    for number, line in enumerate(source, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{name}, line {number}: not UTF-8 (byte {error.start + 1} is 0x{line[error.start]:02x})",
                "Convert it, say with `iconv -t UTF-8`.",
                code=1,
            ) from error


def translate(loaded: Loaded, decoding: Decoding, texts: list[str]) -> list[list[tuple[Hypothesis, str]]]:
    """The n best hypotheses of every text, each with its detokenised text; an empty text has only the empty one."""
    nothing = Hypothesis([], 0.0, 0.0)
    found: list[list[tuple[Hypothesis, str]]] = [[(nothing, "")]] * len(texts)
    places = [place for place, text in enumerate(texts) if text.strip()]
    target = loaded.data.target_tokenizer
    for batch in loaded.data.batches([texts[place] for place in places]):
        for index, hypotheses in zip(batch.index.tolist(), loaded.model.translate(batch, decoding), strict=True):
            found[places[index]] = [(h, target.decode(h.tokens)) for h in hypotheses]
    return found


def _rows(loaded: Loaded, decoding: Decoding, n_best: int | None, lines: Iterable[str]) -> Iterator[str]:
    lines = iter(lines)
    number = unknown = 0
    while texts := list(islice(lines, AT_ONCE)):
        tokenizer = loaded.data.source_tokenizer
        unknown += sum(tokenizer.unknown_count(tokenizer.encode(text)) for text in texts)
        for hypotheses in translate(loaded, decoding, texts):
            number += 1
            for hypothesis, text in hypotheses:
                yield text if n_best is None else f"{number}\t{hypothesis.score:.4f}\t{text}"
    if unknown:
        print(f"seqtrain: {unknown} tokens of the input are unknown to the tokenizer", file=sys.stderr)


def _converse(loaded: Loaded, decoding: Decoding, n_best: int | None) -> None:
    config = loaded.config.data
    print(f"{config.get('source')} → {config.get('target')}; a sentence a line, Ctrl-D ends.", file=sys.stderr)
    while True:
        try:
            text = input("> ")
        except EOFError:
            print()
            return
        for row in _rows(loaded, decoding, n_best, [text]):
            print(row)


def _open(path: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}", "Give the path of a text file: --input FILE."
        ) from error
