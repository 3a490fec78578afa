"""Train a recorded run again, after showing how the surroundings have changed, and compare the numbers.

  python -m seqtrain reproduce RUN [--check] [KEY=VALUE ...]

  RUN                           the directory of a finished run, a .wandb file of W&B, or wandb:ENTITY/PROJECT/ID
  --check                       shows what differs and stops: exit code 1 if it can change numbers, else 0
  out=DIR                       where the new run goes; reproductions/NAME/DATE_TIME without it
  tolerance=X                   the share of a result by which the new one may be off; without it 0 where nothing
                                differs that can change numbers, 0.02 where something does
  data.KEY=VALUE                where the data is on this machine: data.root=PATH; the rest of the data is as recorded
  trainer.accelerator=cpu       another device
  logger=NAME, logger.KEY=VALUE
                                loggers of the new run; none without it, whatever the record says

The recorded configuration is trained as it is, with the code as it is now: what it may build goes by the same list as
any other's, and it does not choose where files go. Exit code 0 if the run was reproduced, 1 if not, 2 for what cannot
be done.
"""

import logging
import math
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from seqtrain.config.allow import to_plain
from seqtrain.config.arguments import split, take
from seqtrain.config.directories import is_finished, refuse_existing
from seqtrain.config.recorded import changed, check_all, contained, of_record, overrides_of, sources
from seqtrain.data.preflight import preflight
from seqtrain.errors import UserError
from seqtrain.runs import drift, local
from seqtrain.runs.collect import collect
from seqtrain.runs.environment import git_state, surroundings
from seqtrain.runs.files import ANY_BYTES, write_json, write_text
from seqtrain.runs.record import Run
from seqtrain.runs.records import RunRecord
from seqtrain.runs.repeatable import refuse_unfit
from seqtrain.runs.reproduction import Reproduction, compare, curves, markdown, tolerance_of

WHY = "reproduced"
SPACING = "trainer.log_every_n_steps"


@dataclass(frozen=True)
class Request:
    """What is to be reproduced, and how.

    Attributes:
        place: of the run.
        check: whether only what differs is asked for.
        out: the new run's directory.
        tolerance: what was asked for.
        overrides: of data and trainer.
        logger: those of the logger.
    """

    place: str
    check: bool
    out: Path | None
    tolerance: float | None
    overrides: list[str]
    logger: list[str]


def main(argv: list[str]) -> int:
    """Shows what differs, trains again and reports."""
    request = _request(argv)
    record = _found(request.place)
    refuse_unfit(record)
    config, left = _configuration(record, request)
    out = request.out or _default_out(record)
    parent = {"run": _absolute(record.place), "why": WHY}
    done = _is_done(out, parent)
    if not request.check:
        preflight(to_plain(config.data))
        if not done:
            _refuse_taken(out)
    rows = _drift(record, config)
    _show(record, config, left, rows, None if request.check else out)
    if request.check:
        return int(any(row.matters for row in rows))
    if not done:
        _train(record, config, request, out, parent)
    return _report(record, config, request, out)


def _request(argv: Sequence[str]) -> Request:
    paths: list[str] = []
    free = [word.partition("=")[0] for word in argv if word.startswith(("data.", "logger."))]
    keys = ("out", "tolerance", "trainer.accelerator", "logger", *free)
    given, options = split(argv, {"--check": bool}, words=paths, keys=keys)
    out, given = take(given, "out")
    tolerance, given = take(given, "tolerance")
    if len(paths) != 1:
        raise UserError("reproduce needs one run", "Give its directory: python -m seqtrain reproduce RUN.")
    logger = [word for word in given if word.startswith("logger")]
    rest = [word for word in given if word not in logger]
    logger = logger if take(logger, "logger")[0] else ["logger=none", *logger]
    return Request(paths[0], options.get("check", False), Path(out) if out else None, _share(tolerance), rest, logger)


