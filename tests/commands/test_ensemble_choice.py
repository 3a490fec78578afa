"""Which runs and checkpoints can translate together: settled before torch is imported."""

from pathlib import Path

import pytest

from seqtrain.config.arguments import several
from seqtrain.errors import UserError
from seqtrain.runs.chosen import choose
from tests.commands.test_before_torch import made


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    runs = {"a": [], "b": ["model=lstm"], "back": ["data.source=en", "data.target=de"], "other": []}
    for name, overrides in runs.items():
        run = made(folder / name, *overrides)
        (run / "checkpoints" / "last.ckpt").touch()
        (run / "tokenizer").mkdir()
        (run / "tokenizer" / "tokenizer.json").write_text("{}" if name != "other" else "{ }")
    made(folder / "brackets", "data=brackets")
    made(folder / "with,comma")
    return folder


def test_runs_and_checkpoints(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    one = choose(["run=a"])
    assert (one.checkpoint.name, one.others) == ("best.ckpt", ())
    two = choose(["run=a,b", "decoding=beam"])
    assert [(o.run.directory.name, o.checkpoint.name) for o in (two, *two.others)] == [
        ("a", "best.ckpt"),
        ("b", "best.ckpt"),
    ]
    assert two.config.decoding.beam == 5
    assert two.others[0].config.model._target_.endswith("LSTM")
    checkpoints = choose(["run=a", "checkpoint=best,a/checkpoints/last.ckpt"])
    assert [o.checkpoint.name for o in (checkpoints, *checkpoints.others)] == ["best.ckpt", "last.ckpt"]
    four = choose(["run=a,b", "checkpoint=best,last"])
    assert len({o.checkpoint for o in (four, *four.others)}) == 4
    assert choose(["run=with,comma"]).others == ()
    assert several("x,y") == ["x", "y"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run=a,other"], "a and .*other have different tokenizers"),
        (["run=a,back"], "a translates de→en and .*back en→de"),
        (["run=a,brackets"], "brackets was trained for labelling, not for translation"),
        (["run=a,./a"], "run= names a twice"),
        (["run=a", "checkpoint=best,best"], "checkpoint=best,best names one twice"),
        (["run=a,b", "checkpoint=x.ckpt"], "of several runs, it must be best"),
        (["run=a,nope"], "no run at nope"),
        (["run=,"], "no run at ,"),
    ],
)
def test_mistakes(arguments: list[str], message: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    with pytest.raises(UserError, match=message):
        choose(arguments)
