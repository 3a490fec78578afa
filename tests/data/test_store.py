"""Entries of the cache, and what is left of those that were not finished."""

import fcntl
import os
from pathlib import Path

from seqtrain.data.store import MAKING, entry


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_makes_is_not(tmp_path: Path) -> None:
    for name in (f"{MAKING}left", f"{MAKING}made", ".making-elsewhere-left"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").touch()
    living = os.open(tmp_path / f"{MAKING}made", os.O_RDONLY)
    fcntl.flock(living, fcntl.LOCK_EX)
    made = entry(tmp_path, "key", lambda work: (work / "whole").touch())
    os.close(living)
    assert {file.name for file in tmp_path.iterdir()} == {f"{MAKING}made", ".making-elsewhere-left", "key"}
    assert [file.name for file in made.iterdir()] == ["whole"]