def _share(text: str | None) -> float | None:
    try:
        share = None if text is None else float(text)
    except ValueError:
        share = math.nan
    if share is not None and not 0 <= share < math.inf:
        raise UserError(f"tolerance={text}: must be a number of at least 0", "tolerance=0.02 allows two percent.")
    return share


def _found(place: str) -> RunRecord:
    if local.is_evaluation(Path(place)):
        raise UserError(f"{place}: is an evaluation", "Reproduce the training: give the run's directory.")
    records = collect([place])
    if len(records) > 1:
        few = ", ".join(record.place for record in records[:4])
        raise UserError(f"{place}: holds {len(records)} runs", f"Give one of them: {few}.")
    return records[0]


def _configuration(record: RunRecord, request: Request) -> tuple[DictConfig, list[str]]:
    """What is trained, and what was not taken over of what the record says."""
    choices = _choices(record)
    try:
        recorded = of_record(record.config)
        check_all(recorded, choices)
    except UserError as error:
        raise UserError(f"{record.place}: its configuration is refused:\n{error}", _old_code(record)) from error
    given = [override.partition("=")[0] for override in request.overrides]
    config, left = contained(changed(recorded, request.overrides), given=given, logger=request.logger)
    check_all(config, choices)
    return config, left


def _choices(record: RunRecord) -> dict[str, str]:
    found = drift.mapping(record.manifest, "choices")
    return {group: option for group, option in found.items() if re.fullmatch(r"\w+=[\w./-]+", f"{group}={option}")}


def _old_code(record: RunRecord) -> str:
    """How to get the code that a run was made with, as far as it is another; without full stops, to be copied."""
    commit, changes = drift.commit_of(record.manifest), drift.changes_of(record.manifest)
    lines = []
    if commit is not None and commit != (git_state() or {}).get("commit"):
        lines.append(f"the code of then: git checkout {commit}")
    if changes is not None:
        there = (Path(record.place, folder, changes) for folder in ("", "files"))  # W&B keeps them in a folder
        file = next((shlex.quote(str(path)) for path in there if path.is_file()), f"{changes}, a file of the W&B run")
        lines.append(f"its own changes, to be read before they are run: git apply {file}")
    return "\n  ".join(lines)


def _drift(record: RunRecord, config: DictConfig) -> list[drift.Difference]:
    """What differs between the run and the present."""
    # PyTorch tells threads, instructions and GPUs; it takes seconds to import and comes after what could be wrong.
    from seqtrain.commands.train import numerics

    now, content = surroundings("changes.diff")
    text = content.decode("utf-8", ANY_BYTES)
    trainer = config.trainer
    by_config = {key: bool(trainer.get(key)) for key in ("deterministic", "benchmark")}
    now["numerics"] = numerics(_device(trainer.get("accelerator", "auto"))) | by_config
    rows = drift.drift(record.manifest, now, before=record.source.text, here=lambda name: text)
    return rows + drift.configuration(record.config, to_plain(config))


