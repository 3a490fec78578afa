"""Files that are replaced at once, and what is no such file."""

import os
from pathlib import Path

import pytest

from seqtrain.errors import UserError
from seqtrain.runs.files import check_writable, write_text


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("old")
    (tmp_path / "link").symlink_to("folder/file")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "file").read_text() == "new"
    assert os.listdir(tmp_path / "folder") == ["file"]


def test_devices_and_pipes_are_written_to(tmp_path: Path) -> None:
    check_writable(Path(os.devnull))
    write_text(Path(os.devnull), "nothing")
    assert Path(os.devnull).is_char_device()
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_text(tmp_path / "pipe", "ä\n")
    assert os.read(reader, 10).decode() == "ä\n"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_what_cannot_be_written_shows_before(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "new", tmp_path / "new" / "folder" / "file"):
        check_writable(place)
    for place in (tmp_path, tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="cannot write"):
            check_writable(place)
        with pytest.raises(UserError, match="cannot write"):
            write_text(place, "")
