"""BLEU: the number that is logged is the one that the `sacrebleu` command prints."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sacrebleu

from seqtrain.callbacks.bleu import BLEU
from seqtrain.callbacks.checkpoints import Checkpoints
from seqtrain.decoding.settings import Decoding
from seqtrain.errors import UserError
from tests.tiny import Texts, Translator, trainer


def command_scores(folder: Path, name: str, *options: str) -> dict[str, float]:
    reference = folder / f"{name.partition('-')[0]}.reference.txt"
    done = subprocess.run(
        [sys.executable, "-m", "sacrebleu", str(reference), "-i", str(folder / f"{name}.txt"), "-w", "6", *options],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    return {entry["name"]: entry["score"] for entry in (found if isinstance(found, list) else [found])}


def test_test_score_is_the_commands(tmp_path: Path) -> None:
    callback = BLEU(decoding=Decoding(beam=2))
    tester, model = trainer(tmp_path, callback), Translator()
    tester.test(model, datamodule=Texts(), verbose=False)
    logged = {name: float(value) for name, value in tester.callback_metrics.items()}
    assert 0 < logged["test/bleu"] < 100
    folder = tmp_path / "hypotheses"
    printed = command_scores(folder, "test", "-m", "bleu", "chrf")
    assert logged["test/bleu"] == pytest.approx(printed["BLEU"], abs=1e-4)
    assert logged["test/chrf"] == pytest.approx(printed["chrF2"], abs=1e-4)
    lowercased = command_scores(folder, "test", "-m", "bleu", "-lc")
    assert logged["test/bleu_lc"] == pytest.approx(lowercased["BLEU"], abs=1e-4)
    assert callback.signatures["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a")
    assert "case:lc" in callback.signatures["bleu_lc"]
    assert model.asked[0].beam == 2


def test_texts_are_in_file_order_one_a_line(tmp_path: Path) -> None:
    data = Texts()
    trainer(tmp_path, BLEU()).test(Translator(lambda step: 0), datamodule=data, verbose=False)
    folder = tmp_path / "hypotheses"
    assert (folder / "test.txt").read_text("utf-8").split("\n")[:-1] == data.texts
    assert (folder / "test.reference.txt").read_text("utf-8").split("\n")[:-1] == data.texts
    assert len((folder / "test.source.txt").read_text("utf-8").split("\n")) == len(data.texts) + 1


def test_checkpoints_go_by_it_and_best_and_last_texts_stay(tmp_path: Path) -> None:
    quality = {3: 3, 6: 1, 9: 2, 12: 3}  # mistakes after so many steps: the second validation is the best
    callback, best = BLEU(), Checkpoints(dirpath=str(tmp_path / "ckpt"), monitor="val/bleu", mode="max")
    fitted = trainer(tmp_path, callback, best, max_epochs=4, enable_checkpointing=True)
    fitted.fit(Translator(lambda step: quality[step]), datamodule=Texts())
    files = sorted(p.name for p in (tmp_path / "hypotheses").iterdir())
    assert files == ["val-12.txt", "val-6.txt", "val.reference.txt", "val.source.txt"]
    assert best.best_model_score is not None
    assert float(best.best_model_score) == pytest.approx(
        command_scores(tmp_path / "hypotheses", "val-6")["BLEU"], abs=1e-4
    )
    assert float(fitted.callback_metrics["val/bleu"]) < float(best.best_model_score)


def test_translations_that_were_ended_for_their_length_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer(tmp_path, BLEU(decoding=Decoding(max_length=7), resamples=0)).test(
        Translator(), datamodule=Texts(), verbose=False
    )
    (said,) = (text for text in caplog.messages if "decoding.max_length" in text)
    assert said.startswith("5 translations were ended at 7 tokens")
    caplog.clear()
    trainer(tmp_path, BLEU(decoding=Decoding(max_length=8), resamples=0)).test(
        Translator(), datamodule=Texts(), verbose=False
    )
    assert not [text for text in caplog.messages if "decoding.max_length" in text]


def test_limited_batches_score_what_was_decoded(tmp_path: Path) -> None:
    data = Texts()
    tester = trainer(tmp_path, BLEU(), limit_test_batches=1)
    tester.test(Translator(lambda step: 0), datamodule=data, verbose=False)
    assert (tmp_path / "hypotheses" / "test.txt").read_text("utf-8") == "".join(t + "\n" for t in data.texts[3:])
    assert float(tester.callback_metrics["test/bleu"]) == pytest.approx(100, abs=1e-3)


def test_save_false_writes_nothing(tmp_path: Path) -> None:
    tester = trainer(tmp_path, BLEU(save=False))
    tester.test(Translator(), datamodule=Texts(), verbose=False)
    assert not (tmp_path / "hypotheses").exists()
    assert "test/bleu" in tester.callback_metrics


def test_other_tasks_are_left_alone(tmp_path: Path) -> None:
    model = Translator()
    model.task = SimpleNamespace(name="labelling")
    tester = trainer(tmp_path, BLEU())
    tester.test(model, datamodule=Texts(), verbose=False)
    assert model.asked == []
    assert "test/bleu" not in tester.callback_metrics


def test_line_ends_inside_a_text_do_not_shift_the_lines(tmp_path: Path) -> None:
    data = Texts()
    data.texts = [f"eins\r\nzwei {i} drei vier \n" for i in range(5)]
    tester = trainer(tmp_path, BLEU())
    tester.test(Translator(), datamodule=data, verbose=False)
    lines = (tmp_path / "hypotheses" / "test.reference.txt").read_bytes().split(b"\n")
    assert lines[0] == b"eins  zwei 0 drei vier"
    assert len(lines) == 6
    assert float(tester.callback_metrics["test/bleu"]) == pytest.approx(
        command_scores(tmp_path / "hypotheses", "test")["BLEU"], abs=1e-4
    )


def test_oracle_on_the_whole_corpus(tmp_path: Path) -> None:
    """Corpus BLEU, not a mean of sentences' or batches'."""
    data, model = Texts(7), Translator()
    tester = trainer(tmp_path, BLEU())
    tester.test(model, datamodule=data, verbose=False)
    hypotheses = [data.target_tokenizer.decode([*ids[:-2], 0, 0]) for ids in data.ids]
    expected = sacrebleu.corpus_bleu(hypotheses, [data.texts]).score
    assert float(tester.callback_metrics["test/bleu"]) == pytest.approx(expected, abs=1e-4)


class Lengths(Texts):
    """Source sentences of three to eight words."""

    def sources(self, split: str) -> list[str]:
        return [" ".join(["ja"] * (3 + i % 6)) for i in range(len(self.texts))]


def logged_by(folder: Path, data: Texts, **options: Any) -> dict[str, float]:
    tester = trainer(folder, BLEU(**options))
    tester.test(Translator(lambda step: 1), datamodule=data, verbose=False)
    return {name: float(value) for name, value in tester.callback_metrics.items()}


def test_intervals_are_the_commands(tmp_path: Path) -> None:
    logged = logged_by(tmp_path, Lengths(30))
    reference = tmp_path / "hypotheses" / "test.reference.txt"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "sacrebleu", reference, "-i", reference.with_name("test.txt")),
            *("-m", "bleu", "chrf", "--confidence", "-w", "6"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    for entry in json.loads(done.stdout):
        name = {"BLEU": "bleu", "chrF2": "chrf"}[entry["name"]]
        interval = logged[f"test/{name}_mean"], logged[f"test/{name}_ci"]
        assert interval == pytest.approx((entry["confidence_mean"], entry["confidence_var"]), abs=1e-4)


@pytest.mark.parametrize(
    ("edges", "cut"),
    [(None, [(n, n) for n in range(3, 9)]), ([5, 7], [(3, 4), (5, 6), (7, 8)]), ([2, 4, 50], [(3, 3), (4, 8)])],
)
def test_buckets_are_scored_by_themselves(tmp_path: Path, edges: list[int] | None, cut: list[tuple[int, int]]) -> None:
    data = Lengths(30)
    logged = logged_by(tmp_path, data, edges=edges, resamples=50)
    rows = json.loads((tmp_path / "buckets.json").read_text())["length"]
    assert [(row["low"], row["high"]) for row in rows] == cut
    assert sum(row["count"] for row in rows) == 30
    hypotheses = (tmp_path / "hypotheses" / "test.txt").read_text("utf-8").splitlines()
    for row in rows:
        inside = [i for i in range(30) if row["low"] <= 3 + i % 6 <= row["high"]]
        texts = [hypotheses[i] for i in inside], [[data.texts[i] for i in inside]]
        assert row["count"] == len(inside)
        assert row["bleu"] == pytest.approx(sacrebleu.corpus_bleu(*texts).score)
        assert row["chrf"] == pytest.approx(sacrebleu.corpus_chrf(*texts).score)
        resampled = sacrebleu.BLEU().corpus_score(*texts, n_bootstrap=50)
        assert (row["bleu_mean"], row["bleu_ci"]) == pytest.approx((resampled._mean, resampled._ci))
        name = f"{row['low']}-{row['high']}"
        assert logged[f"test_by_length/bleu_{name}"] == pytest.approx(row["bleu"], rel=1e-5)
        assert logged[f"test_by_length/bleu_ci_{name}"] == pytest.approx(row["bleu_ci"], rel=1e-5)
    picture = (tmp_path / "figures" / "bleu_by_length.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_without_resamples_there_are_scores_and_no_intervals(tmp_path: Path) -> None:
    logged = logged_by(tmp_path, Lengths(), resamples=0)
    assert not any("_ci" in name for name in logged)
    assert {"low", "high", "count", "bleu", "chrf"} == set(
        json.loads((tmp_path / "buckets.json").read_text())["length"][0]
    )


def test_validation_in_training_has_neither_and_alone_it_has_both(tmp_path: Path) -> None:
    fitted = trainer(tmp_path / "fit", BLEU(), max_epochs=1)
    fitted.fit(Translator(), datamodule=Lengths())
    assert "val/bleu_ci" not in fitted.callback_metrics
    assert not list((tmp_path / "fit").glob("buckets*"))
    alone = trainer(tmp_path / "alone", BLEU(resamples=10))
    alone.validate(Translator(), datamodule=Lengths(), verbose=False)
    assert "val/bleu_ci" in alone.callback_metrics
    assert (tmp_path / "alone" / "buckets-val.json").is_file()
    assert (tmp_path / "alone" / "hypotheses" / "val.txt").is_file()


@pytest.mark.parametrize(
    ("options", "message"), [({"edges": [5, 3]}, "must ascend"), ({"resamples": 1}, "no interval")]
)
def test_mistakes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        BLEU(**options)
