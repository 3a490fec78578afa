"""Lines of text files: read, checked and aligned, with the file and the line in every complaint."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import zip_longest
from pathlib import Path
from typing import Any

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
        raise no_file(path) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    if not path.name.endswith(".gz"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is not a whole gzip file: {error}", "Fetch the file again.") from error


def decoded(lines: Iterable[bytes], name: str) -> Iterator[str]:
    """Lines of UTF-8 text one by one, without their ends and without a byte order mark before the first.

    Args:
        lines: as a binary file gives them: only a line feed ends a line.
        name: of the file, for messages.

    Raises:
        UserError: a line is not UTF-8 (which one, and the byte).
    """
    for number, line in enumerate(lines, start=1):
        yield decoded_line(line, name, number)


def decoded_line(line: bytes, name: str, number: int) -> str:
    """Line `number` (1 is the first) as `decoded` gives it; raises as it does."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name}, line {number}: byte 0x{line[error.start]:02x} is not UTF-8",
            "Convert the text, for example: iconv -f latin1 -t utf-8 FILE",
        ) from None
    if number == 1:
        text = text.removeprefix(BOM)
    return text.removesuffix("\n").removesuffix("\r")


def decoded_lines(lines: Iterable[bytes], name: str) -> Iterator[str]:
    """Lines as `decoded` gives them, of a text that has some.

    Raises:
        UserError: as `decoded`, or there is no line with something in it.
    """
    blank: list[str] = []
    something = False
    for line in decoded(lines, name):
        if not something and is_blank(line):
            blank.append(line)
            continue
        if not something:
            something = True
            yield from blank
        yield line
    if not something:
        raise UserError(f"{name} is empty", "It must hold one sentence a line.")


def lines_of(file: Path | BytesIO, name: str) -> Iterator[str]:
    """The lines of a file as `decoded_lines` gives them, decompressed when its name ends in `.gz`; as they are read.

    Args:
        file: its path, or the file itself, opened.
        name: for messages.

    Raises:
        UserError: as `decoded_lines`; there is no such file, it cannot be read, or its compressed content is broken.
    """
    try:
        with file.open("rb") if isinstance(file, Path) else file as raw, _plain(raw, name) as text:
            yield from decoded_lines(text, name)
    except FileNotFoundError:
        raise no_file(name) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{name} is not a whole gzip file: {error}", "Fetch the file again.") from error
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror or error}") from error


def _plain(raw: Any, name: str) -> Any:
    return gzip.open(raw) if name.endswith(".gz") else raw


def no_file(name: object) -> UserError:
    """What to say when there is no such file."""
    return UserError(f"there is no file {name}", "Check the path; relative paths start where the command runs.")


def is_blank(text: str) -> bool:
    """Whether there is nothing in `text` but white space."""
    return not text or text.isspace()


def check_characters(pair: Iterable[str], name: str) -> None:
    """Refuses text with half a character, as escapes in JSON can make it: it can neither be kept nor tokenised.

    Args:
        pair: texts.
        name: of the pair, for messages.

    Raises:
        UserError: a text is no Unicode.
    """
    try:
        for text in pair:
            text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{name} is no text: {error.reason}", "Half a character is escaped.") from None


def aligned(sources: Iterable[str], targets: Iterable[str], names: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """Line by line, two texts that are translations of each other; a mistake is raised when it has been come to.

    Args:
        sources: lines of the one.
        targets: lines of the other.
        names: of both, for messages.

    Raises:
        UserError: the numbers of lines differ, or a side of a pair is empty.
    """
    pairs = zip_longest(sources, targets)
    empty: UserError | None = None
    for number, (source, target) in enumerate(pairs, start=1):
        if source is None or target is None:
            raise _uneven(number, (source, target), sum(1 for _ in pairs), names)
        # A line too many or too few shifts all behind it: that both have as many is found out first.
        if empty is None and (is_blank(source) or is_blank(target)):
            empty = empty_side(names[not is_blank(source)], number)
        if empty is None:
            yield source, target
    if empty is not None:
        raise empty


def empty_side(name: str, number: int, unit: str = "line") -> UserError:
    """What to say of a pair with an empty side: there is nothing to learn from it."""
    return UserError(f"{name}, {unit} {number} is empty", "Remove the pair from both sides, or fill the side.")


def _uneven(number: int, pair: tuple[str | None, str | None], more: int, names: tuple[str, str]) -> UserError:
    longer = 0 if pair[1] is None else 1
    counts = [number - 1, number - 1]
    counts[longer] = number + more
    return UserError(
        f"line counts differ: {names[0]} has {counts[0]} lines, {names[1]} has {counts[1]}; "
        f"the first without a partner is line {number} of {names[longer]}: {shown(pair[longer] or '')}",
        "Line n of one file must be the translation of line n of the other.",
    )
