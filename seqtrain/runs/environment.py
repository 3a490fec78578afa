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

SUFFIXES = (".py", ".yaml", ".toml", ".css", ".js")
"""Of files that git does not know yet: those that are code or configuration."""

BESIDE = ("conf", "hydra_plugins")
"""Folders beside the package that have code or configuration."""

DIFF = ("diff", "--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/", "-U3")
"""Whatever git's settings are, what it prints can be applied."""


def environment() -> dict[str, Any]:
    """Commit, versions and hardware as plain values, ready for JSON."""
    return {
        "git": git_state(),
        "python": platform.python_version(),
        "versions": versions(),
        "lock": lock(),
        "hardware": hardware(),
    }


def surroundings(name: str) -> tuple[dict[str, Any], bytes]:
    """The environment, and in what the code differs from its commit, to be kept in a file of that name.

    `changes` of `git` is the name, null where that is not known or too long to be kept, and absent where no code
    differs.
    """
    found, content = environment(), changes()
    if found["git"] and content != b"":
        found["git"]["changes"] = name if content else None
    return found, content or b""


def git_state(source: Path = Path(__file__)) -> dict[str, Any] | None:
    """The commit that the code is at and whether a file that git knows differs from it; `None` where it knows no code.

    An installed package can lie inside a repository that does not track it (a virtual environment in a project's
    folder): that project's commit says nothing about this code, so it is not reported.

    Args:
        source: a file of the code.
    """
    folder = source.resolve().parent
    if _git(folder, "ls-files", "--error-unmatch", source.name) is None:
        return None
    commit, status = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain", "--untracked-files=no")
    if commit is None:
        return None
    return {"commit": _text(commit), "dirty": None if status is None else bool(status)}


def changes(package: Path = Path(__file__).parents[1]) -> bytes | None:
    """What the code differs in from its commit, as `git apply` takes it.

    Files that git does not know yet are included where they are code or configuration: in the package and, beside it,
    in the folders `BESIDE`. Elsewhere they may be anything, and nobody's affair.

    Args:
        package: the folder of the code.

    Returns:
        Empty when nothing differs or git does not track the code; None when git fails, or it is more than `LIMIT`.
    """
    package = package.resolve()
    if git_state(package / "__init__.py") is None:
        return b""
    top = _git(package, "rev-parse", "--show-toplevel")
    if top is None:
        return None
    root = Path(_text(top))
    folders = [str(package), *(str(package.parent / name) for name in BESIDE)]
    names = _git(root, "--literal-pathspecs", "ls-files", "--others", "--exclude-standard", "-z", "--", *folders)
    if names is None:
        return None
    parts = [_git(root, *DIFF, "HEAD")]
    for name in sorted(name for name in map(os.fsdecode, names.split(b"\0")) if name.endswith(SUFFIXES)):
        parts.append(_git(root, *DIFF, "--no-index", "--", os.devnull, name, codes=(0, 1)))
    known = [part for part in parts if part is not None]
    content = b"".join(known)
    return content if len(known) == len(parts) and len(content) <= LIMIT else None


def _git(folder: Path, *arguments: str, codes: tuple[int, ...] = (0,)) -> bytes | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode in codes else None


def _text(output: bytes) -> str:
    return os.fsdecode(output).removesuffix("\n")


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
