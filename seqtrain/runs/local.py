"""A run's own directory, read as a record."""

from pathlib import Path
from typing import Any

from seqtrain.errors import UserError
from seqtrain.runs.files import text_of
from seqtrain.runs.nonfinite import unspelled
from seqtrain.runs.record import Run
from seqtrain.runs.records import RunRecord
from seqtrain.runs.untrusted import json_of, required


class LocalSource:
    """The history and the files in a run's directory.

    Args:
        run: the run.
        folder: where its files are, if not in the run's directory itself.
    """

    def __init__(self, run: Run, folder: Path | None = None) -> None:
        self.run = run
        self.folder = folder or run.directory

    def lines(self, containing: str = "") -> list[dict[str, Any]]:
        """See `seqtrain.runs.records.Source`."""
        return [unspelled(line) for line in self.run.metrics(containing)]

    def text(self, name: str) -> str | None:
        """See `seqtrain.runs.records.Source`.

        Raises:
            UserError: the file is there, but cannot be read.
        """
        return text_of(self.folder / name)


def read(directory: Path) -> RunRecord:
    """The record of the run in a directory; of one that ended before its record had begun, too.

    Raises:
        UserError: there is no configuration, or the record cannot be read.
    """
    run = Run(directory)
    if Run.exists(directory):
        manifest = run.manifest
    elif run.config_path.is_file():
        manifest = {"status": "not begun", "overrides": run.overrides, "config": None}
    else:
        raise UserError(f"{directory} is not the directory of a run: no manifest.json and no .hydra/config.yaml in it")
    return RunRecord(
        place=str(directory),
        name=run.directory.name,
        manifest=manifest,
        config=run.plain_config(manifest),
        source=LocalSource(run),
    )


def is_evaluation(place: Path) -> bool:
    """Whether a place is what `evaluate` left, `RUN/evaluations/NAME`, or `RUN/averaged`."""
    return (place / "results.json").is_file() or (place.name == "averaged" and (place / "hypotheses").is_dir())


def read_evaluation(place: Path) -> RunRecord:
    """The record of a run with the results and the texts of one of its evaluations in place of its own test's.

    Raises:
        UserError: it belongs to no run, or it or the run cannot be read.
    """
    averaged = place.name == "averaged"
    run = Run.open(place.absolute().parents[0 if averaged else 1])
    record = read(run.directory)
    if averaged:
        tested = {f"test/{k.partition('/')[2]}": v for k, v in record.results.items() if k.startswith("averaged/")}
        found: dict[str, Any] = {"metrics": tested, "signatures": record.manifest.get("signatures")}
    else:
        found = _evaluation(place / "results.json")
    own = {
        "data": _with_evaluated(record.manifest.get("data"), found.get("data")),
        "signatures": found.get("signatures"),
    }
    best = {name: value for name, value in record.results.items() if name.startswith("best/")}
    results = {**found["metrics"], **best}
    asked = [*record.manifest.get("overrides", []), f"evaluation={place.name}"]
    return RunRecord(
        place=str(place),
        name=f"{record.name}/{place.name}",
        manifest={**record.manifest, **own, "status": "finished", "overrides": asked, "results": results},
        config={**record.config, **({"decoding": found["decoding"]} if "decoding" in found else {})},
        source=LocalSource(run, place),
    )


def _with_evaluated(trained: Any, evaluated: Any) -> dict[str, Any]:
    """The data of a run with the splits that were evaluated in place of its own."""
    own, other = (found if isinstance(found, dict) else {} for found in (trained, evaluated))
    return {**own, "splits": {**(own.get("splits") or {}), **(other.get("splits") or {})}}


def _evaluation(file: Path) -> dict[str, Any]:
    try:
        found = json_of(required(file))
    except ValueError as error:
        raise UserError(f"cannot read {file}: {error}", "Evaluate the run again.") from error
    if not isinstance(found, dict) or not isinstance(found.get("metrics"), dict):
        raise UserError(f"{file} holds no results of an evaluation", "Evaluate the run again.")
    return found
