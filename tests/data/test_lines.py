"""Lines of text, out of files and out of streams, by the same rules."""

from io import BytesIO

import pytest

from seqtrain.data.lines import decoded, decoded_lines
from seqtrain.errors import UserError


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a\nb\n", ["a", "b"]),
        ("\ufeffa\r\n\r\nb".encode(), ["a", "", "b"]),
        ("a\u2028b\x0bc\rd\n\ufeffe\n".encode(), ["a\u2028b\x0bc\rd", "\ufeffe"]),
    ],
)
def test_only_a_line_feed_ends_a_line(content: bytes, lines: list[str]) -> None:
    assert list(decoded(BytesIO(content), "text")) == lines
    assert list(decoded_lines(BytesIO(content), "text")) == lines


def test_what_is_not_utf_8_is_named_by_file_and_line() -> None:
    content = b"\xef\xbb\xbfein Hund\nein B\xe4r\n"
    for read in (decoded, decoded_lines):
        with pytest.raises(UserError, match=r"in\.txt, line 2: byte 0xe4 is not UTF-8") as error:
            list(read(BytesIO(content), "in.txt"))
        assert error.value.code == 2


def test_lines_come_as_they_are_read() -> None:
    lines = decoded(iter([b"a\n", b"\xff\n"]), "text")
    assert next(lines) == "a"
    with pytest.raises(UserError, match="line 2"):
        next(lines)
