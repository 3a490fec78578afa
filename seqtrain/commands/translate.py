"""Translate text with a trained run: a line in, a line out.

  python -m seqtrain translate run=RUN [--input FILE] [--output FILE] [--n-best N] [KEY=VALUE ...]

  run=RUN                       the directory of a run that was trained to translate; needed; RUN,RUN is an ensemble
  --input FILE                  UTF-8 text, a sentence a line; standard input without it
  --output FILE                 written when all is translated; standard output without it
  --n-best N                    at most N rows a line: its number, the score and the translation, with tabs between
  checkpoint=best|last|averaged|PATH
                                which weights; best without it; best,last is an ensemble
  decoding=NAME, decoding.KEY=VALUE
                                another search: decoding=beam decoding.beam=10; the beam is at least N
  decoding.too_long=refuse|split
                                what happens to a line that is longer than the model's positions
  data.KEY=VALUE                data.batch_tokens=1024 for less memory
  trainer.accelerator=cpu       no GPU; without it one is used if the run's trainer may and there is one

An empty line stays empty. On a terminal, without --input and --output, it prompts for sentences. Everything is
computed in 32 bits.
"""

import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from io import TextIOWrapper
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from seqtrain.config.allow import build, to_plain
from seqtrain.config.arguments import split
from seqtrain.data.lines import decoded
from seqtrain.decoding.positions import cut, longest, pieces, positions, refuse_longer
from seqtrain.decoding.settings import Decoding, Hypothesis
from seqtrain.errors import UserError
from seqtrain.runs.chosen import choose
from seqtrain.runs.files import check_writable, write_text

if TYPE_CHECKING:
    from seqtrain.runs.loading import Loaded

Translated = tuple[Hypothesis, str]

AT_ONCE = 512
"""Lines that are read, sorted by length and translated together."""
OPTIONS = {"--input": str, "--output": str, "--n-best": int}
STDIN = "standard input"


def main(argv: list[str]) -> int:
    """Writes the translation of every line of the input; with `--n-best`, `line<TAB>score<TAB>translation` rows.

    Input is standard input or `--input FILE`, output is standard output or `--output FILE`, which is written when all
    is translated. An empty line is translated to an empty line. On a terminal, without either, it prompts
    for sentences.
    """
    logging.basicConfig(level=logging.WARNING, format="seqtrain: %(message)s", stream=sys.stderr)
    overrides, options = split(argv, OPTIONS)
    n_best = options.get("n_best")
    if n_best is not None and n_best < 1:
        raise UserError(f"--n-best {n_best}: must be 1 or more")
    if "output" in options:
        check_writable(Path(options["output"]))
    chosen = choose(overrides, task="translation")
    decoding = _decoding(to_plain(chosen.config.decoding), n_best or 1)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # as the input is, whatever the terminal's language
    with open_input(options["input"]) if "input" in options else nullcontext(sys.stdin.buffer) as source:
        # What takes seconds to import comes after all that could have been wrong with the arguments.
        from seqtrain.runs.loading import device_of, load

        loaded = load(chosen)
        loaded.model.to(device_of(loaded))
        if not options.keys() & {"input", "output"} and sys.stdin.isatty():
            _converse(loaded, decoding, n_best)
            return 0
        name = options.get("input", STDIN)
        translated = _rows(loaded, decoding, n_best, decoded(source, name), name)
        if "output" in options:
            write_text(Path(options["output"]), "".join(f"{row}\n" for row in translated))
            return 0
        for row in translated:
            print(row, flush=True)
    return 0


def translate(
    loaded: "Loaded",
    decoding: Decoding,
    texts: list[str],
    *,
    name: str = "the text",
    first: int = 1,
    counts: Counter[str] | None = None,
) -> list[list[Translated]]:
    """The n best hypotheses of every text, each with its detokenised text; an empty text has only the empty one.

    Args:
        loaded: the model and its tokenizers.
        decoding: how to search, and what to do with texts that are too long for the model.
        texts: a line each.
        name: of the file, for messages.
        first: the number of the first line, from 1; what a line samples depends on its number.
        counts: where what should be said is added up: tokens that are `unknown`, and `cut` translations, which were
            ended for their length.

    Raises:
        UserError: a line is longer than the model's positions, and `decoding.too_long` is `refuse`.
    """
    from seqtrain.commands.memory import naming_the_batch

    counts = Counter() if counts is None else counts
    parts = [_parts(loaded, decoding, text) for text in texts]
    # A line's number, from 0 as in a data set, and apart from it which piece of the line it is.
    numbers = [(line, piece) for line, texts_of in enumerate(parts) for piece in range(len(texts_of))]
    found: list[list[list[Translated]]] = [[[] for _ in texts_of] for texts_of in parts]
    target, limit = loaded.data.target_tokenizer, longest(decoding, loaded.model.network)
    batches = list(loaded.data.batches([parts[line][piece] for line, piece in numbers]))
    if decoding.too_long == "refuse":
        _refuse_longer(batches, [line + first for line, _ in numbers], positions(loaded.model.network), name)
    for batch in batches:
        counts["unknown"] += loaded.data.source_tokenizer.unknown_count(batch.source.flatten().tolist())
        places = [numbers[place] for place in batch.index.tolist()]
        own = batch.index.new_tensor([line + first - 1 + (piece << 40) for line, piece in places])
        with naming_the_batch(loaded.model, loaded.data, loaded.config):
            translated = loaded.model.translate(replace(batch, index=own).to(loaded.model.device), decoding)
        for (line, piece), hypotheses in zip(places, translated, strict=True):
            found[line][piece] = [(h, target.decode(h.tokens)) for h in hypotheses]
            counts["cut"] += sum(len(h.tokens) + 1 >= limit for h in hypotheses)
    return [_joined(of_line, decoding) for of_line in found]


