"""What of runs is to be shown: by their study, by what was asked for, and else by what there is."""

from collections.abc import Sequence
from dataclasses import replace

from seqtrain.config.names import did_you_mean
from seqtrain.config.study import Goal, Study
from seqtrain.errors import UserError
from seqtrain.runs.parts import SHARES
from seqtrain.runs.records import INTERVAL, RunRecord

RISING = ("accuracy", "exact", "bleu", "bleu_lc", "chrf", "supported")
"""How the names of metrics end of which more is better."""


def shown(records: Sequence[RunRecord], asked: Sequence[str] = ()) -> Study:
    """What is to be shown of runs.

    Args:
        records: the runs; where all are of one study it is what that says.
        asked: metrics that were asked for, which come first.

    Raises:
        UserError: no run has a metric that was asked for, or a study in parts none that it can show.
    """
    study = _common(records)
    there = sorted({name for record in records for name in record.results})
    for metric in asked:
        if metric not in there:
            raise UserError(
                f"metric={metric}: no run has that result{did_you_mean(metric, there)}",
                f"There are: {', '.join(there) or 'none'}.",
            )
    metrics = list(dict.fromkeys([*asked, *(study.metrics or _telling(there))]))
    if study.parts and not metrics:
        raise UserError("no run of this study has a result yet", "Report it when one is finished.")
    if study.parts and (odd := [name for name in metrics if name.rpartition("/")[2] not in SHARES]):
        raise UserError(
            f"{odd[0]}: the parts of this study are shown in percent, and that is no share",
            f"Ask for one of {', '.join(name for name in there if name.rpartition('/')[2] in SHARES)}.",
        )
    own = bool(study.metrics)
    if asked:
        study = replace(study, baselines={}, published={}, failed=None, floor="")
    first = metrics[0].rpartition("/")[2] if metrics else ""
    return replace(
        study,
        metrics=metrics,
        goal=study.goal if own and not asked else goal_of(first),
        by=study.by if own else list(dict.fromkeys(name for record in records for name in record.attributes)),
        curves=study.curves or ([] if study.parts else ["train/loss", *([f"val/{first}"] if first else [])]),
        each=study.each if own else first,
    )


def _common(records: Sequence[RunRecord]) -> Study:
    names = {record.study_name for record in records}
    return records[0].study if len(names) == 1 else Study()


def _telling(names: Sequence[str]) -> list[str]:
    """The results that say how good a run is: of the test where there was one, without what tells intervals."""
    scores = [name for name in names if not name.endswith(INTERVAL) and "_by_" not in name]
    return [name for name in scores if name.startswith("test/")] or scores


def goal_of(metric: str) -> Goal:
    """Whether more or less of a metric, `test/bleu`, is better."""
    return "max" if metric.rpartition("/")[2] in RISING else "min"
