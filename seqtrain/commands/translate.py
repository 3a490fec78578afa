"""Translate text with a trained run: a line in, a line out.

  python -m seqtrain translate run=RUN [--input FILE] [--output FILE] [--n-best N] [KEY=VALUE ...]

  run=RUN                       the directory of a run that was trained to translate; needed
  --input FILE                  UTF-8 text, a sentence a line; standard input without it
  --output FILE                 written when all is translated; standard output without it
  --n-best N                    N rows a line: its number, the score and the translation, with tabs between
  checkpoint=best|last|PATH     which weights; best without it
  decoding=NAME, decoding.KEY=VALUE
                                another search: decoding=beam decoding.beam=10; the beam is at least N
  data.KEY=VALUE                data.batch_tokens=1024 for less memory
  trainer.accelerator=cpu       no GPU; without it one is used if the run's trainer may and there is one

An empty line stays empty. On a terminal it prompts for sentences. Everything is computed in 32 bits.
"""

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from seqtrain.config.allow import build, to_plain
from seqtrain.config.arguments import split
from seqtrain.data.lines import decoded
from seqtrain.decoding.settings import Decoding, Hypothesis
from seqtrain.errors import UserError
from seqtrain.runs.chosen import choose
from seqtrain.runs.files import write_text

if TYPE_CHECKING:
    from seqtrain.runs.loading import Loaded

AT_ONCE = 512
"""Lines that are read, sorted by length and translated together."""
OPTIONS = {"--input": str, "--output": str, "--n-best": int}


def main(argv: list[str]) -> int:
    """Writes the translation of every line of the input; with `--n-best`, `line<TAB>score<TAB>translation` rows.

    Input is standard input or `--input FILE`, output is standard output or `--output FILE`, which is written when all
    is translated. An empty line is translated to an empty line. On a terminal it prompts for sentences.
    """
    logging.basicConfig(level=logging.WARNING, format="seqtrain: %(message)s", stream=sys.stderr)
    overrides, options = split(argv, OPTIONS)
    n_best = options.get("n_best")
    if n_best is not None and n_best < 1:
        raise UserError(f"--n-best {n_best}: must be 1 or more")
    chosen = choose(overrides, task="translation")
    decoding = _decoding(to_plain(chosen.config.decoding), n_best or 1)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # as the input is, whatever the terminal's language
    with _open(options["input"]) if "input" in options else nullcontext(sys.stdin.buffer) as source:
        # What takes seconds to import comes after all that could have been wrong with the arguments.
        from seqtrain.runs.loading import load

        loaded = load(chosen)
        loaded.model.to(_device(loaded))
        if "input" not in options and sys.stdin.isatty():
            _converse(loaded, decoding, n_best)
            return 0
        translated = _rows(loaded, decoding, n_best, decoded(source, options.get("input", "standard input")))
        if "output" in options:
            write_text(Path(options["output"]), "".join(f"{row}\n" for row in translated))
            return 0
        for row in translated:
            print(row, flush=True)
    return 0


def translate(loaded: "Loaded", decoding: Decoding, texts: list[str]) -> list[list[tuple[Hypothesis, str]]]:
    """The n best hypotheses of every text, each with its detokenised text; an empty text has only the empty one."""
    nothing = Hypothesis([], 0.0, 0.0)
    found: list[list[tuple[Hypothesis, str]]] = [[(nothing, "")]] * len(texts)
    places = [place for place, text in enumerate(texts) if text.strip()]
    target = loaded.data.target_tokenizer
    for batch in loaded.data.batches([texts[place] for place in places]):
        translated = loaded.model.translate(batch.to(loaded.model.device), decoding)
        for index, hypotheses in zip(batch.index.tolist(), translated, strict=True):
            found[places[index]] = [(h, target.decode(h.tokens)) for h in hypotheses]
    return found


def _decoding(settings: dict[str, Any], n_best: int) -> Decoding:
    """The run's search with as many results as rows are to be written for a line, in a beam that holds them."""
    made: Decoding = build({**settings, "n_best": n_best, "beam": max(settings.get("beam", 1), n_best)}, "decoding")
    return made


def _device(loaded: "Loaded") -> str:
    import torch

    may = loaded.config.trainer.get("accelerator", "auto") in ("auto", "gpu", "cuda")
    return "cuda" if may and torch.cuda.is_available() else "cpu"


def _rows(loaded: "Loaded", decoding: Decoding, n_best: int | None, lines: Iterable[str]) -> Iterator[str]:
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


def _converse(loaded: "Loaded", decoding: Decoding, n_best: int | None) -> None:
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
