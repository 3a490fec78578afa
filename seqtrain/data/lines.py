"""Lines of text files: read, checked and aligned, with the file and the line in every complaint."""

import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path

from seqtrain.errors import UserError

BOM = "\ufeff"


def shown(text: str, width: int = 60) -> str:
    """`text` as it stands in a message: quoted, and cut at `width` characters."""
    return repr(text if len(text) <= width else text[: width - 1] + "…")


def read_bytes(path: Path) -> bytes:
    """The content of a file, decompressed when its name ends in `.gz`.

    Raises:
        UserError: there is no such file, it cannot be read, or its compressed content is broken.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"there is no file {path}", "Check the path; relative paths start where the command runs."
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    return decompressed(content, str(path))


def decompressed(content: bytes, name: str) -> bytes:
    """`content`, decompressed when `name` ends in `.gz`; a broken one is a `UserError`."""
    if not name.endswith(".gz"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{name} is not a whole gzip file: {error}", "Fetch the file again.") from error


def decoded(lines: Iterable[bytes], name: str) -> Iterator[str]:
    """Lines of UTF-8 text one by one, without their ends and without a byte order mark before the first.

    Args:
        lines: as a binary file gives them: only a line feed ends a line.
        name: of the file, for messages.

    Raises:
        UserError: a line is not UTF-8 (which one, and the byte).
    """
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{name}, line {number}: byte 0x{line[error.start]:02x} is not UTF-8",
                "Convert the text, for example: iconv -f latin1 -t utf-8 FILE",
            ) from None
        if number == 1:
            text = text.removeprefix(BOM)
        yield text.removesuffix("\n").removesuffix("\r")


def decoded_lines(content: bytes, name: str) -> list[str]:
    """All the lines of a text, as `decoded` gives them.

    Raises:
        UserError: as `decoded`, or there is no line with something in it.
    """
    lines = list(decoded(BytesIO(content), name))
    if not any(line.strip() for line in lines):
        raise UserError(f"{name} is empty", "It must hold one sentence a line.")
    return lines


def check_aligned(sources: Sequence[str], targets: Sequence[str], source_name: str, target_name: str) -> None:
    """Refuses two texts that are not line by line translations of each other.

    Raises:
        UserError: the numbers of lines differ, or a side of a pair is empty.
    """
    if len(sources) != len(targets):
        longer, name = (sources, source_name) if len(sources) > len(targets) else (targets, target_name)
        first = min(len(sources), len(targets))
        raise UserError(
            f"line counts differ: {source_name} has {len(sources)} lines, {target_name} has {len(targets)}; "
            f"the first without a partner is line {first + 1} of {name}: {shown(longer[first])}",
            "Line n of one file must be the translation of line n of the other.",
        )
    check_filled(sources, source_name)
    check_filled(targets, target_name)


def check_filled(lines: Sequence[str], name: str, unit: str = "line") -> None:
    """Refuses a text with an empty line: such a pair has no side to learn from."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise UserError(f"{name}, {unit} {number} is empty", "Remove the pair from both sides, or fill the side.")
