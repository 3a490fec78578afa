"""Reading sentence pairs, and every mistake there can be in the files."""

import gzip
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from seqtrain.data.corpora import multi30k as multi30k_module
from seqtrain.data.corpora.multi30k import Multi30kFiles, open_multi30k
from seqtrain.data.corpora.pairs import PairFiles
from seqtrain.data.preflight import preflight
from seqtrain.errors import UserError

DE = ["Ein Mann läuft.", "Zwei Hunde.", "Eine Frau liest."]
EN = ["A man walks.", "Two dogs.", "A woman reads."]
SHARED = Path(__file__).parents[2] / ".." / "shared" / "data" / "multi30k"


def public_files(test: str = "test_2016_flickr", end: str = ".gz") -> dict[str, bytes]:
    files = {}
    for stem, size in (("train", 3), ("val", 2), (test, 1)):
        for language, lines in (("de", DE), ("en", EN), ("fr", EN)):
            text = "".join(f"{stem[:4]}: {line}\n" for line in lines[:size]).encode()
            files[f"{stem}.{language}{end}"] = gzip.compress(text) if end else text
    return files


def as_folder(path: Path, files: dict[str, bytes]) -> Path:
    path.mkdir(parents=True)
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


def as_tar(path: Path, files: dict[str, bytes]) -> Path:
    path = path.with_name("multi30k.tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"dataset-master/data/task1/raw/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def as_zip(path: Path, files: dict[str, bytes]) -> Path:
    path = path.with_name("multi30k.zip")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"multi30k/{name}", content)
    return path


def as_clone(path: Path, files: dict[str, bytes]) -> Path:
    as_folder(path / "data" / "task1" / "raw", files)
    return path


def read(corpus: Any, split: str) -> tuple[list[str], list[str]]:
    sources, targets = zip(*corpus.read(split), strict=True)
    return [*sources], [*targets]


