"""Whether a record is that of one training, whose numbers another training can be held against. Imports no torch."""

from typing import Any

from seqtrain.errors import UserError
from seqtrain.runs.drift import shown
from seqtrain.runs.records import INTERVAL, RunRecord
from seqtrain.runs.reproduction import TIMING


def refuse_unfit(record: RunRecord) -> None:
    """Refuses runs that cannot be reproduced.

    Raises:
        UserError: it is no finished training with results, is of several processes, or went on from another run.
    """
    if record.status != "finished":
        raise UserError(f"{record.place}: is {shown(record.status)}, not finished", "Go on with it first: resume=RUN.")
    _refuse_results(record)
    _refuse_ranks(record)
    _refuse_origin(record)


def _refuse_results(record: RunRecord) -> None:
    results = record.manifest.get("results")
    if not results:
        raise UserError(f"{record.place}: has no results", "There is nothing to hold a new training against.")
    if not isinstance(results, dict) or not all(map(_is_number, results.values())):
        raise UserError(f"{record.place}: its results are not numbers", "The run's record is damaged.")
    if all(TIMING.search(name) or name.endswith(INTERVAL[-1]) for name in results):
        raise UserError(
            f"{record.place}: its results are none that are compared: {', '.join(map(shown, results))}",
            "What measures time, and the width of an interval, tell nothing of the model.",
        )


def _refuse_ranks(record: RunRecord) -> None:
    ranks = record.manifest.get("ranks")
    if ranks is None and record.at("trainer.devices") not in (None, 1, "1", "auto"):
        ranks = f"trainer.devices={record.at('trainer.devices')}"
    if ranks not in (None, 1):
        raise UserError(
            f"{record.place}: was trained by several processes ({shown(ranks)}), and reproduce trains with one",
            "Train it as it was started, by what is in its .hydra/overrides.yaml, and compare the two.",
        )


def _refuse_origin(record: RunRecord) -> None:
    """A run that went on from another one's checkpoint; its own checkpoint is another matter."""
    origin, resumed = record.manifest.get("parent"), record.manifest.get("resumed")
    elsewhere = isinstance(origin, dict) and str(origin.get("why")).startswith("resumed")
    if elsewhere or (record.at("resume") not in (None, "auto") and not resumed):
        raise UserError(
            f"{record.place}: went on from another run's checkpoint, so its configuration does not say all of it",
            "Reproduce the run that it went on from.",
        )


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (ValueError, TypeError, OverflowError):
        return False
    return True
