"""What a run was made with: the code's commit, the versions of what it stands on, the hardware."""

import hashlib
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LIMIT = 5 * 2**20
"""Bytes that uncommitted changes may have to be kept with a run."""

SUFFIXES = (".py", ".yaml", ".toml", ".txt", ".css", ".js")
"""Of files that git does not know yet: those that are code, configuration or a list of versions."""


def environment() -> dict[str, Any]:
    """Commit, versions and hardware as plain values, ready for JSON."""
    return {
        "git": git_state(),
        "python": platform.python_version(),
        "versions": versions(),
        "lock": lock(),
        "hardware": hardware(),
    }


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


def changes(source: Path = Path(__file__)) -> str:
    """What the code differs in from its commit, as `git apply` takes it, files that git does not know yet included.

    Empty when nothing differs, git does not track the code, or it is more than `LIMIT`.
    """
    if git_state(source) is None:
        return ""
    root = Path(_git(source.resolve().parent, "rev-parse", "--show-toplevel") or source.resolve().parent)
    parts = [_git(root, "diff", "HEAD", "--binary", "--no-color", "--no-ext-diff", strip=False) or ""]
    unknown = (_git(root, "ls-files", "--others", "--exclude-standard", "-z") or "").split("\0")
    for name in sorted(name for name in unknown if name.endswith(SUFFIXES)):
        nothing = ("diff", "--no-index", "--binary", "--no-color", "--no-ext-diff", "--", os.devnull, name)
        parts.append(_git(root, *nothing, strip=False, codes=(0, 1)) or "")
    text = "".join(parts)
    return text if len(text.encode("utf-8", "surrogateescape")) <= LIMIT else ""


def _git(folder: Path, *arguments: str, strip: bool = True, codes: tuple[int, ...] = (0,)) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, encoding="utf-8", errors="replace", timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    if done.returncode not in codes:
        return None
    return done.stdout.strip() if strip else done.stdout


def versions(package: str = "seqtrain") -> dict[str, str]:
    """The installed versions of a package and of everything that it needs, by name."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(package, "")]
    while waiting:
        name, extra = one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        found[name] = distribution.version
        for needed in map(Requirement, distribution.requires or []):
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(needed.name), own) for own in ("", *needed.extras)]
    return dict(sorted(found.items()))


def lock(package: Path = Path(__file__).parents[1]) -> str | None:
    """SHA-256 of the list of pinned versions beside the code; None where it is installed without one."""
    file = package.parent / "constraints.txt"
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None


def hardware() -> dict[str, Any]:
    """System, processor, cores, memory in GiB; the names of GPUs if torch is there: it is not loaded for this."""
    found: dict[str, Any] = {"system": f"{platform.system()} {platform.machine()}", "processor": _processor()}
    found |= {"cores": _cores(), "memory_gib": _memory()}
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
