"""Pairs that are read as they are needed: every one once, shared equally, and gone on with after any step."""

import gzip
import json
import multiprocessing
import random
import threading
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import pytorch_lightning as pl
import torch
from pyarrow import parquet
from pytorch_lightning.callbacks import ModelCheckpoint

from seqtrain.callbacks.checkpoints import Checkpoints
from seqtrain.callbacks.interruption import Interruption
from seqtrain.callbacks.randomness import Randomness
from seqtrain.data.corpora.hub_stream import HubStream
from seqtrain.data.corpora.shards import Shard, open_shards, shards_digest
from seqtrain.data.pairs import Pairs
from seqtrain.data.pools import Pools
from seqtrain.data.preflight import preflight
from seqtrain.data.streaming import StreamLoader
from seqtrain.errors import StreamError, UserError
from seqtrain.runs.checkpoints import AtomicCheckpointIO, read_checkpoint
from tests.data.test_resume import trainer

SIZES = (67, 1, 40)
"""Pairs in three shards."""
TOTAL = sum(SIZES)


class Characters:
    """A character is a token."""

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        return [[4 + ord(letter) % 90 for letter in text] for text in texts]


def pair(number: int, longest: int = 12) -> tuple[str, str]:
    draw = random.Random(number)
    return f"d{number}" + "x" * draw.randrange(longest), f"e{number}" + "y" * draw.randrange(longest)


PAIRS = [pair(number) for number in range(TOTAL)]


