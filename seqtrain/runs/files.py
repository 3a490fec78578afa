"""Files that are either wholly there or not there at all."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from seqtrain.errors import UserError

ANY_BYTES = "surrogateescape"
"""What is not UTF-8 is kept as halves of surrogates, which are the same bytes again when they are encoded so."""

PARTIAL = ".part"
"""What the name of a file ends with while it is written."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that takes the place of `path` when the block ends, and leaves no trace if it fails.

    It can be read back. The bytes go beside `path`, to the disk, and are then renamed over it: a reader, or the next
    start after a crash, finds the old content or the new one. Where `path` is a link, it is the file that it leads to;
    what is no regular file, a device or a pipe, is written to as it is.

    Raises:
        UserError: the disk is full, or the folder cannot be written to. What stood at `path` before still does.
    """
    temporary: Path | None = None
    try:
        if _is_special(path):
            with open(path, "wb") as stream:
                yield stream
            return
        target = path.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=PARTIAL)
        temporary = Path(name)
        with os.fdopen(descriptor, "w+b") as file:
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        _remove(temporary)
        raise unwritable(path, error) from error
    except BaseException:
        _remove(temporary)
        raise


def remove_partial(directory: Path) -> None:
    """Removes what processes that were killed have left of files that `replacing` was writing in a run's directory.

    What is made of a finished run, by several processes at a time perhaps, is not looked at.
    """
    for folder, names, files in os.walk(directory):
        names[:] = [name for name in names if name not in ("evaluations", "wandb")]
        for name in files:
            if name.startswith(".") and name.endswith(PARTIAL):
                _remove(Path(folder, name))


def unwritable(path: Path, error: OSError) -> UserError:
    """What to say when `path` could not be written."""
    return UserError(
        f"cannot write {path}: {error.strerror or error}",
        "Free some space, or choose another place; what was there before is unharmed.",
        code=1,
    )


def check_writable(path: Path) -> None:
    """Refuses what `replacing` could not write to, as far as that shows before there is anything to write.

    Raises:
        UserError: `path` is a folder, or its folder cannot be written to.
    """
    try:
        special = _is_special(path)
        place = path if special else next(folder for folder in path.resolve().parents if folder.exists())
        able = not path.is_dir() and (special or place.is_dir()) and os.access(place, os.W_OK)
    except OSError:
        able = False
    if not able:
        raise UserError(f"cannot write {path}", "Name a file, in a folder that can be written to.")


def text_of(path: Path, *, errors: str | None = None) -> str | None:
    """The content of a file in UTF-8; None where there is none, or what is there is no regular file.

    Args:
        path: the file.
        errors: what becomes of bytes that are not UTF-8, as `open` takes it; without it they are an error, but for
            differences of files (`.diff`), which are in whatever encoding the files are (`ANY_BYTES`).

    Raises:
        UserError: it is there, but cannot be read.
    """
    if not path.is_file():
        return None
    try:
        return path.read_text(encoding="utf-8", errors=errors or (ANY_BYTES if path.suffix == ".diff" else "strict"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}", "The run's record is damaged.") from error


def write_text(path: Path, text: str) -> None:
    """Replaces the content of `path` by `text`, in UTF-8, at once. Raises as `replacing`."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Replaces the content of `path` by `value` as JSON, at once. Raises as `replacing`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file()


def _umask() -> int:
    # The only way to read it is to set it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    # Not every file system can do it; the rename itself has happened.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path | None) -> None:
    if path is not None:
        with contextlib.suppress(OSError):
            path.unlink()
