"""Whether one system translates better than another, or was lucky with the test set: sacreBLEU's paired tests."""

from collections.abc import Sequence
from typing import Any, Literal

from sacrebleu.significance import PairedTest

from seqtrain.runs.markdown import grid
from seqtrain.runs.scores import buckets, metric, words
from seqtrain.runs.texts import Texts

Test = Literal["bootstrap", "randomisation"]
TITLES = {"bleu": "BLEU", "bleu_lc": "BLEU lc", "chrf": "chrF"}


def paired(systems: Sequence[Texts], test: Test, name: str) -> tuple[str, list[Any]]:
    """Runs a paired test of every system against the first.

    `bootstrap` is Koehn 2004 with 1,000 resamples, `randomisation` is Riezler & Maxwell 2005 with 10,000 trials, and
    1,000 resamples for the intervals.

    Args:
        systems: at least two, of the same sentences.
        test: which.
        name: the metric, of `seqtrain.runs.scores.METRICS`.

    Returns:
        The signature, and for each system a sacreBLEU `Result`: `score`, `mean`, `ci`, `p_value`.
    """
    # One metric at a time: a test tells metrics apart by sacreBLEU's names, and two of ours are BLEU there. Resamples
    # are drawn from the same seed, so the numbers are those of all at once.
    made = PairedTest(
        [(system.name, system.hypotheses) for system in systems],
        {name: metric(name)},
        references=[systems[0].references],
        test_type="bs" if test == "bootstrap" else "ar",
        n_ar_confidence=0,
    )
    signatures, scores = made()
    (title,) = signatures
    return str(signatures[title]), list(scores[title])


def table(systems: Sequence[Texts], test: Test) -> str:
    """A Markdown table: score (mean ± half the 95 % interval) and p by every metric; below it the signatures."""
    names = [f"{system.name} (baseline)" if i == 0 else system.name for i, system in enumerate(systems)]
    signatures, columns = [], []
    for name, title in TITLES.items():
        signature, results = paired(systems, test, name)
        signatures.append(f"- {title}: `{signature}`")
        columns.append([_cell(result) for result in results])
    rows = [list(row) for row in zip(names, *columns, strict=True)]
    return f"{grid(['system', *TITLES.values()], rows)}\n\n" + "\n".join(signatures)


def table_by_length(systems: Sequence[Texts], test: Test) -> str:
    """The same of BLEU alone, a column a bucket of source lengths in words, of equal width."""
    lengths = [words(source) for source in systems[0].sources]
    head, columns = ["BLEU by words of the source"], []
    for low, high in buckets(lengths):
        inside = [i for i, length in enumerate(lengths) if low <= length <= high]
        if not inside:
            continue
        _, results = paired([_part(system, inside) for system in systems], test, "bleu")
        head.append(f"{low}–{high} (n={len(inside)})")
        columns.append([_cell(result) for result in results])
    names = [system.name for system in systems]
    return grid(head, [list(row) for row in zip(names, *columns, strict=True)])


def _part(system: Texts, inside: Sequence[int]) -> Texts:
    columns = (system.sources, system.references, system.hypotheses)
    return Texts(system.name, *([column[i] for i in inside] for column in columns))


def _cell(result: Any) -> str:
    """`31.20 (31.18 ± 0.95), p = 0.0010`, the last part for all but the baseline."""
    interval = "" if result.mean is None else f" ({result.mean:.2f} ± {result.ci:.2f})"
    chance = "" if result.p_value is None else f", p = {result.p_value:.4f}"
    return f"{result.score:.2f}{interval}{chance}"
