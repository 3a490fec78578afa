"""What a training on more processes is expected to do, from numbers that a user gives."""

import pytest

from benchmarks import plan

WORDS = ["parameters=60e6", "tokens_per_second=40000", "batch_tokens=8192", "bandwidth=25", "latency=10"]


def test_a_table_of_the_numbers_of_processes(capsys: pytest.CaptureFixture[str]) -> None:
    plan.main([*WORDS, "processes=1,8", "spread=0"])
    assert [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines()[2:]] == ["| 1", "| 8"]
    plan.main(["--help"])
    assert "parameters=N tokens_per_second=N" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fast"], "fast: is not written key=value"),
        (["parameters=60e6"], "tokens_per_second: a value is needed, a number above 0"),
        ([*WORDS, "parameters=abc"], "parameters=abc: must be a number above 0"),
        ([*WORDS, "bandwidth=0"], "bandwidth=0: must be a number above 0"),
        ([*WORDS, "latency=-10"], "latency=-10: must be a number of at least 0"),
        ([*WORDS, "overlap=2"], "overlap=2: must be a number from 0 to 1"),
        ([*WORDS, "bandwith=9"], "bandwith: no such key; did you mean bandwidth? Keys: "),
        ([*WORDS, "processes=1,x"], "processes=1,x: must be whole numbers of at least 1"),
    ],
)
def test_mistakes_are_said_in_one_message(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        plan.main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(message)
