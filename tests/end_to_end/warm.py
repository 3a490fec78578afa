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


def run(words: list[str], folder: Path, environment: dict[str, str], stdin: bytes) -> subprocess.CompletedProcess[str]:
    """Runs `python -m seqtrain` with these words to its end."""
    _start_server()
    with tempfile.TemporaryDirectory() as place:
        streams = [Path(place) / name for name in ("stdin", "stdout", "stderr")]
        streams[0].write_bytes(stdin)
        process = CONTEXT.Process(target=_work, args=(words, folder, environment, streams))
        process.start()
        process.join(240)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, 240, streams[1].read_bytes(), streams[2].read_bytes())
        out, error = (stream.read_bytes().decode() for stream in streams[1:])
    return subprocess.CompletedProcess(words, process.exitcode, out, error)


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


def _work(words: list[str], folder: Path, environment: dict[str, str], streams: list[Path]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, (stream, flags) in enumerate(zip(streams, (os.O_RDONLY, *[os.O_WRONLY | os.O_CREAT] * 2), strict=True)):
        os.dup2(os.open(stream, flags), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.path[0] = environment["PYTHONPATH"]
    sys.argv = ["seqtrain", *words]
    try:
        runpy.run_module("seqtrain", run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