def opened(root: Path, **options: str) -> Multi30kFiles:
    return Multi30kFiles(**{"root": root, "source": "de", "target": "en", "test": "test_2016_flickr", **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("lay_out", [as_folder, as_tar, as_zip, as_clone])
@pytest.mark.parametrize("end", [".gz", ""])
@pytest.mark.parametrize("test", ["test_2016_flickr", "test2016", "test_2016"])
def test_multi30k_from_folders_and_archives(
    tmp_path: Path, lay_out: Callable[[Path, dict[str, bytes]], Path], end: str, test: str
) -> None:
    corpus = opened(lay_out(tmp_path / "data", public_files(test, end)))
    corpus.check()
    assert read(corpus, "train") == ([f"trai: {x}" for x in DE], [f"trai: {x}" for x in EN])
    assert read(corpus, "val")[0] == [f"val: {x}" for x in DE[:2]]
    assert read(corpus, "test") == ([f"test: {DE[0]}"], [f"test: {EN[0]}"])
    assert len({corpus.digest(split) for split in corpus.splits}) == 3
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith("train") and "data" not in path.parts]


def test_multi30k_other_test_sets_and_directions(tmp_path: Path) -> None:
    more = {"test_2017_mscoco.fr": b"Un chien.\n", "test_2017_mscoco.de": b"Ein Hund.\n"}
    root = as_folder(tmp_path / "m", public_files() | more)
    corpus = opened(root, source="fr", target="de", test="test_2017_mscoco")
    assert read(corpus, "test") == (["Un chien."], ["Ein Hund."])
    message = r"(?s)no test file for 'de'; looked for test_2017_flickr.de.gz, .*data=captions"
    with pytest.raises(UserError, match=message) as e:
        opened(root, test="test_2017_flickr").check()
    assert e.value.code == 2
    with pytest.raises(UserError, match="no train file for 'cs'"):
        read(opened(root, source="cs"), "train")


def test_archives_are_never_unpacked_and_links_are_not_followed(tmp_path: Path) -> None:
    files = public_files(end="")
    path = tmp_path / "evil.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("train.de")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        for name, content in files.items():
            member = tarfile.TarInfo(f"../../{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert read(opened(path), "train")[1] == [f"trai: {x}" for x in EN]
    assert read(opened(path), "train")[0] == [f"trai: {x}" for x in DE]
    assert [p.name for p in tmp_path.iterdir()] == ["evil.tar.gz"]


def test_multi30k_broken_files(tmp_path: Path) -> None:
    root = as_folder(tmp_path / "m", public_files())
    whole = (root / "train.de.gz").read_bytes()
    (root / "train.de.gz").write_bytes(whole[:-12])
    with pytest.raises(UserError, match=r"train.de.gz is not a whole gzip file"):
        read(opened(root), "train")
    (root / "train.de.gz").write_bytes(gzip.compress(b"Ein Mann.\n\n"))
    message = r"train.de.gz has 2 lines, .*train.en.gz has 3; .*line 3 of .*en.gz: 'trai: A wom"
    with pytest.raises(UserError, match=message):
        read(opened(root), "train")
    (tmp_path / "broken.zip").write_bytes(b"PK not a zip")
    with pytest.raises(UserError, match=r"broken.zip is not an archive"):
        opened(tmp_path / "broken.zip").check()
    (tmp_path / "cut.tgz").write_bytes(as_tar(tmp_path / "t", public_files()).read_bytes()[:400])
    with pytest.raises(UserError, match=r"cut.tgz is not an archive"):
        opened(tmp_path / "cut.tgz").check()


def open_default(**options: object) -> object:
    given = {"root": None, "hub": "bentrevett/multi30k", "cache": "data/cache", "source": "de", "target": "en"}
    return open_multi30k(**{**given, "test": "test_2016_flickr", **options})  # type: ignore[arg-type]


def test_multi30k_that_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(multi30k_module, "reachable", lambda hub: "no network")
    with pytest.raises(UserError) as error:
        open_default()
    said = str(error.value)
    for part in ("data/multi30k", "bentrevett/multi30k", "no network", "data.root=PATH", "data=captions"):
        assert part in said
    with pytest.raises(UserError, match=r"nothing at data.root=elsewhere"):
        open_default(root="elsewhere")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=r"notes.txt is neither a folder nor one of .tar.gz"):
        open_default(root="notes.txt")
    with pytest.raises(UserError, match="on the hub has only en and de"):
        open_default(source="fr")
    with pytest.raises(UserError, match="has only the test set test_2016_flickr"):
        open_default(test="test_2017_flickr")
    with pytest.raises(UserError, match="both 'de'"):
        open_default(target="de")
    as_folder(tmp_path / "data" / "multi30k", public_files())
    assert isinstance(open_default(), Multi30kFiles)


def hub_folder(path: Path, end: str) -> Path:
    path.mkdir()
    for split, size in (("train", 3), ("validation", 2), ("test", 1)):
        rows = [{"en": en, "de": de} for en, de in zip(EN[:size], DE[:size], strict=True)]
        if end == "parquet":
            parquet.write_table(pa.Table.from_pylist(rows), path / f"{split}.parquet")
        else:
            (path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("end", ["jsonl", "parquet"])
def test_multi30k_from_a_data_set_of_the_hubs_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.chdir(tmp_path)
    corpus = open_default(hub=str(hub_folder(tmp_path / "hub", end)))
    assert [read(corpus, split) for split in corpus.splits] == [(DE, EN), (DE[:2], EN[:2]), (DE[:1], EN[:1])]
    assert list((tmp_path / "data" / "cache" / "hub").iterdir()) == []


def test_a_data_set_of_the_hub_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(multi30k_module, "reachable", lambda hub: None)
    folder, load, asked = hub_folder(tmp_path / "there", "jsonl"), datasets.load_dataset, []

    def fetch(name: str, **options: object) -> object:
        asked.append(name)
        return load(str(folder), **options)

    monkeypatch.setattr(datasets, "load_dataset", fetch)
    assert read(open_default(), "train") == (DE, EN)
    monkeypatch.setattr(multi30k_module, "reachable", lambda hub: "no network")
    assert read(open_default(source="en", target="de"), "val") == (EN[:2], DE[:2])
    assert asked == ["bentrevett/multi30k"]


def test_a_hub_data_set_of_another_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = hub_folder(tmp_path / "hub", "jsonl")
    (folder / "validation.jsonl").unlink()
    with pytest.raises(UserError, match="no split 'validation', only train, test"):
        read(open_default(hub=str(folder)), "val")
    for name in ("train", "test"):
        (folder / f"{name}.jsonl").write_text('{"english": "a", "german": "b"}\n')
    with pytest.raises(UserError, match="no column 'de', only english, german"):
        read(open_default(hub=str(folder)), "train")
    (tmp_path / "void").mkdir()
    with pytest.raises(UserError, match="void cannot be opened"):
        read(open_default(hub=str(tmp_path / "void")), "train")


def write_pairs(folder: Path, end: str) -> list[str]:
    def text(name: str, content: str) -> str:
        data = content.encode()
        (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return str(folder / name)

    if end.startswith(".tsv"):
        return [text(f"pairs{end}", "".join(f"{d}\t{e}\r\n" for d, e in zip(DE, EN, strict=True)))]
    if end.startswith(".jsonl"):
        rows = [{"de": d, "en": e, "id": 1} for d, e in zip(DE, EN, strict=True)]
        return [text(f"pairs{end}", "\n".join(map(json.dumps, rows)))]
    if end == ".parquet":
        parquet.write_table(pa.table({"en": EN, "de": DE}), folder / "pairs.parquet")
        return [str(folder / "pairs.parquet")]
    return [text(f"a{end}", "\ufeff" + "\n".join(DE) + "\n"), text(f"b{end}", "\n".join(EN) + "\n")]


@pytest.mark.parametrize("end", [".txt", ".txt.gz", ".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz", ".parquet"])
def test_ones_own_pairs_in_every_format(tmp_path: Path, end: str) -> None:
    files = write_pairs(tmp_path, end)
    one = files[0] if len(files) == 1 else files
    corpus = PairFiles(files={"train": files, "val": one, "test": []}, source="de", target="en")
    assert read(corpus, "val") == (DE, EN)
    assert corpus.splits == ("train", "val")
    assert read(corpus, "train") == (DE, EN)
    preflight({"_target_": "seqtrain.data.pairs.Pairs", "source": "de", "target": "en", "train": files, "val": files})


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.txt": "x\ny\nz\n", "b.txt": "x\ny\n"}, r"a.txt has 3 lines, .*b.txt has 2; .* line 3 of .*a.txt: 'z'"),
        ({"a.txt": "x\n", "b.txt": "x\ny\n"}, r"a.txt has 1 lines, .*b.txt has 2; .* line 2 of .*b.txt: 'y'"),
        ({"a.txt": "x\ny\n", "b.txt": "x\n \n"}, r"b.txt, line 2 is empty"),
        ({"a.txt": "\n \n", "b.txt": "x\ny\n"}, r"a.txt is empty"),
        ({"a.txt": "", "b.txt": "x\n"}, r"a.txt is empty"),
        ({"a.txt": b"x\nM\xe4nner\n", "b.txt": "x\ny\n"}, r"a.txt, line 2: byte 0xe4 is not UTF-8"),
        ({"p.tsv": "a\tb\nc\n"}, r"p.tsv, line 2 has 1 columns, not 2: 'c'"),
        ({"p.tsv": "a\tb\tc\n"}, r"p.tsv, line 1 has 3 columns"),
        ({"p.tsv": "a\tb\nc\t \n"}, r"p.tsv, line 2: second column is empty"),
        ({"p.jsonl": '{"de": "a", "en": "b"}\n{"de": \n'}, r"p.jsonl, line 2 is not JSON"),
        ({"p.jsonl": "[1]\n"}, r"p.jsonl, line 1 is no JSON object"),
        ({"p.jsonl": "[" * 100000 + "\n"}, r"p.jsonl, line 1 is (JSON that is nested too deep|not JSON)"),
        ({"p.jsonl": '{"de": "a", "fr": "b"}\n'}, r"line 1 has no 'en', only de, fr"),
        ({"p.jsonl": '{"de": "a", "en": 3}\n'}, r"line 1 has no 'en', but it is no text: 3"),
        ({"p.jsonl": '{"de": "", "en": "b"}\n'}, r"line 1: 'de' is empty"),
        ({"p.parquet": "PAR1 no"}, r"p.parquet is not a Parquet file"),
        ({"p.csv": "a,b\n"}, r"p.csv, of a format that is not known"),
        ({"a.txt": "x\n", "b.txt": "x\n", "c.txt": "x\n"}, r"names 3 files"),
        ({"a.tsv": "x\ty\n", "b.tsv": "x\ty\n"}, r"2 files, but .*a.tsv has pairs of .*data.streaming=true"),
        ({"a.txt": "x\n", "b.jsonl.gz": "x\n"}, r"2 files, but .*b.jsonl.gz has pairs of its own"),
        ({"gone.tsv": None}, r"data.train: .*gone.tsv is not there"),
        ({"a.txt.gz": b"\x1f\x8bbroken", "b.txt": "x\n"}, r"a.txt.gz is not a whole gzip file"),
    ],
)
def test_mistakes_in_ones_own_files(tmp_path: Path, files: dict[str, str | bytes | None], message: str) -> None:
    good = write_pairs(tmp_path, ".tsv")
    for name, content in files.items():
        if content is not None:
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    train = [str(tmp_path / name) for name in files]
    config = {"source": "de", "target": "en", "train": train, "val": good, "test": []}
    with pytest.raises(UserError, match=f"(?s){message}") as error:
        preflight({"_target_": "seqtrain.data.pairs.Pairs", **config})
    assert error.value.code == 2


def test_mistakes_in_parquet_files(tmp_path: Path) -> None:
    def pairs_of(**columns: object) -> object:
        parquet.write_table(pa.table(columns), tmp_path / "p.parquet")
        name = [str(tmp_path / "p.parquet")]
        return read(PairFiles(files={"train": name, "val": name}, source="de", target="en"), "train")

    with pytest.raises(UserError, match="no column 'en', only de"):
        pairs_of(de=DE)
    with pytest.raises(UserError, match=r"\(column en\), row 2 is empty"):
        pairs_of(de=["a", "b"], en=["c", None])
    with pytest.raises(UserError, match="row 1: 'en' is no text: '1'"):
        pairs_of(de=["a", "b"], en=[1, 2])
    with pytest.raises(UserError, match=r"p.parquet is empty"):
        pairs_of(de=pa.array([], pa.string()), en=pa.array([], pa.string()))


def test_splits_that_are_not_named(tmp_path: Path) -> None:
    good = write_pairs(tmp_path, ".tsv")
    with pytest.raises(UserError, match=r"data.train names no file\n.*data.train=\[text.de,text.en\]"):
        preflight({"_target_": "seqtrain.data.pairs.Pairs", "train": [], "val": good})
    with pytest.raises(UserError, match=r"data.val names no file"):
        preflight({"_target_": "seqtrain.data.pairs.Pairs", "train": good})
    with pytest.raises(UserError, match=r"data.train names no file"):
        read(PairFiles(files={"test": good}, source="de", target="en"), "train")
    preflight({"_target_": "seqtrain.data.pairs.Pairs", "test": good}, needed=["test"])


def test_checking_first_needs_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from seqtrain.data.preflight import preflight\n"
        "try: preflight({'_target_': 'seqtrain.data.multi30k.Multi30k', 'source': 'de', 'target': 'en',"
        "'test': 'test_2016_flickr', 'root': 'nowhere', 'hub': 'x/y', 'seed': 1})\n"
        "except Exception as error: print(error.code, error)\n"
        "assert not {'torch', 'datasets', 'pytorch_lightning', 'pyarrow'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("2 there is nothing at data.root=nowhere")
    preflight({"_target_": "somewhere.else.Data"})
    with pytest.raises(UserError, match="both 'en'"):
        preflight({"_target_": "seqtrain.data.caption_pairs.Captions", "source": "en", "target": "en"})
    with pytest.raises(UserError, match=r"data.val_size=1000000000 is too many"):
        preflight({"_target_": "seqtrain.data.caption_pairs.Captions", "val_size": 10**9})
    with pytest.raises(UserError, match="max_length = 5 is out of range"):
        preflight({"_target_": "seqtrain.data.brackets.Brackets", "max_length": 5, "seed": 1})


@pytest.mark.skipif(not SHARED.exists(), reason="the real Multi30k is not beside the checkout")
@pytest.mark.parametrize(("source", "target"), [("de", "en"), ("fr", "cs")])
def test_the_real_multi30k(source: str, target: str) -> None:
    corpus = opened(SHARED, source=source, target=target)
    assert [len(read(corpus, split)[0]) for split in corpus.splits] == [29000, 1014, 1000]
