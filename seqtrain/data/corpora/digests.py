"""Digests of files, those of large ones taken once as long as nobody touches the file."""

import hashlib
import json
import os
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

from seqtrain.data.lines import no_file
from seqtrain.data.store import write_text
from seqtrain.errors import UserError

KEPT_FROM = 64 << 20
"""Digests of files of this many bytes or more are kept."""
SETTLED = 2.0
"""Seconds within which a file may be changed twice and its times not show it, on a disk that counts in whole ones."""


def file_digest(file: Path | BytesIO, cache: Path | None = None) -> str:
    """sha256 (hex) of the bytes of a file.

    That of a large file is kept under `cache`, with the file's number, size and both of its times; it is
    taken for the present one while these are the same. The time of the last change of status cannot be set back, so
    that a file whose time of modification was copied with it is read again too.

    Args:
        file: its path, or the file itself, opened.
        cache: folder in which digests are kept; `None` keeps none.

    Raises:
        UserError: it is not there, or cannot be read.
    """
    if not isinstance(file, Path):
        return hashlib.file_digest(file, "sha256").hexdigest()
    try:
        with file.open("rb") as stream:
            state = _state(stream)
            if cache is None or state["size"] < KEPT_FROM:
                return hashlib.file_digest(stream, "sha256").hexdigest()
            kept = cache / "digests" / f"{hashlib.sha256(os.fsencode(file.resolve())).hexdigest()[:32]}.json"
            if known := _known(kept, state):
                return known
            settled = time.time() - max(state["modified"], state["changed"]) / 1e9 > SETTLED
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            if settled and _state(stream) == state:
                with suppress(OSError):  # a cache that others have made is not always ours to write to
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    write_text(kept, json.dumps({**state, "sha256": digest}) + "\n")
            return digest
    except FileNotFoundError:
        raise no_file(file) from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}") from error


def _state(stream: Any) -> dict[str, int]:
    found = os.fstat(stream.fileno())
    return {
        "number": found.st_ino,
        "size": found.st_size,
        "modified": found.st_mtime_ns,
        "changed": found.st_ctime_ns,
    }


def _known(kept: Path, state: dict[str, int]) -> str | None:
    try:
        found = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = isinstance(found, dict) and {**found, **state} == found
    return str(found["sha256"]) if same and "sha256" in found else None
