"""One training at a time in a run's directory."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from seqtrain.config.team import later_rank
from seqtrain.errors import UserError
from seqtrain.runs.markdown import printable

LOCK = ".lock"
"""The file in a run's directory that the process which trains there has locked; gone when that has ended by itself."""
TAKEN = (errno.EAGAIN, errno.EACCES)


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Holds a run's directory: no other process trains there until the block, or this process, ends.

    Of the processes of one run, rank zero does; where files cannot be locked, nobody does.

    Args:
        directory: the run's; it exists.

    Raises:
        UserError: another process trains there; names it.
    """
    path = directory / LOCK
    held = None if later_rank() else _lock(path)
    try:
        yield
    finally:
        if held is not None:
            with suppress(OSError):
                path.unlink()
            os.close(held)


def _lock(path: Path) -> int | None:
    """What to close to let go of a file; None where it cannot be locked."""
    while True:
        try:
            opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return None  # what cannot be written is said of what matters
        try:
            # Not `flock`: a loader's worker process, forked, would hold that for seconds after this one was killed.
            fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(opened), path.stat()):
                _sign(opened)
                return opened
        except FileNotFoundError:
            pass  # who held it until now has removed it
        except OSError as error:
            holder = printable(os.read(opened, 300).decode(errors="replace").strip())
            os.close(opened)
            if error.errno not in TAKEN:
                return None  # not every network file system has locks
            raise UserError(
                f"another process trains in {path.parent}" + (f": {holder}" if holder else ""),
                "Wait for it, or end it.",
            ) from error
        os.close(opened)


def _sign(opened: int) -> None:
    with suppress(OSError):  # the disk is full
        os.ftruncate(opened, 0)
        os.write(opened, f"process {os.getpid()} on {os.uname().nodename}\n".encode())
