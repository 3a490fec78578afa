"""The data module for translation: batches, tokenizers, the cache, and what goes wrong with them."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seqtrain.data import store
from seqtrain.data.caption_pairs import Captions
from seqtrain.data.corpora.pairs import PairFiles
from seqtrain.data.multi30k import Multi30k
from seqtrain.data.pairs import Pairs
from seqtrain.data.translation import TranslationData
from seqtrain.errors import UserError
from seqtrain.tasks.translation import BOS, EOS, PAD, Translation, TranslationBatch

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data" / "multi30k"
WORDS = ["Hund", "Katze", "läuft", "sitzt", "im", "Park", "rot", "und", "ein", "der"]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, list[str]]:
    sizes = {"train": 120, "val": 20, "test": 17}
    for n, (split, size) in enumerate(sizes.items()):
        lines = [[WORDS[(i * 7 + k * k + n) % 10] for k in range(1 + (i * 5) % 13)] for i in range(size)]
        (tmp_path / f"{split}.a").write_text("".join(" ".join(line) + ".\n" for line in lines), encoding="utf-8")
        (tmp_path / f"{split}.b").write_text("".join("-".join(line[::-1]) + "!\n" for line in lines), encoding="utf-8")
    return {split: [str(tmp_path / f"{split}.a"), str(tmp_path / f"{split}.b")] for split in sizes}


@pytest.fixture
def options(files: dict[str, list[str]], tmp_path: Path) -> dict[str, Any]:
    return {**files, "cache": str(tmp_path / "cache"), "vocabulary": 60, "batch_tokens": 100, "seed": 1}


def ready(options: dict[str, Any], **more: Any) -> Pairs:
    data = Pairs(**{**options, **more})
    data.prepare_data()
    data.setup()
    return data


def check_batch(data: TranslationData, batch: TranslationBatch, split: str) -> None:
    sources, references = data.sources(split), data.references(split)
    for row, index in enumerate(batch.index.tolist()):
        source, target = batch.source[row].tolist(), batch.target[row].tolist()
        length, asked = int(batch.source_lengths[row]), int(batch.target_lengths[row])
        assert source[length - 1 :] == [EOS] + [PAD] * (len(source) - length)
        assert target[0] == BOS
        assert target[asked:] == [EOS] + [PAD] * (len(target) - asked - 1)
        assert data.source_tokenizer.decode(source) == sources[index]
        assert data.target_tokenizer.decode(target) == references[index]
    assert int(batch.source_lengths.max()) == batch.source.shape[1]
    assert int(batch.target_lengths.max()) == batch.target.shape[1] - 1
    assert len(batch) == 1 or len(batch) * max(batch.source.shape[1], batch.target.shape[1] - 1) <= data.batch_tokens


def indices(batches: Iterable[TranslationBatch]) -> list[int]:
    return torch.cat([batch.index for batch in batches]).tolist()


@pytest.mark.parametrize("kind", ["bpe", "char", "word"])
@pytest.mark.parametrize("joint", [True, False])
def test_batches_hold_every_pair_once_and_decode_to_the_text(
    options: dict[str, Any], files: dict[str, list[str]], kind: str, joint: bool
) -> None:
    data = ready(options, tokenizer=kind, joint=joint)
    loaders = {"train": data.train_dataloader(), "val": data.val_dataloader(), "test": data.test_dataloader()}
    for split, loader in loaders.items():
        batches = list(loader)  # type: ignore[arg-type]
        assert len(batches) == len(loader)
        assert sorted(indices(batches)) == list(range(data.sizes[split]))
        for batch in batches:
            check_batch(data, batch, split)
        assert list(data.sources(split)) == Path(files[split][0]).read_text(encoding="utf-8").splitlines()
        assert list(data.references(split)) == Path(files[split][1]).read_text(encoding="utf-8").splitlines()
    assert data.sizes == {"train": 120, "val": 20, "test": 17}
    sizes = len(data.source_tokenizer), len(data.target_tokenizer)
    assert data.task == Translation(source_vocabulary=sizes[0], target_vocabulary=sizes[1], shared=joint)


def test_text_that_changes_while_it_is_read_is_refused_and_not_kept(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, read = Path(options["train"][0]), PairFiles.read
    before = file.read_text(encoding="utf-8")

    def written_to(corpus: PairFiles, split: str) -> Iterator[tuple[str, str]]:
        for number, pair in enumerate(read(corpus, split)):
            if split == "train" and number == 60:
                file.write_text(before.replace("Hund", "Esel"), encoding="utf-8")
            yield pair

    monkeypatch.setattr(PairFiles, "read", written_to)
    with pytest.raises(UserError, match="the text of the split train was changed while it was read") as error:
        ready(options)
    assert error.value.code == 1
    monkeypatch.undo()
    file.write_text(before, encoding="utf-8")
    assert list(ready(options).sources("train")) == before.splitlines()


def test_texts_are_those_that_were_tokenised_whatever_becomes_of_the_files(
    options: dict[str, Any], files: dict[str, list[str]]
) -> None:
    data = ready(options)
    texts = {split: Path(files[split][1]).read_text(encoding="utf-8").splitlines() for split in ("val", "test")}
    shutil.rmtree(options["cache"])
    Path(files["val"][1]).unlink()
    Path(files["test"][1]).write_text("x\n" * 17)
    assert {split: list(data.references(split)) for split in texts} == texts


def test_workers_give_the_same_batches(options: dict[str, Any]) -> None:
    here, there = (ready(options, num_workers=n).train_dataloader() for n in (0, 2))
    assert all(torch.equal(a.source, b.source) for a, b in zip(here, there, strict=True))  # type: ignore[attr-defined]


def test_tokenizers_are_learnt_from_the_training_split_alone(options: dict[str, Any], tmp_path: Path) -> None:
    before = ready(options, tokenizer="word").tokenizer_hash
    odd = tmp_path / "odd.a"
    odd.write_text("Hund Elefant Hund.\nElefant Elefant\n", encoding="utf-8")
    (tmp_path / "odd.b").write_text("Hund!\nKatze\n", encoding="utf-8")
    data = ready(options, tokenizer="word", test=[str(odd), str(tmp_path / "odd.b")])
    assert data.tokenizer_hash == before
    assert data.unknown["test"] == (3, 0)
    assert data.unknown["train"] == (0, 0)


def test_long_pairs_are_left_out_of_training_alone_and_counted(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    data = ready(options, tokenizer="word", max_length=8)
    long = {i for i, text in enumerate(data.sources("train")) if len(text.split()) * 2 > 8}
    assert data.excluded == len(long) > 0
    assert sorted(indices(data.train_dataloader())) == sorted(set(range(120)) - long)  # type: ignore[arg-type]
    assert data.sizes == {"train": 120 - len(long), "val": 20, "test": 17}
    assert f"{len(long)} of 120 training pairs are longer than data.max_length=8" in caplog.text
    with pytest.raises(UserError, match=r"every training pair is longer than data.max_length=1"):
        ready(options, max_length=1)


def test_new_text_is_batched_with_its_places(options: dict[str, Any]) -> None:
    data = ready(options)
    texts = ["ein Hund", "", "der Hund und die Katze sitzt im Park und läuft im Park und sitzt", "Katze"] * 9
    batches = list(data.batches(texts))
    assert sorted(indices(batches)) == list(range(len(texts)))
    for batch in batches:
        assert batch.target.tolist() == [[BOS]] * len(batch)
        assert len(batch) * batch.source.shape[1] <= data.batch_tokens
        for row, index in enumerate(batch.index.tolist()):
            ids = data.source_tokenizer.encode(texts[index])
            assert batch.source[row].tolist() == [*ids, EOS] + [PAD] * (batch.source.shape[1] - len(ids) - 1)
    assert list(data.batches([])) == []


@pytest.mark.parametrize("joint", [True, False])
def test_a_runs_tokenizers_are_saved_and_used_again(options: dict[str, Any], tmp_path: Path, joint: bool) -> None:
    run = tmp_path / "run" / "tokenizer"
    trained = ready(options, joint=joint)
    trained.save(run)
    assert sorted(p.name for p in run.iterdir()) == (["tokenizer.json"] if joint else ["source.json", "target.json"])
    other = Pairs(**{**options, "train": None, "val": None, "vocabulary": 40, "joint": True})
    other.load(run)
    other.setup("test")
    assert other.tokenizer_hash == trained.tokenizer_hash
    assert other.task == trained.task
    assert sorted(indices(other.test_dataloader())) == list(range(17))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"there is no tokenizer at .*elsewhere"):
        other.load(tmp_path / "elsewhere")


def entries(options: dict[str, Any]) -> set[str]:
    return {path.name for path in Path(options["cache"]).iterdir()}


def test_the_cache_is_used_again_until_content_or_tokenizer_change(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ready(options)
    made = entries(options)
    assert len(made) == 7  # the tokenizer, and of every split the text and its tokens
    with monkeypatch.context() as forbidden:
        forbidden.setattr("seqtrain.data.corpora.pairs.PairFiles.read", lambda *_: pytest.fail("read again"))
        forbidden.setattr("seqtrain.data.tokenization.TextTokenizer.encode_all", lambda *_: pytest.fail("tokenised"))
        again = ready(options)
    assert entries(options) == made
    assert again.fingerprint == first.fingerprint
    for a, b in zip(first.train_dataloader(), again.train_dataloader(), strict=True):
        assert torch.equal(a.source, b.source)  # type: ignore[attr-defined]
        assert torch.equal(a.target, b.target)  # type: ignore[attr-defined]

    assert ready(options, lowercase=True).fingerprint == first.fingerprint
    assert len(entries(options)) == 11
    test = Path(options["test"][0])
    test.write_text(test.read_text(encoding="utf-8").replace("Hund", "Esel"), encoding="utf-8")
    changed = ready(options)
    assert "Esel" in " ".join(changed.sources("test"))
    assert changed.fingerprint != first.fingerprint
    assert len(entries(options)) == 13


def test_the_fingerprint_is_that_of_the_text_not_of_the_files(options: dict[str, Any], tmp_path: Path) -> None:
    whole = ready(options)
    table = tmp_path / "train.jsonl"
    rows = zip(whole.sources("train"), whole.references("train"), strict=True)
    table.write_text("".join(json.dumps({"source": s, "target": t}) + "\n" for s, t in rows), encoding="utf-8")
    assert ready(options, train=[str(table)]).fingerprint == whole.fingerprint


def test_the_cache_is_memory_mapped_arrow_that_datasets_opens(options: dict[str, Any]) -> None:
    from datasets import Dataset

    data = ready(options)
    files = {frozenset((rows := Dataset.from_file(str(path))).column_names): rows for path in arrow_files(options)}
    texts, tokens = files[frozenset({"source_text", "target_text"})], files[frozenset({"source", "target"})]
    for text, ids in zip(texts, tokens, strict=True):
        assert data.source_tokenizer.decode(ids["source"]) == text["source_text"]
    assert not data.lengths("train").flags.owndata


def arrow_files(options: dict[str, Any]) -> list[Path]:
    return sorted(Path(options["cache"]).glob("*/rows.arrow"), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_cache_that_is_cut_short_while_it_is_read(options: dict[str, Any], workers: int) -> None:
    """What reads a mapped file behind its end is killed by the system."""
    data = ready({**options, "num_workers": workers})
    loader = data.train_dataloader()
    for path in Path(options["cache"]).glob("*/rows.arrow"):
        os.truncate(path, 100)
    with pytest.raises(UserError, match=r"^\S+rows.arrow was cut short while it was read: 100 bytes of .*\n  Delete"):
        next(iter(loader))
    with pytest.raises(UserError, match=r"rows.arrow was cut short"):
        data.train_dataloader()


def test_a_full_disk_leaves_nothing_behind(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("seqtrain.data.translation.tokenise", full)
    with pytest.raises(UserError, match=r"the disk of .*cache is full\n.*data.cache=PATH") as error:
        ready(options)
    assert error.value.code == 1
    assert len(entries(options)) == 2  # the tokenizer and the text that it learnt from, which were made before
    monkeypatch.undo()
    assert ready(options).sizes["train"] == 120


def test_a_cache_that_cannot_be_written(options: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/cache cannot be written: Not a directory"):
        ready(options, cache=str(tmp_path / "file" / "cache"))


@pytest.mark.parametrize(
    ("name", "kept"), [("rows.arrow", 0), ("rows.arrow", 60), ("rows.arrow", -9), ("lengths.int32", -4)]
)
def test_a_broken_cache_is_named(options: dict[str, Any], name: str, kept: int) -> None:
    ready(options)
    path = next(Path(options["cache"]).glob("*/lengths.int32")).with_name(name)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"(?s)the cache .* is broken: .*Delete the folder") as error:
        ready(options)
    assert str(path.parent) in str(error.value).replace("\n", "")


def test_two_processes_may_make_the_same_entry(options: dict[str, Any]) -> None:
    code = (
        "import sys, json; from seqtrain.data.pairs import Pairs; d = Pairs(**json.loads(sys.argv[1]))\n"
        "d.prepare_data(); d.setup(); print(d.fingerprint, d.tokenizer_hash)"
    )
    command = [sys.executable, "-c", code, json.dumps(options)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in running]
    assert said[0] == said[1] != ""
    assert len(entries(options)) == 7
    assert not [name for name in entries(options) if name.startswith(".")]


def test_an_entry_that_another_process_finished_first_is_taken(tmp_path: Path) -> None:
    def build(work: Path) -> None:
        (tmp_path / "k").mkdir()
        (tmp_path / "k" / "x").write_text("theirs")
        (work / "x").write_text("ours")

    assert (store.entry(tmp_path, "k", build) / "x").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["k"]


def test_generated_captions(tmp_path: Path) -> None:
    options = {"size": 60, "val_size": 8, "test_size": 9, "cache": str(tmp_path), "vocabulary": 200, "seed": 1}
    data = Captions(source="en", target="fr", **options)
    data.prepare_data()
    data.setup()
    assert data.sizes == {"train": 60, "val": 8, "test": 9}
    for batch in data.train_dataloader():
        check_batch(data, batch, "train")  # type: ignore[arg-type]
    other = Captions(source="en", target="fr", corpus_seed=2, **options)
    other.setup()
    assert other.fingerprint != data.fingerprint


@pytest.mark.skipif(not SHARED.exists(), reason="the real Multi30k is not beside the checkout")
def test_the_real_multi30k_warm_start_and_batches(tmp_path: Path) -> None:
    def make() -> Multi30k:
        data = Multi30k(root=str(SHARED), cache=str(tmp_path), seed=1)
        data.prepare_data()
        data.setup()
        return data

    def seconds() -> float:
        began = time.monotonic()
        make()
        return time.monotonic() - began

    data = make()
    assert any(seconds() < 2 for _ in range(5))  # other processes may run beside this one
    assert data.sizes == {"train": 29000, "val": 1014, "test": 1000}
    assert len(data.source_tokenizer) == 8000
    batches = list(data.train_dataloader())
    assert sorted(indices(batches)) == list(range(29000))  # type: ignore[arg-type]
    for split, some in (("train", batches[:3]), ("test", data.test_dataloader())):
        normal, sources = data.source_tokenizer.normalize, data.sources(split)
        for batch in some:
            for row, index in enumerate(batch.index.tolist()):
                assert data.source_tokenizer.decode(batch.source[row].tolist()) == normal(sources[index])  # type: ignore[attr-defined]


def test_ranks_share_every_split_without_repeating_a_pair(options: dict[str, Any]) -> None:
    data = ready(options)
    progress = SimpleNamespace(batch_progress=SimpleNamespace(current=SimpleNamespace(processed=3)))
    shares: dict[str, list[list[int]]] = {"train": [], "val": [], "test": []}
    for rank in range(3):
        data.trainer = SimpleNamespace(  # type: ignore[assignment]
            global_rank=rank, world_size=3, overfit_batches=0, fit_loop=SimpleNamespace(epoch_loop=progress)
        )
        assert data.train_dataloader().state_dict()["position"] == 3
        loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
        for split, loader in zip(shares, loaders, strict=True):
            batches = list(loader)  # type: ignore[arg-type]
            assert len(batches) == len(loader) > 0
            shares[split].append(indices(batches))
    for split, own in shares.items():
        assert sorted(i for share in own for i in share) == list(range(data.sizes[split]))
