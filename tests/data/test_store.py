"""Entries of the cache, and what is left of those that were not finished."""

import fcntl
import os
from pathlib import Path

from seqtrain.data.store import entry


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_makes_is_not(tmp_path: Path) -> None:
    for name in ("left", "made"):
        (tmp_path / f".making-{name}").mkdir()
        (tmp_path / f".making-{name}" / "part").touch()
    living = os.open(tmp_path / ".making-made", os.O_RDONLY)
    fcntl.flock(living, fcntl.LOCK_EX)
    made = entry(tmp_path, "key", lambda work: (work / "whole").touch())
    os.close(living)
    assert sorted(file.name for file in tmp_path.iterdir()) == [".making-made", "key"]
    assert [file.name for file in made.iterdir()] == ["whole"]
