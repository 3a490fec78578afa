"""`python -m seqtrain` in processes that a server forks which has imported what takes long: PyTorch and Lightning."""

import atexit
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import Any

HALT = "HALT_WHILE_THERE"
"""A variable of the environment: the path of a file, while which is there the process stands still before it writes
a `last.ckpt`, until it gets SIGCONT. So it cannot be missed, however slowly a test looks.
"""

IMPORTED = ["torch", "pytorch_lightning", "torchmetrics", "sacrebleu", "tokenizers", "matplotlib.figure"]
"""What the server imports: nothing of ours, whose start is tested, and not W&B, which is one process's own."""

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(IMPORTED)


class Started:
    """`python -m seqtrain` with some words, begun.

    Args:
        words: the arguments.
        folder: where it runs.
        environment: all of its variables.
        stdin: what it reads.
    """

    def __init__(self, words: list[str], folder: Path, environment: dict[str, str], stdin: bytes = b"") -> None:
        _start_server()
        self.words = words
        self._halting = Path(environment.get(HALT, ""))
        self._place = tempfile.TemporaryDirectory()
        self._streams = [Path(self._place.name) / name for name in ("stdin", "stdout", "stderr")]
        self._streams[0].write_bytes(stdin)
        self._process = CONTEXT.Process(target=_work, args=(words, folder, environment, self._streams))
        self._process.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.exitcode is None

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self._process.pid is not None
        return self._process.pid

    def send_signal(self, number: int) -> None:
        """Sends it a signal, if it has not ended."""
        if self.running and self._process.pid is not None:
            os.kill(self._process.pid, number)

    @contextmanager
    def halted(self) -> Iterator[None]:
        """It stands still when the block begins (`halting`), and goes on to its end behind that."""
        try:
            self.wait_for_halt()
            yield
        finally:
            self._halting.unlink()
            self.send_signal(signal.SIGCONT)

    def wait_for_halt(self) -> None:
        """Waits until it stands still; SIGCONT lets it go on to the next time."""
        deadline = time.monotonic() + 120
        while True:
            assert self.running, self.wait()
            assert time.monotonic() < deadline
            if Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
                return
            time.sleep(0.005)

    def wait(self, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Waits for its end, and kills it where that does not come; of what a signal ended, the code is -NUMBER."""
        self._process.join(timeout)
        late = self.running
        if late:
            self._process.kill()
            self._process.join()
        out, error = (path.read_bytes() if path.exists() else b"" for path in self._streams[1:])
        self._place.cleanup()
        if late:
            raise subprocess.TimeoutExpired(self.words, timeout, out, error)
        return subprocess.CompletedProcess(self.words, self._process.exitcode, out.decode(), error.decode())


def halting(folder: Path) -> dict[str, str]:
    """Variables for a process that is to stand still when it writes its last checkpoint: see `Started.halted`."""
    file = folder / "halting"
    file.touch()
    return {HALT: str(file)}


def _start_server() -> None:
    """The number of threads is read when PyTorch is imported."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        ensure_running()
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _set_rank(rank: int) -> None:
    """Lightning looks at the environment when it is imported, which was before this process was one of several."""
    from lightning_utilities.core.rank_zero import rank_zero_only

    rank_zero_only.rank = rank


def _halt(event: str, args: tuple[Any, ...]) -> None:
    if event == "tempfile.mkstemp" and "/.last.ckpt." in str(args[0]) and Path(os.environ[HALT]).exists():
        os.kill(os.getpid(), signal.SIGSTOP)


def _work(words: list[str], folder: Path, environment: dict[str, str], streams: list[Path]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, (stream, flags) in enumerate(zip(streams, (os.O_RDONLY, *[os.O_WRONLY | os.O_CREAT] * 2), strict=True)):
        os.dup2(os.open(stream, flags), number)
    if HALT in os.environ:
        sys.addaudithook(_halt)
    _set_rank(int(environment.get("RANK", 0)))
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.path[0] = environment["PYTHONPATH"]
    sys.argv = ["seqtrain", *words]
    try:
        runpy.run_module("seqtrain", run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