def split(pairs: Sequence[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    ends = np.cumsum(SIZES)
    return [list(pairs[end - size : end]) for size, end in zip(SIZES, ends, strict=True)]


def write(folder: Path, kind: str, pairs: Sequence[tuple[str, str]] = PAIRS) -> str | list[str]:
    """Shards of a format; what `data.train` is for them."""
    folder.mkdir(exist_ok=True)
    for number, shard in enumerate(split(pairs)):
        if kind == "parquet":
            table = pa.table({"source": [s for s, _ in shard], "target": [t for _, t in shard]})
            parquet.write_table(table, folder / f"{number}.parquet", row_group_size=9)
            continue
        lines = {
            "tsv": {"tsv": [f"{source}\t{target}" for source, target in shard]},
            "tsv.gz": {"tsv.gz": [f"{source}\t{target}" for source, target in shard]},
            "jsonl": {"jsonl": [json.dumps({"target": target, "source": source}) for source, target in shard]},
            "texts": {"de": [source for source, _ in shard], "en": [target for _, target in shard]},
        }[kind]
        for ending, found in lines.items():
            content = "".join(f"{line}\n" for line in found).encode()
            (folder / f"{number}.{ending}").write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    return [f"{folder}/*.de", f"{folder}/*.en"] if kind == "texts" else f"{folder}/*.{kind}"


def loader(shards: Sequence[Shard], *, workers: int = 0, state: dict[str, Any] | None = None, **options: Any) -> Any:
    settings = {"size": 20, "max_length": 100, "seed": 3, **options}
    kept = {name: settings.pop(name) for name in ("gather", "endless", "again", "content") if name in settings}
    pools = Pools(shards=shards, tokenizers=(Characters(), Characters()), **settings)
    made = StreamLoader(pools=pools, batch_tokens=60, workers=workers, **kept)
    if state is not None:
        made.load_state_dict(state)
    return made


def texts(batches: Any) -> list[list[tuple[int, str, str]]]:
    """Numbers of the pairs, and their tokens as text, batch by batch."""
    return [
        [
            (int(n), bytes(s[:k].tolist()).hex(), bytes(t[1:m].tolist()).hex())
            for n, s, k, t, m in zip(b.index, b.source, b.source_lengths, b.target, b.target_lengths, strict=True)
        ]
        for b in batches
    ]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Shard]:
    names = write(tmp_path_factory.mktemp("shards"), "tsv")
    return open_shards(names, source="source", target="target")


@pytest.mark.parametrize("kind", ["tsv.gz", "jsonl", "parquet", "texts", "hub"])
def test_formats_give_the_same_batches_whole_or_resumed(kind: str, shards: list[Shard], tmp_path: Path) -> None:
    if kind == "hub":
        write(tmp_path / "train", "jsonl")
        hub = HubStream(hub=str(tmp_path), config=None, source="source", target="target")
        found = hub.shards()
    else:
        found = open_shards(write(tmp_path, kind), source="source", target="target")
    assert len(found) == len(SIZES)
    whole = texts(loader(shards))
    assert texts(loader(found)) == whole
    half = loader(found)
    for _, _ in zip(range(len(whole) // 2), half, strict=False):
        pass
    assert texts(loader(found, state=half.state_dict())) == whole[len(whole) // 2 :]


@pytest.mark.parametrize("kind", ["texts", "tsv"])
def test_a_line_that_got_longer_before_the_place_moves_nothing(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = write(tmp_path, kind)

    def opened(**options: Any) -> Any:
        shards = open_shards(names, source="source", target="target")
        content = shards_digest(shards, [])
        return loader(shards, size=9, content=content, **options)

    whole = texts(opened())
    half = opened()
    states = [half.state_dict() for _ in half]
    state = next(state for state in states[len(states) // 2 :] if state["place"]["row"] > 10)
    done = states.index(state) + 1
    changed = Path(half.pools.order(0)[state["place"]["shard"]].paths[-1].name)
    lines = (tmp_path / changed).read_text().splitlines()
    lines[2] += "longer than it was"
    (tmp_path / changed).write_text("".join(f"{line}\n" for line in lines))
    assert texts(opened(state=state)) == whole[done:]
    assert "The shards have changed since the checkpoint was written" in caplog.text


def test_a_column_of_translations_is_looked_into(tmp_path: Path) -> None:
    rows = [json.dumps({"translation": {"de": source, "en": target}}) for source, target in PAIRS]
    (tmp_path / "train.jsonl").write_text("\n".join(rows))
    (tmp_path / "validation.jsonl").write_text(rows[0])
    hub = HubStream(hub=str(tmp_path), config=None, source="de", target="en")
    assert hub.splits == ("val",)
    assert list(hub.read("val")) == PAIRS[:1]
    (shard,) = hub.shards()
    assert [shard.pair(raw, 1) for raw, _ in shard.read(100, ())] == PAIRS[100:]


def test_a_data_set_of_the_hub_is_validated_on_a_file_where_it_has_no_such_split(tmp_path: Path) -> None:
    hub, file = tmp_path / "hub", tmp_path / "val.tsv"
    hub.mkdir()
    write(hub / "train", "jsonl")
    file.write_text("a\tb\n")
    asked = {"_target_": "seqtrain.data.pairs.Pairs", "streaming": True, "hub": str(hub)}
    with pytest.raises(UserError, match=r"has no split 'validation'\n .* data\.val=FILE"):
        preflight(asked)
    with pytest.raises(UserError, match=r"val\.jsonl is not there"):
        preflight({**asked, "val": str(hub / "val.jsonl")})
    preflight({**asked, "val": str(file)})
    options = {"tokenizer": "char", "streaming": True, "cache": str(tmp_path / "cache"), "seed": 1}
    for name, row in {"validation": {"source": "c", "target": "d"}, "test": {"source": "e", "target": "f"}}.items():
        (hub / name).mkdir()
        (hub / name / "0.jsonl").write_text(json.dumps(row))
    preflight(asked, needed=("train", "val", "test"))
    data = Pairs(hub=str(hub), val=str(file), **options)
    data.setup()
    assert (list(data.sources("val")), list(data.references("test"))) == (["a"], ["f"])
    assert sum(len(batch.index) for batch in data.train_dataloader()) == TOTAL


def test_every_pair_once_an_epoch_in_another_order(shards: list[Shard]) -> None:
    stream = loader(shards)
    first, second = [batch.index.tolist() for batch in stream], [batch.index.tolist() for batch in stream]
    assert all(sorted(chain(*epoch)) == list(range(TOTAL)) for epoch in (first, second))
    assert first != second
    whole = texts(loader(shards))
    words = sorted(source for batch in whole for _, source, _ in batch)
    assert words == sorted(source for batch in texts(stream) for _, source, _ in batch)
    assert all(len(batch) * max(batch.source.shape[1], batch.target.shape[1] - 1) <= 60 for batch in loader(shards))
    assert all(sorted(batch) != batch for batch in first if len(batch) > 4)


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_change_nothing(shards: list[Shard], workers: int) -> None:
    whole = texts(loader(shards))
    assert texts(loader(shards, workers=workers)) == whole
    stream = loader(shards)
    for _, _ in zip(range(7), stream, strict=False):
        pass
    assert texts(loader(shards, workers=workers, state=stream.state_dict())) == whole[7:]


def test_worker_processes_outlive_the_signal_that_all_processes_get(shards: list[Shard]) -> None:
    whole, stream = texts(loader(shards, size=5)), iter(loader(shards, size=5, workers=1))
    first = texts([next(stream)])
    for worker in multiprocessing.active_children():
        worker.terminate()
    assert first + texts(stream) == whole


@pytest.mark.parametrize("endless", [False, True])
def test_goes_on_after_any_batch(shards: list[Shard], endless: bool) -> None:
    stream, whole, states = loader(shards, endless=endless), [], []
    number = len(list(loader(shards)))
    for _ in range(1 if endless else 2):
        for batch, _ in zip(stream, range(2 * number), strict=False):
            whole += texts([batch])
            states.append(json.loads(json.dumps(stream.state_dict())))
    assert len(whole) >= 2 * number - 3
    for done, state in list(enumerate(states, start=1))[:: 5 if endless else 3]:
        resumed = loader(shards, state=state, endless=endless)
        again: list[Any] = []
        for _ in range(2):
            again += texts(batch for batch, _ in zip(resumed, range(len(whole) - done), strict=False))
        assert again[: len(whole) - done] == whole[done:], done


class Together:
    """Brings the loaders of several threads together, as processes are by a collective."""

    def __init__(self, number: int) -> None:
        self.barrier = threading.Barrier(number, timeout=20)
        self.values: list[Any] = [None] * number

    def gather(self, rank: int) -> Any:
        def gather(value: Any) -> list[Any]:
            self.values[rank] = value
            self.barrier.wait()
            found = list(self.values)
            self.barrier.wait()
            return found

        return gather


def shared(
    shards: Sequence[Shard], number: int, *, first: int | None = None, **options: Any
) -> tuple[list[Any], list[Any]]:
    """The (first) batches of each of so many processes, or what they raise, and their loaders."""
    together, found, loaders = Together(number), [[] for _ in range(number)], [None] * number

    def run(rank: int) -> None:
        loaders[rank] = loader(shards, rank=rank, world_size=number, gather=together.gather(rank), **options)
        try:
            for batch in islice(loaders[rank], first):
                found[rank].append(batch)
        except UserError as error:
            found[rank].append(error)

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found, loaders


@pytest.mark.parametrize("number", [2, 3, 5])
@pytest.mark.parametrize("size", [1, 7, 35, 53, 1000])
def test_ranks_share_every_pair_in_equally_many_batches(shards: list[Shard], number: int, size: int) -> None:
    found, loaders = shared(shards, number, size=size)
    assert len({len(batches) for batches in found}) == 1
    assert sorted(i for batches in found for batch in batches for i in batch.index.tolist()) == list(range(TOTAL))
    assert len({json.dumps(stream.state_dict()) for stream in loaders}) == 1


def test_ranks_go_on_after_any_batch(shards: list[Shard]) -> None:
    whole, _ = shared(shards, 2, size=7)
    for first in range(1, len(whole[0]), 5):
        begun, loaders = shared(shards, 2, size=7, first=first)
        rest, _ = shared(shards, 2, size=7, state=loaders[1].state_dict())
        for parts in zip(begun, rest, whole, strict=True):
            before, behind, all_of_them = map(texts, parts)
            assert before + behind == all_of_them


def test_ranks_share_what_is_not_too_long(tmp_path: Path) -> None:
    pairs = [(source + "x" * 200, target) if n % 2 else (source, target) for n, (source, target) in enumerate(PAIRS)]
    pairs[5:60] = [(source + "x" * 200, target) for source, target in PAIRS[5:60]]
    shards = open_shards(write(tmp_path, "tsv", pairs), source="source", target="target")
    found, loaders = shared(shards, 2, size=6)
    seen = [source for batches in found for batch in texts(batches) for _, source, _ in batch]
    kept = [source for source, _ in pairs if len(source) < 100]
    left_out = loaders[0].counts["excluded"]
    assert len({len(batches) for batches in found}) == 1
    assert len(seen) == TOTAL - left_out
    assert len(kept) - len(seen) <= 2  # of pools of which only one pair is left
    assert loaders[0].counts == loaders[1].counts == {"epoch": 0, "pairs": TOTAL, "excluded": left_out}


def test_no_rank_waits_for_one_that_cannot_read(shards: list[Shard], tmp_path: Path) -> None:
    lines = [f"{source}\t{target}" for source, target in PAIRS]
    lines[70] = "no tab"
    (tmp_path / "broken.tsv").write_text("\n".join(lines))
    (shard,) = open_shards([str(tmp_path / "broken.tsv")], source="source", target="target")
    found, loaders = shared([shard], 3, size=10)
    assert {str(batches[-1]) for batches in found} == {str(found[0][-1])}
    assert "broken.tsv, line 71 has 1 columns, not 2: 'no tab'" in str(found[0][-1])
    assert isinstance(found[0][-1], StreamError)
    assert found[0][-1].code == 1
    assert loaders[1].state_dict()["place"]["pairs"] == 60


def test_a_shard_that_is_gone_is_named(tmp_path: Path) -> None:
    shards = open_shards(write(tmp_path, "jsonl"), source="source", target="target")
    stream = loader(shards, workers=1, size=5)
    gone = stream.pools.order(0)[-1]
    Path(gone.name).unlink()
    with pytest.raises(StreamError, match=f"there is no file {gone.name}"):
        list(stream)


def test_other_ranks_or_pools_are_refused_within_an_epoch_only(shards: list[Shard]) -> None:
    stream = loader(shards)
    next(iter(stream))
    within = stream.state_dict()
    for other in ({"size": 21}, {"world_size": 2}, {"seed": 4}):
        with pytest.raises(
            UserError, match=r"(?s)within epoch 0 of the stream, behind pair 0 .*Resume with the shards"
        ) as error:
            loader(shards, state=within, **other)
        assert error.value.code == 2
    list(stream)
    ended = stream.state_dict()
    place = ended["place"]
    assert (place["epoch"], place["pool"], place["batch"]) == (1, 0, 0)
    loader(shards, state=ended, size=21, world_size=2)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("*.jsonl", "there is no file that this pattern matches"),
        ("none.jsonl", "there is no file"),
        ([], "data.train names no file"),
        (["0.tsv", "0.de"], "0.de is of a format that is not known"),
        ("0.de", "0.de is of a format that is not known"),
        (["*.de", "*.en"], "3 texts match .*de, 2 match .*en; .*1.de has no partner"),
    ],
)
def test_what_is_no_stream(names: Any, message: str, tmp_path: Path) -> None:
    write(tmp_path, "tsv")
    write(tmp_path, "texts")
    (tmp_path / "1.en").unlink()
    given = f"{tmp_path}/{names}" if isinstance(names, str) else [f"{tmp_path}/{name}" for name in names]
    with pytest.raises(UserError, match=message):
        open_shards(given, source="source", target="target")


class Model(pl.LightningModule):
    """Learns one number from what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[list[int]] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.seen.append(batch.index.tolist())
        return (self.weight - batch.source.float()).square().mean()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", self.weight.square(), batch_size=1)

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.1)


@pytest.fixture
def fit(tmp_path: Path) -> Any:
    write(tmp_path / "data", "tsv")
    (tmp_path / "val.tsv").write_text("a\tb\n")

    whole = tmp_path / "whole.tsv"
    whole.write_text("".join(f"{source}\t{target}\n" for source, target in PAIRS))

    def run(
        folder: str,
        *callbacks: Any,
        ckpt: Path | None = None,
        model: Model | None = None,
        streaming: bool = True,
        **options: Any,
    ) -> Model:
        data = Pairs(
            train=f"{tmp_path}/data/*.tsv" if streaming else str(whole),
            val=str(tmp_path / "val.tsv"),
            tokenizer="char",
            vocabulary=60,
            streaming=streaming,
            pool=20,
            tokenizer_pairs=60,
            batch_tokens=60,
            cache=str(tmp_path / "cache"),
            seed=1,
        )
        model = model or Model()
        fitted = trainer(tmp_path / folder, *callbacks, plugins=[AtomicCheckpointIO()], **options)
        fitted.fit(model, datamodule=data, ckpt_path=ckpt, weights_only=True)
        return model

    return run


@pytest.mark.parametrize(
    "options",
    [{}, {"val_check_interval": 10, "check_val_every_n_epoch": None}, {"limit_train_batches": 7}],
    ids=["epochs", "by steps", "epochs of seven steps"],
)
def test_training_goes_on_from_every_checkpoint(fit: Any, tmp_path: Path, options: dict[str, Any]) -> None:
    every = [
        ModelCheckpoint(dirpath=tmp_path / "s", filename="{step}", every_n_train_steps=13, save_top_k=-1),
        ModelCheckpoint(dirpath=tmp_path / "v", filename="{step}", monitor="val/loss", save_top_k=-1),
        Checkpoints(dirpath=str(tmp_path / "e"), monitor="val/loss", mode="min"),
    ]
    settings = {"max_epochs": 2, "enable_checkpointing": True, **options}
    whole = fit("whole", *every, **settings)
    if "limit_train_batches" not in options:
        assert sorted(i for batch in whole.seen for i in batch) == sorted(2 * list(range(TOTAL)))
    saved = [path for name in "sve" for path in (tmp_path / name).glob("*.ckpt")]
    assert len(saved) >= 4
    for path in saved:
        if (step := read_checkpoint(path)["global_step"]) < len(whole.seen):
            resumed = fit("again", ckpt=path, **settings)
            assert resumed.seen == whole.seen[step:], path
            assert torch.equal(resumed.weight, whole.weight)


def test_a_training_that_ended_within_an_epoch_goes_on_within_it(fit: Any, tmp_path: Path) -> None:
    whole = fit("whole", max_epochs=-1, max_steps=40)
    saver = Checkpoints(dirpath=str(tmp_path / "c"), monitor="val/loss", mode="min")
    first = fit("first", saver, max_epochs=-1, max_steps=7, enable_checkpointing=True)
    content = read_checkpoint(tmp_path / "c" / "last.ckpt")
    assert content["Pairs"]["cut"]["processes"] == 1
    second = fit("second", max_epochs=-1, max_steps=40, ckpt=tmp_path / "c" / "last.ckpt")
    assert first.seen + second.seen == whole.seen
    assert torch.equal(second.weight, whole.weight)


@pytest.mark.parametrize("early", [False, True], ids=["", "its length asked for early"])
@pytest.mark.parametrize("end", [{"max_epochs": 1}, {"max_steps": 7}], ids=["epoch", "step"])
def test_a_run_on_kept_pairs_goes_on_with_all_of_a_stream(
    fit: Any, tmp_path: Path, end: dict[str, int], early: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver = Checkpoints(dirpath=str(tmp_path / "c"), monitor="val/loss", mode="min")
    kept = fit("kept", saver, streaming=False, enable_checkpointing=True, **end)
    if early:
        configure = Model.configure_optimizers
        monkeypatch.setattr(
            Model, "configure_optimizers", lambda self: (self.trainer.estimated_stepping_batches, configure(self))[1]
        )
    steps = len(kept.seen) + 60
    streamed = fit(
        "streamed", saver, max_epochs=-1, max_steps=steps, enable_checkpointing=True, ckpt=tmp_path / "c" / "last.ckpt"
    )
    again = fit("again", max_epochs=-1, max_steps=steps + 9, ckpt=tmp_path / "c" / "last.ckpt")
    fresh = fit("fresh", max_epochs=-1, max_steps=len(streamed.seen) + 9)
    assert streamed.seen + again.seen == fresh.seen


def test_a_stream_that_is_validated_on_first_has_a_digest(tmp_path: Path) -> None:
    files = {"train": write(tmp_path / "data", "tsv"), "val": str(tmp_path / "data" / "1.tsv")}
    settings = {"tokenizer": "char", "streaming": True, "cache": str(tmp_path / "cache"), "seed": 1}
    data = Pairs(**files, **settings)
    data.setup("validate")
    data.setup("fit")
    assert set(data.description["splits"]) == {"train", "val"}


@pytest.mark.parametrize("first", [1, 70], ids=["in the stream", "in learning"])
def test_half_a_character_in_a_stream_is_refused(first: int, tmp_path: Path) -> None:
    rows = [json.dumps({"source": "a", "target": "b"}) for _ in range(9)]
    (tmp_path / "a.jsonl").write_text("\n".join([*rows, '{"source": "c", "target": "\\ud800"}', ""]))
    files = {"train": str(tmp_path / "a.jsonl"), "val": None}
    settings = {"tokenizer": "char", "streaming": True, "cache": str(tmp_path / "cache"), "seed": 1}
    data = Pairs(**files, **settings, tokenizer_pairs=first)

    def read() -> None:
        data.setup("fit")
        list(data.train_dataloader())

    with pytest.raises(UserError, match=r"a\.jsonl, row 10 is no text"):
        read()


def test_shards_of_the_same_names_and_sizes_have_tokenizers_of_their_own(tmp_path: Path) -> None:
    for folder, text in (("a", "x y\tz\n"), ("b", "u v\tw\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "train.tsv").write_text(9 * text)
    settings = {"tokenizer": "char", "streaming": True, "cache": str(tmp_path / "cache"), "seed": 1}
    for folder, known in (("a", "x y"), ("b", "u v")):
        data = Pairs(train=str(tmp_path / folder / "train.tsv"), **settings)
        data.setup("fit")
        assert data.source_tokenizer.decode(data.source_tokenizer.encode(known)) == known


def test_a_loader_that_is_loaded_anew_goes_on(fit: Any) -> None:
    whole = fit("whole", max_epochs=3)
    assert fit("anew", max_epochs=3, reload_dataloaders_every_n_epochs=1).seen == whole.seen


def test_what_is_not_mended_leaves_the_checkpoint_as_it_is(fit: Any, tmp_path: Path) -> None:
    settings = {"max_epochs": 1, "enable_checkpointing": True}
    whole = fit("whole", **settings)
    shard = tmp_path / "data" / "2.tsv"
    content = shard.read_text()
    shard.write_text(content.replace("\t", " "))  # of the same size
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    parts: list[list[int]] = []

    def broken(ckpt: Path | None) -> None:
        model = Model()
        guard = [Randomness(), Interruption(directory=str(tmp_path / "run"))]
        with pytest.raises(StreamError, match=r"2.tsv, line \d+ has 1 columns"):
            fit("run", *guard, model=model, ckpt=ckpt, **settings)
        parts.extend(model.seen)

    broken(None)
    before = last.read_bytes()
    broken(last)
    assert last.read_bytes() == before
    shard.write_text(content)
    resumed = fit("run", Randomness(), ckpt=last, **settings)
    assert parts + resumed.seen == whole.seen
    assert torch.equal(resumed.weight, whole.weight)


def test_a_stream_that_breaks_while_gradients_wait_leaves_the_last_checkpoint(
    fit: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shard = tmp_path / "data" / "2.tsv"
    shard.write_text(shard.read_text()[:-20].replace("\t", " ") + shard.read_text()[-20:])

    def broken(every: int) -> int:
        model, guard = Model(), [Randomness(), Interruption(directory=str(tmp_path / "run"))]
        with pytest.raises(StreamError):
            fit("run", *guard, model=model, max_epochs=1, accumulate_grad_batches=every, enable_checkpointing=True)
        return len(model.seen)

    seen = broken(1000)
    broken(next(every for every in range(2, seen) if seen % every))
    assert "while gradients waited" in caplog.text
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_overfitting_sees_the_same_batch(fit: Any) -> None:
    model = fit("overfit", overfit_batches=1, max_epochs=3)
    assert len(model.seen) == 3
    assert len({tuple(batch) for batch in model.seen}) == 1
