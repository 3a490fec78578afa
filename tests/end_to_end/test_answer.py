"""Questions about stories: a reader is trained, tested, measured again, and asked."""

import json
from pathlib import Path

import pytest

from seqtrain.commands import evaluate
from tests.end_to_end.conftest import Seqtrain, message

NAMES = ("Mary", "John", "Sandra", "Daniel")
PLACES = ("garden", "kitchen", "office")
TINY = ("model.embedding=12", "model.hidden=12", "data.batch_size=8", "optimizer.lr=0.02", "trainer.max_epochs=5")
SMALL = (
    *TINY,
    "callbacks.attention_maps.examples=2",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
    "logger=none",
    "seed=2",
)


def written(folder: Path) -> Path:
    """A task of bAbI: where somebody is, of whom one sentence was told."""
    place = folder / "babi" / "en"
    place.mkdir(parents=True)
    texts = []
    for number in range(36):
        name, other = NAMES[number % 4], NAMES[(number + 1 + number // 12) % 4]
        here, there = PLACES[number // 4 % 3], PLACES[(number + number // 5) % 3]
        facts = [f"{name} went to the {here}.", f"{other} moved to the {there}."][:: 1 if number % 2 else -1]
        support = 1 if number % 2 else 2
        texts.append("".join(f"{i} {fact}\n" for i, fact in enumerate(facts, 1)))
        texts.append(f"3 Where is {name}?\t{here}\t{support}\n")
    for split in ("train", "test"):
        (place / f"qa1_single_{split}.txt").write_text("".join(texts))
    return folder / "babi"


def test_a_reader_answers(
    seqtrain: Seqtrain, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ("data=babi", f"data.root={written(tmp_path)}", "data.variant=en")
    done = seqtrain("model=attention", *data, *SMALL, "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    pictures = sorted(path.name for path in (run / "figures").glob("attention-*.png"))
    assert pictures == [f"attention-{index}.png" for index in (0, 18)]
    monkeypatch.chdir(tmp_path)
    assert evaluate.main([f"run={run}"]) == 0
    measured = json.loads(capsys.readouterr().out)["metrics"]

    tests = tmp_path / "babi" / "en" / "qa1_single_test.txt"
    done = seqtrain("answer", "run=run", "--json", "--input", tests)
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    right = sum(answer["answer"] == answer["expected"] for answer in found)
    assert right / 36 == pytest.approx(measured["test/accuracy"], abs=1e-4)
    assert all(sum(answer["hops"][0]) == pytest.approx(1, abs=1e-3) for answer in found)

    done = seqtrain("answer", "run=run", stdin="Mary went to the garden.\nWhere is Mary now?\n")
    assert done.returncode == 0
    first, *table = done.stdout.splitlines()
    assert first.startswith("where is mary now? ")
    assert table == ["  hop 1", "   1.00  1 mary went to the garden"]
    assert done.stderr.splitlines() == [
        "seqtrain: standard input, line 2: not in the training text, and read as one unknown word: now"
    ]
    refused = seqtrain("answer", "run=run", stdin="Where is Mary?\n")
    assert "standard input, line 1: there is no sentence before the question" in message(refused, 2)
