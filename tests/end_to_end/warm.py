"""`python -m seqtrain` in processes that a server forks which has imported what takes long: PyTorch and Lightning."""

import atexit
import os
import runpy
import subprocess
import sys
import tempfile
from multiprocessing import get_context
from multiprocessing.forkserver import ensure_running
from pathlib import Path

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


def _work(words: list[str], folder: Path, environment: dict[str, str], streams: list[Path]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, (stream, flags) in enumerate(zip(streams, (os.O_RDONLY, *[os.O_WRONLY | os.O_CREAT] * 2), strict=True)):
        os.dup2(os.open(stream, flags), number)
    _set_rank(int(environment.get("RANK", 0)))
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.path[0] = environment["PYTHONPATH"]
    sys.argv = ["seqtrain", *words]
    try:
        runpy.run_module("seqtrain", run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
