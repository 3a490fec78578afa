"""What tests of commands in processes of their own share."""

import multiprocessing
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
RANKS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_NTASKS", "SLURM_PROCID", "SEQTRAIN_RUN_DIR")
"""Variables by which a process takes itself for one of several."""

WITHOUT_TORCH = """
    import runpy, sys
    try:
        runpy.run_module("seqtrain", run_name="__main__", alter_sys=True)
    finally:
        if {"torch", "pytorch_lightning"} & set(sys.modules):
            sys.exit("torch was imported")
"""
"""Python that is `python -m seqtrain`, and for which importing torch is a failure."""


@contextmanager
def short_work(jobs: int = 1) -> Iterator[None]:
    """The processes that are run within take less than two seconds of a processor for each job."""
    multiprocessing.active_children()  # takes leave of those that have ended, whose time would count here
    subprocess._cleanup()  # type: ignore[attr-defined]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < 2 * jobs


def assert_one_message(done: subprocess.CompletedProcess[str], message: str) -> None:
    """A command refused what it was given: it says what is wrong, and does nothing else."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("seqtrain: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
