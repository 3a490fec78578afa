"""A training that is killed at random moments, and gone on with, ends as if it had never been stopped."""

from pathlib import Path

from tests.end_to_end.kills import Kills


def test_a_training_that_is_killed_again_and_again_ends_as_if_it_never_was(tmp_path: Path) -> None:
    kills = Kills(tmp_path)
    kills.kill(10)
    assert kills.counted.total() == 10