def _parts(loaded: "Loaded", decoding: Decoding, text: str) -> list[str]:
    """What is translated of a line: nothing of an empty one, as a rule the line, of one to be split its pieces."""
    limit, tokenizer = positions(loaded.model.network), loaded.data.source_tokenizer
    if not text.strip():
        return []
    if limit is None or decoding.too_long == "refuse":
        return [text]
    return pieces(text, lambda piece: len(tokenizer.encode(piece)) < limit)


def _refuse_longer(batches: Sequence[Any], lines: Sequence[int], limit: int | None, name: str) -> None:
    """Refuses the first line that is too long; a batch's `index` are places in `lines`, their numbers."""
    hint = "Split it: with decoding.too_long=split its sentences are translated one by one, and joined again."
    rows = [row for batch in batches for row in zip(batch.index.tolist(), batch.source_lengths.tolist(), strict=True)]
    for place, length in sorted(rows):
        refuse_longer([length], limit, name, hint, first=lines[place])


def _joined(parts: list[list[Translated]], decoding: Decoding) -> list[Translated]:
    """The hypotheses of a line's pieces, one behind the other: the best ones, the second best ones, and so on."""
    if not parts:
        return [(Hypothesis([], 0.0, 0.0), "")]
    if len(parts) == 1:
        return parts[0]
    found = []
    for row in zip(*parts, strict=False):  # of a piece, fewer may have been found
        tokens = [token for hypothesis, _ in row for token in hypothesis.tokens]
        log_probability = sum(hypothesis.log_probability for hypothesis, _ in row)
        score = log_probability / (len(tokens) + len(row)) ** decoding.length_penalty
        found.append((Hypothesis(tokens, log_probability, score), " ".join(text for _, text in row if text)))
    return found


def _decoding(settings: dict[str, Any], n_best: int) -> Decoding:
    """The run's search with as many results as rows are to be written for a line, in a beam that holds them."""
    beam = settings.get("beam", 1) if settings.get("sample") else max(settings.get("beam", 1), n_best)
    made: Decoding = build({**settings, "n_best": n_best, "beam": beam}, "decoding")
    return made


def _rows(
    loaded: "Loaded", decoding: Decoding, n_best: int | None, lines: Iterable[str], name: str, first: int = 1
) -> Iterator[str]:
    lines, number, counts = iter(lines), first, Counter[str]()
    while texts := list(islice(lines, AT_ONCE)):
        for hypotheses in translate(loaded, decoding, texts, name=name, first=number, counts=counts):
            for hypothesis, text in hypotheses:
                yield text if n_best is None else f"{number}\t{hypothesis.score:.4f}\t{text}"
            number += 1
    if counts["cut"]:
        print(f"seqtrain: {cut(counts['cut'], decoding, loaded.model.network)}", file=sys.stderr)
    if counts["unknown"]:
        print(f"seqtrain: {counts['unknown']} tokens of the input are unknown to the tokenizer", file=sys.stderr)


def _converse(loaded: "Loaded", decoding: Decoding, n_best: int | None) -> None:
    config, numbers = loaded.config.data, count(1)
    converse(
        f"{config.get('source')} → {config.get('target')}; a sentence a line, Ctrl-D ends.",
        lambda text: _rows(loaded, decoding, n_best, [text], STDIN, next(numbers)),
    )


def converse(greeting: str, hear: Callable[[str], Iterable[str]]) -> None:
    """Prints what `hear` says to every line that is typed; one that is refused, or no UTF-8, does not end it."""
    print(greeting, file=sys.stderr)
    prompted = sys.stdout.isatty()
    while True:
        try:
            text = input("> " if prompted else "")
            text.encode("utf-8")  # where the terminal's language is not known, other bytes come as halves of characters
            for row in hear(text):
                print(row, flush=True)
        except EOFError:
            if prompted:
                print()
            return
        except UnicodeError:
            print("seqtrain: that is not UTF-8", file=sys.stderr)
        except UserError as error:
            print(f"seqtrain: {error}", file=sys.stderr)


def open_input(path: str) -> BinaryIO:
    """The file that `--input` names; a `UserError` if it cannot be read."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}", "Give the path of a text file: --input FILE."
        ) from error
