"""How good translations are: BLEU and chrF by sacreBLEU, with bootstrap intervals, and by source length.

Imports no torch: texts go in, numbers come out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sacrebleu import metrics as sacrebleu
from sacrebleu.metrics.base import Metric

from seqtrain.runs.cutting import BUCKETS, Bucket, between, equal

METRICS = ("bleu", "bleu_lc", "chrf")
"""BLEU (cased, 13a), lowercased BLEU, chrF."""


def metric(name: str, *, warn: bool = True) -> Metric:
    """A fresh metric of `METRICS`.

    Args:
        name: which.
        warn: whether sacreBLEU may say that the text looks tokenised.
    """
    if name == "chrf":
        return sacrebleu.CHRF()
    return sacrebleu.BLEU(lowercase=name == "bleu_lc", force=not warn)


@dataclass(frozen=True)
class Score:
    """What a metric says about a text.

    Attributes:
        score: of the text itself.
        mean: of the bootstrap resamples' scores; `None` without them.
        ci: half the width of the 95 % interval around it; `None` without them.
        signature: sacreBLEU's, of the score.
    """

    score: float
    mean: float | None
    ci: float | None
    signature: str


def score(measure: Metric, hypotheses: Sequence[str], references: Sequence[str], *, resamples: int = 0) -> Score:
    """Scores a text by a fresh metric, with sacreBLEU's own bootstrap (Koehn 2004) of so many resamples."""
    found: Any = measure.corpus_score(hypotheses, [references], n_bootstrap=max(1, resamples))
    signature = str(measure.get_signature())
    if resamples < 2:
        return Score(float(found.score), None, None, signature)
    # The signature of the score, which the resamples are not a part of: they are the interval's.
    plain = "|".join(part for part in signature.split("|") if not part.startswith(("bs:", "seed:")))
    return Score(float(found.score), float(found._mean), float(found._ci), plain)


def words(text: str) -> int:
    """The length of a sentence: words with spaces between them, so that it is one for every tokenizer."""
    return len(text.split())


def buckets(lengths: Sequence[int], edges: Sequence[int] | None = None) -> list[Bucket]:
    """What lengths are cut into: buckets of equal width, `BUCKETS` at most, or such that begin at `edges`."""
    low, high = min(lengths), max(lengths)
    return between(list(edges), low, high) if edges else equal(low, high, BUCKETS)


def by_length(
    sources: Sequence[str],
    references: Sequence[str],
    hypotheses: Sequence[str],
    cut: Sequence[Bucket],
    *,
    resamples: int = 0,
) -> list[dict[str, Any]]:
    """BLEU and chrF of the sentences of every bucket that one is in, as `buckets.json` holds them.

    Args:
        sources: source sentences, whose lengths in words count.
        references: their translations.
        hypotheses: the translations to score.
        cut: buckets of lengths.
        resamples: of the bootstrap that BLEU's interval is found by; 0 leaves it out.

    Returns:
        Rows of `low`, `high`, `count`, `bleu`, `bleu_mean` and `bleu_ci` (the interval is their sum and difference),
        and `chrf`.
    """
    rows = []
    for low, high in cut:
        inside = [i for i, source in enumerate(sources) if low <= words(source) <= high]
        if not inside:
            continue
        texts = [hypotheses[i] for i in inside], [references[i] for i in inside]
        bleu = score(metric("bleu", warn=False), *texts, resamples=resamples)
        row: dict[str, Any] = {"low": low, "high": high, "count": len(inside), "bleu": bleu.score}
        if bleu.ci is not None:
            row |= {"bleu_mean": bleu.mean, "bleu_ci": bleu.ci}
        rows.append(row | {"chrf": score(metric("chrf"), *texts).score})
    return rows
