"""Show how the jobs stand that were sent to SLURM.

  python -m seqtrain jobs [DIR...]

  DIR                           a directory that jobs were sent from: of a multirun, or of a run that was sent alone;
                                all in multirun/ and runs/ without it

What SLURM has in its queue, what the record of each run says, and how to send again what is not finished.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from seqtrain.config.arguments import split
from seqtrain.errors import UserError
from seqtrain.runs.markdown import grid
from seqtrain.slurm.cluster import queue
from seqtrain.slurm.sent import FOLDER, Sent
from seqtrain.slurm.standing import Standing, standings

HEAD = ("job", "overrides", "SLURM", "run", "epoch", "step", "best", "restarts", "elapsed", "log")

PLACES = ("multirun", "runs")


def main(argv: list[str]) -> int:
    """Prints a table for each directory; what could not be found out of a queue or a run is said behind them."""
    words: list[str] = []
    split(argv, {}, words=words)
    sent = [Sent.read(directory) for directory in _directories(words)]
    known: dict[str, str] | None = None
    problems: list[UserError] = []
    try:
        known = queue()
    except UserError as error:
        problems.append(error)
    tables = [(one, standings(one, known)) for one in sent]
    print("\n\n".join(_shown(one, jobs) for one, jobs in tables))
    problems += [job.damage for _, jobs in tables for job in jobs if job.damage is not None]
    if problems:
        raise UserError("\n".join(map(str, problems)), code=problems[0].code)
    return 0


def _directories(words: Sequence[str]) -> list[Path]:
    for word in words:
        if not Sent.exists(Path(word)):
            there = "nothing was sent to SLURM from there" if Path(word).is_dir() else "there is no such directory"
            raise UserError(f"{word}: {there}", f"Directories that jobs were sent from: {_listed()}.")
    found = [Path(word) for word in words] or list(_found())
    if not found:
        raise UserError(
            f"nothing was sent to SLURM from {' or '.join(f'{place}/' for place in PLACES)}",
            "Send something: python -m seqtrain -m launcher=slurm seed=1,2,3. Or name a directory.",
        )
    return found


def _found() -> Iterator[Path]:
    for place in PLACES:
        yield from sorted(path.parents[1] for path in Path(place).glob(f"**/{FOLDER}/jobs.json"))


def _listed() -> str:
    return ", ".join(map(str, _found())) or "none"


def _shown(sent: Sent, jobs: Sequence[Standing]) -> str:
    every = [set(job.overrides) for job in jobs]
    common = set.intersection(*every) if len(every) > 1 else set()
    asked = [override.lstrip("+") for override in jobs[0].overrides if override in common] if jobs else []
    counts = Counter(job.run or job.slurm for job in jobs)
    title = f"{sent.directory}: {len(jobs)} job{'' if len(jobs) == 1 else 's'}, " + ", ".join(
        f"{count} {name}" for name, count in counts.items()
    )
    rows = [
        [
            str(job.number),
            " ".join(override.lstrip("+") for override in job.overrides if override not in common),
            *(job.slurm, job.run, job.epoch, job.step, job.best, str(job.restarts), job.elapsed, str(job.log)),
        ]
        for job in jobs
    ]
    parts = [title, *([f"all: {' '.join(asked)}"] if asked else []), "", grid(HEAD, rows)]
    if any(job.is_left for job in jobs):
        parts += ["", "to send again what is not finished:", f"  {sent.again}"]
    return "\n".join(parts)
