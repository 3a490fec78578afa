"""Whether one system translates better than another, or was lucky with the test set: sacreBLEU's paired tests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sacrebleu.significance import PairedTest

from seqtrain.errors import UserError
from seqtrain.runs.cutting import Bucket
from seqtrain.runs.records import Arm, RunRecord
from seqtrain.runs.scores import buckets, metric, words
from seqtrain.runs.shown import goal_of
from seqtrain.runs.texts import Texts, read_texts, require_same

Test = Literal["bootstrap", "randomisation"]
TITLES = {"bleu": "BLEU", "bleu_lc": "BLEU lc", "chrf": "chrF"}

MANY = 12
"""Systems of which all are tested; more take minutes."""


class TooManyError(UserError):
    """There are more systems than can be tested in reasonable time."""


@dataclass(frozen=True)
class Significance:
    """Systems' scores on one test set, and how probable differences as large would be by chance.

    Attributes:
        test: which test.
        split: what was translated.
        systems: what they are called; the first is the baseline.
        signatures: sacreBLEU's, by the metric's title.
        scores: of each metric, by its title, a sacreBLEU `Result` for each system: `score`, `mean`, `ci`, `p_value`.
        lengths: buckets of source lengths in words, with how many sentences are in each.
        by_length: BLEU of each bucket: a result for each system.
        notes: which groups have no system, or one that nothing speaks for.
    """

    test: Test
    split: str
    systems: list[str]
    signatures: dict[str, str]
    scores: dict[str, list[Any]]
    lengths: list[tuple[Bucket, int]]
    by_length: list[list[Any]]
    notes: list[str]


def significance(arms: Sequence[Arm], test: Test, split: str) -> Significance | None:
    """Tests the arms' systems against the first arm's; None where fewer than two arms have translations.

    The system of an arm of several finished runs is the one that was the best in validation, so that none is chosen by
    the test.

    Raises:
        UserError: the systems translated different sentences, or there are more than `MANY`.
    """
    notes: list[str] = []
    chosen = [one for arm in arms if (one := _system(arm, split, notes)) is not None]
    if len(chosen) < 2:
        return None
    if len(chosen) > MANY:
        raise TooManyError(
            f"{len(chosen)} systems are too many for a test against the first one (at most {MANY})",
            "Compare fewer, group their runs (by=model), or leave the test out: test=none.",
        )
    systems = [read_texts(record, name, split) for name, record in chosen]
    for system in systems[1:]:
        require_same(systems[0], system)
    signatures, scores = {}, {}
    for name, title in TITLES.items():
        signatures[title], scores[title] = paired(systems, test, name)
    lengths, by_length = _by_length(systems, test)
    names = [system.name for system in systems]
    return Significance(test, split, names, signatures, scores, lengths, by_length, notes)


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


def _system(arm: Arm, split: str, notes: list[str]) -> tuple[str, RunRecord] | None:
    """What the arm's system is called, and its run."""
    finished = [record for record in arm.records if record.status == "finished"]
    there = [record for record in finished if record.source.text(f"hypotheses/{split}.txt") is not None]
    if not there:
        notes.append(f"{arm.label}: no finished run has translations of the {split} split; not tested")
        return None
    if len(arm.records) == 1:
        return arm.label, there[0]
    judged = [(record, name) for record in there for name in record.results if name.startswith("best/val/")]
    judged = [(record, name) for record, name in judged if math.isfinite(record.results[name])]
    names = {name for _, name in judged}
    if len(names) != 1:
        notes.append(f"{arm.label}: no common validation score; {there[0].name} was tested, the first of its runs")
        return f"{arm.label} ({there[0].name})", there[0]
    (name,) = names
    better = max if goal_of(name) == "max" else min
    best, _ = better(judged, key=lambda one: one[0].results[name])
    return f"{arm.label} ({best.name})", best


def _by_length(systems: Sequence[Texts], test: Test) -> tuple[list[tuple[Bucket, int]], list[list[Any]]]:
    """BLEU of the sentences of each length: buckets of equal width, and results."""
    lengths = [words(source) for source in systems[0].sources]
    cut, results = [], []
    for low, high in buckets(lengths):
        inside = [i for i, length in enumerate(lengths) if low <= length <= high]
        if inside:
            cut.append(((low, high), len(inside)))
            results.append(paired([_part(system, inside) for system in systems], test, "bleu")[1])
    return cut, results


def _part(system: Texts, inside: Sequence[int]) -> Texts:
    columns = (system.sources, system.references, system.hypotheses)
    return Texts(system.name, *([column[i] for i in inside] for column in columns))
