"""Score given translations with a trained run: how probable it finds each.

  python -m seqtrain score run=RUN [--source FILE --target FILE | --pairs FILE.tsv] [KEY=VALUE ...]

  run=RUN                       the directory of a run that was trained to translate; needed; RUN,RUN is an ensemble
  --source FILE, --target FILE  UTF-8 texts; line n of one is the translation of line n of the other
  --pairs FILE                  UTF-8 text, a source sentence, a tab and its translation a line; standard input without
                                any of these
  checkpoint=best|last|averaged|PATH
                                which weights; best without it; best,last is an ensemble
  data.KEY=VALUE                data.batch_tokens=1024 for less memory
  trainer.accelerator=cpu       no GPU; without it one is used if the run's trainer may and there is one

A row a pair, in the order of the input: log-probability (nats), tokens, perplexity, with tabs between; the end of a
sentence counts as a token. What all pairs come to is said on standard error. Everything is computed in 32 bits.
"""

import logging
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtrain.commands.translate import AT_ONCE, STDIN
from seqtrain.config.arguments import split
from seqtrain.data.corpora.pairs import tsv_pairs
from seqtrain.data.lines import aligned, decoded_lines, lines_of
from seqtrain.decoding.positions import positions, refuse_longer
from seqtrain.errors import UserError
from seqtrain.runs.chosen import choose

if TYPE_CHECKING:
    from seqtrain.runs.loading import Loaded

OPTIONS = {"--source": str, "--target": str, "--pairs": str}


def main(argv: list[str]) -> int:
    """Writes a row for every pair: log-probability, tokens and perplexity, with tabs between."""
    logging.basicConfig(level=logging.WARNING, format="seqtrain: %(message)s", stream=sys.stderr)
    overrides, options = split(argv, OPTIONS)
    if len(options) > 1 and "pairs" in options:
        raise UserError("--pairs names both sides", "Give --pairs alone, or --source and --target.")
    if len(options.keys() & {"source", "target"}) == 1:
        raise UserError("--source and --target go together", "Name both files, or one file of pairs: --pairs FILE.")
    chosen = choose(overrides, task="translation")
    sources, targets, names = _read(options)
    # What takes seconds to import comes after all that could have been wrong with the arguments.
    from seqtrain.runs.loading import device_of, load

    loaded = load(chosen)
    loaded.model.to(device_of(loaded))
    total, count = 0.0, 0
    for log_probability, tokens in scores(loaded, sources, targets, names=names):
        print(f"{log_probability:.4f}\t{tokens}\t{_perplexity(log_probability, tokens):.4f}", flush=True)
        total, count = total + log_probability, count + tokens
    print(
        f"seqtrain: {len(sources)} pairs, {count} tokens, log-probability {total:.4f}, "
        f"perplexity {_perplexity(total, count):.4f}",
        file=sys.stderr,
    )
    return 0


def scores(
    loaded: "Loaded", sources: list[str], targets: list[str], *, names: tuple[str, str] = ("source", "target")
) -> Iterator[tuple[float, int]]:
    """log p(target | source) of every pair and the tokens of the target, its end included, in their order.

    Args:
        loaded: the model and its tokenizers.
        sources: sentences that are translated from.
        targets: their translations.
        names: of the two texts, for messages.

    Raises:
        UserError: a sentence is longer than the model's positions.
    """
    unknown = [0, 0]
    tokenizers = (loaded.data.source_tokenizer, loaded.data.target_tokenizer)
    for start in range(0, len(sources), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        for side, (tokenizer, texts) in enumerate(zip(tokenizers, (sources[part], targets[part]), strict=True)):
            encoded = tokenizer.encode_all(texts)
            unknown[side] += sum(tokenizer.unknown_count(ids) for ids in encoded)
            hint = "A pair is scored in whole: remove it, or shorten both sides."
            lengths = [len(ids) + 1 for ids in encoded]
            refuse_longer(lengths, positions(loaded.model.network), names[side], hint, first=start + 1)
        yield from _scores(loaded, sources[part], targets[part])
    for name, tokens in zip(names, unknown, strict=True):
        if tokens:
            print(f"seqtrain: {tokens} tokens of {name} are unknown to the tokenizer", file=sys.stderr)


def _scores(loaded: "Loaded", sources: list[str], targets: list[str]) -> list[tuple[float, int]]:
    from seqtrain.decoding.scoring import log_probabilities

    found = [(0.0, 0)] * len(sources)
    for batch in loaded.data.batches(sources, targets):
        log_p = log_probabilities(loaded.model.network, batch.to(loaded.model.device))
        rows = zip(batch.index.tolist(), log_p.tolist(), batch.target_lengths.tolist(), strict=True)
        for index, log_probability, tokens in rows:
            found[index] = (log_probability, tokens)
    return found


def _perplexity(log_probability: float, tokens: int) -> float:
    return math.exp(min(-log_probability / tokens, 700.0))


def _read(options: dict[str, Any]) -> tuple[list[str], list[str], tuple[str, str]]:
    """Both sides, and what they are called."""
    if "source" in options:
        names = (options["source"], options["target"])
        texts = [lines_of(Path(name), name) for name in names]
        pairs = aligned(texts[0], texts[1], names)
    else:
        name = options.get("pairs", STDIN)
        lines = lines_of(Path(name), name) if "pairs" in options else decoded_lines(sys.stdin.buffer, name)
        pairs, names = tsv_pairs(lines, name), (f"{name} (first column)", f"{name} (second column)")
    sources, targets = zip(*pairs, strict=True)
    return [*sources], [*targets], names
