"""What makes corpora of any size possible: files read as they are asked for, workers, and digests that are kept."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seqtrain.data import tokenising
from seqtrain.data.corpora import digests
from seqtrain.data.corpora.base import digest_of
from seqtrain.data.corpora.digests import file_digest
from seqtrain.data.corpora.pairs import PairFiles
from seqtrain.data.mapped import Rows
from seqtrain.data.tokenization import TextTokenizer
from seqtrain.errors import UserError

PAIRS = [(f"Hund {n % 11} läuft" + " weit" * (n % 5), f"dog {n % 7} runs{' far' * (n % 3)}") for n in range(500)]


def texts(folder: Path) -> Rows:
    folder.mkdir()
    tokenising.write_texts(folder, iter(PAIRS), name="train")
    return Rows(folder)


def test_tokens_are_the_same_whatever_the_number_of_workers_and_of_record_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = texts(tmp_path / "whole")
    monkeypatch.setattr(tokenising, "BATCH", 64)
    monkeypatch.setattr(tokenising, "AT_ONCE", 16)
    cut = texts(tmp_path / "cut")
    assert (len(whole.batches), len(cut.batches)) == (1, 8)
    digest = digest_of("\n".join(side).encode() for side in zip(*PAIRS, strict=True))
    assert whole.facts == cut.facts == {"rows": 500, "text": digest}
    assert list(zip(cut.texts("source_text"), cut.texts("target_text"), strict=True)) == PAIRS
    assert [cut.texts("source_text")[i] for i in (0, 63, 64, -1)] == [PAIRS[i][0] for i in (0, 63, 64, -1)]
    assert list(cut.texts("source_text").spread(9)) == [PAIRS[i * 500 // 9][0] for i in range(9)]

    tokenizers = [TextTokenizer.train([pair[side] for pair in PAIRS[:400]], kind="bpe", size=60) for side in (0, 1)]
    monkeypatch.setattr(tokenising, "ALONE", 150)
    made = []
    for workers in (1, 3):
        monkeypatch.setattr(tokenising, "cores", lambda workers=workers: workers)
        folder = tmp_path / str(workers)
        folder.mkdir()
        tokenising.tokenise(folder, cut, tokenizers)
        assert sorted(path.name for path in folder.iterdir()) == ["facts.json", "lengths.int32", "rows.arrow"]
        made.append(Rows(folder))
    assert os.environ.get("TOKENIZERS_PARALLELISM") is None
    assert "Tokenising" not in capfd.readouterr().err  # no progress bar, as this is no terminal
    assert made[0].facts == made[1].facts
    index = np.random.default_rng(0).permutation(500)
    for rows in made:
        sides = [rows.ragged(name) for name in ("source", "target")]
        expected = [tokenizer.encode_all([pair[n] for pair in PAIRS]) for n, tokenizer in enumerate(tokenizers)]
        for side, ids in zip(sides, expected, strict=True):
            for row, number in zip(side.padded(index, after=2), index, strict=True):
                assert row.tolist() == ids[number] + [2] + [0] * (len(row) - len(ids[number]) - 1)
        assert rows.lengths().tolist() == [max(map(len, both)) + 1 for both in zip(*expected, strict=True)]


def test_a_worker_that_is_ended_from_outside_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenising, "ALONE", 100)
    monkeypatch.setattr(tokenising, "cores", lambda: 2)
    tokenizer = TextTokenizer.train([pair[0] for pair in PAIRS], kind="char", size=60)
    monkeypatch.setattr(TextTokenizer, "encode_all", lambda *_: os._exit(9))
    with pytest.raises(UserError, match="memory") as error:
        tokenising.tokenise(tmp_path, texts(tmp_path / "texts"), [tokenizer, tokenizer])
    assert error.value.code == 1


def test_pairs_come_before_the_file_has_been_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"eins\nzwei\n\xff\n")
    (tmp_path / "b").write_bytes(b"one\ntwo\nthree\n")
    pairs = PairFiles(files={"train": [str(tmp_path / "a"), str(tmp_path / "b")]}, source="a", target="b").read("train")
    assert [next(pairs), next(pairs)] == [("eins", "one"), ("zwei", "two")]
    with pytest.raises(UserError, match="a, line 3: byte 0xff is not UTF-8"):
        next(pairs)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("a", "b"), ("c", "d\ud800")], "val, pair 2 is no text: surrogates not allowed"),
        ([], "val is empty"),
    ],
)
def test_half_a_character_and_no_pair_are_refused(pairs: list[tuple[str, str]], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        tokenising.write_texts(tmp_path, iter(pairs), name="val")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by the name of every file whose content is digested."""
    seen: list[str] = []
    digest: Callable[..., object] = digests.hashlib.file_digest
    monkeypatch.setattr(
        digests.hashlib, "file_digest", lambda file, name: (seen.append(file.name), digest(file, name))[1]
    )
    monkeypatch.setattr(digests, "KEPT_FROM", 4)
    monkeypatch.setattr(digests, "SETTLED", -1.0)
    return seen


def test_digests_of_large_files_are_kept_until_the_file_is_touched(tmp_path: Path, reads: list[str]) -> None:
    file, cache = tmp_path / "a", tmp_path / "cache"
    file.write_text("one two")
    first = file_digest(file, cache)
    assert file_digest(file, cache) == first == file_digest(file)
    assert len(reads) == 2  # by the last of these, as it has no cache
    before = file.stat()
    while file.stat().st_ctime_ns == before.st_ctime_ns:  # some kernels' clocks tick every 10 ms only
        file.write_text("one 222")
        os.utime(file, ns=(before.st_mtime_ns, before.st_mtime_ns))  # as large, and by its modification as old
    assert file_digest(file, cache) != first
    assert file_digest(file, cache) != first
    assert len(reads) == 3
    (tmp_path / "file").touch()
    assert file_digest(file, tmp_path / "file") == file_digest(file)  # it cannot be kept in there
    next((cache / "digests").iterdir()).write_text("{")
    assert file_digest(file, cache) != first
    assert len(list((cache / "digests").iterdir())) == 1


def test_digests_are_not_kept_of_what_is_small_or_was_just_written(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small").write_text("one")
    (tmp_path / "new").write_text("one two")
    monkeypatch.setattr(digests, "SETTLED", 60.0)
    for name in ("small", "new", "small", "new"):
        file_digest(tmp_path / name, tmp_path / "cache")
    assert len(reads) == 4
    assert not (tmp_path / "cache").exists()
