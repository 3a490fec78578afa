"""What a run was made with: the code's commit, the versions of what it stands on, the hardware."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "seqtrain",
    "torch",
    "pytorch-lightning",
    "torchmetrics",
    "hydra-core",
    "omegaconf",
    "numpy",
    "sacrebleu",
    "datasets",
    "tokenizers",
    "wandb",
)


def environment() -> dict[str, Any]:
    """Commit, versions and hardware as plain values, ready for JSON."""
    return {"git": git_state(), "python": platform.python_version(), "versions": versions(), "hardware": hardware()}


def git_state(source: Path = Path(__file__)) -> dict[str, Any] | None:
    """The commit that the code is at and whether anything differs from it; `None` when git does not track the code.

    An installed package can lie inside a repository that does not track it (a virtual environment in a project's
    folder): that project's commit says nothing about this code, so it is not reported.

    Args:
        source: a file of the code.
    """
    folder = source.resolve().parent
    if _git(folder, "ls-files", "--error-unmatch", source.name) is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain"))}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def versions() -> dict[str, str]:
    """The installed versions of the packages that results depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Processor, cores, memory in GiB; the names of GPUs if torch is loaded already (it is not loaded for this)."""
    found: dict[str, Any] = {"processor": _processor(), "cores": _cores(), "memory_gib": _memory()}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return found


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None