def _device(accelerator: str) -> str:
    """The kind of device that a trainer with this accelerator would take here."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    wanted = {"auto": ("cuda", "mps"), "gpu": ("cuda", "mps"), "cuda": ("cuda",), "mps": ("mps",)}.get(accelerator, ())
    found = next((device for device in wanted if there[device]), None)
    return found or (drift.NONE if accelerator in ("gpu", "cuda", "mps") else "cpu")


def _show(
    record: RunRecord, config: DictConfig, left: Sequence[str], rows: Sequence[drift.Difference], out: Path | None
) -> None:
    """What differs, how to undo it, and what a training would read and write."""
    ended = drift.shown(record.manifest.get("finished"))
    print(f"{drift.shown(record.name)}, finished {ended}: what differs now\n\n{drift.table(rows)}\n")
    differing = {row.what for row in rows}
    if differing & {"commit", "own changes"} and (way := _old_code(record)):
        print(f"  {way}")
    if any(row.what == "device" and row.then == "cpu" for row in rows):
        print("  the device of then: trainer.accelerator=cpu")
    if left:
        print(f"  not taken over: {', '.join(left)}")
    print("".join(f"  reads {place}\n" for place in sources(to_plain(config.data))), end="")
    if out is not None:
        print(f"  writes {out}")
    print(flush=True)


def _train(record: RunRecord, config: DictConfig, request: Request, out: Path, parent: dict[str, str]) -> None:
    accelerator = config.trainer.get("accelerator", "auto")
    if _device(accelerator) == drift.NONE:
        raise UserError(f"trainer.accelerator={accelerator}: there is none here", "Use trainer.accelerator=cpu.")
    from seqtrain.commands.train import run

    def look_at(data: Any) -> None:
        _refuse_other_data(record, data)
        _keep_messages(out)

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    asked = record.manifest.get("overrides")
    asked = [o for o in asked if not str(o).startswith("logger")] if isinstance(asked, list) else []
    overrides = overrides_of(config, [*map(str, asked), *request.overrides, *request.logger])
    choices = {**_choices(record), "logger": str(take(request.logger, "logger")[0])}
    run(config, directory=out, overrides=overrides, choices=choices, parent=parent, look_at=look_at)


def _refuse_other_data(record: RunRecord, data: Any) -> None:
    """Refuses data or tokenizers that are not the recorded ones, as soon as they are there."""
    then = drift.mapping(record.manifest, "data")
    if "test" in drift.mapping(then, "sizes") and not data.has("test"):
        data.setup("test")
    pairs = {
        "data": (then.get("fingerprint"), data.fingerprint),
        "tokenizer": (record.manifest.get("tokenizer_hash"), getattr(data, "tokenizer_hash", None)),
    }
    for what, (had, has) in pairs.items():
        if had is not None and had != has:
            raise UserError(
                f"the {what} is not the run's: its fingerprint was {drift.shown(had)[:12]} and is {str(has)[:12]}",
                "Other data is no reproduction. Where the run's data is, is said by data.KEY=VALUE, as data.root=PATH.",
                code=1,
            )


def _keep_messages(out: Path) -> None:
    """Has the messages written to the run's directory too, as a training's are."""
    out.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(out / "seqtrain.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s: %(message)s"))
    logging.getLogger().addHandler(handler)


def _report(record: RunRecord, config: DictConfig, request: Request, out: Path) -> int:
    """Writes and prints what came of it."""
    made = local.read(out)
    rows = drift.drift(record.manifest, made.manifest, before=record.source.text, here=made.source.text)
    rows += drift.configuration(record.config, made.config)
    reasons = drift.reasons(rows, record.manifest, record.config)
    tolerance = tolerance_of(request.tolerance, reasons)
    found = Reproduction(
        run=record.place,
        directory=str(out),
        tolerance=tolerance,
        reasons=reasons,
        drift=rows,
        metrics=compare(record.results, made.results, tolerance=tolerance),
        curves=curves(record.source.lines(), made.source.lines()),
        same_steps=record.at(SPACING) == made.at(SPACING),
    )
    text = markdown(found, name=record.name)
    write_json(out / "reproduction.json", found.plain())
    write_text(out / "reproduction.md", text)
    print(f"\n{text}\nwritten: {out / 'reproduction.md'}, {out / 'reproduction.json'}")
    return 0 if found.reproduced else 1


def _default_out(record: RunRecord) -> Path:
    """A name out of a record may be a path."""
    name = re.sub(r"[^\w-]+", "-", record.name).strip("-") or "run"
    return Path("reproductions", name[:80], datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))


def _refuse_taken(out: Path) -> None:
    refuse_existing(out, key="out")
    if (out / ".hydra").exists():
        raise UserError(f"{out}: has the configuration of a run that did not begin", "Write elsewhere: out=PATH.")


def _absolute(place: str) -> str:
    return str(Path(place).resolve()) if Path(place).exists() else place


def _is_done(out: Path, parent: dict[str, str]) -> bool:
    """Whether this is a reproduction of that run which was stopped, gone on with and finished: it is only compared."""
    return Run.exists(out) and is_finished(out) and Run(out).manifest.get("parent") == parent
