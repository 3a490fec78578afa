"""bAbI: read in every layout, refused with the line, one task or several, made into batches, and scored."""

import json
import logging
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from seqtrain.callbacks.buckets import Buckets
from seqtrain.config.check import check
from seqtrain.config.compose import compose
from seqtrain.data.babi import Babi
from seqtrain.data.corpora import babi as corpus
from seqtrain.data.corpora import babi_hub
from seqtrain.data.corpora.babi import answer_of, parse
from seqtrain.data.corpora.questions import Question
from seqtrain.data.preflight import preflight
from seqtrain.data.stories import UNKNOWN
from seqtrain.errors import UserError
from seqtrain.models.gru import GRU
from tests.tiny import trainer

TRAIN = """1 Mary moved to the bathroom.
2 John went to the hallway.
3 Where is Mary?\tbathroom\t1
4 Mary got the milk there.
5 Where is the milk?\tbathroom\t4 1
6 What is Mary carrying?\tmilk\t4
1 Sandra took the apple.
2 Where is Sandra?\tgarden\t1
"""
LISTS = "1 Mary got the milk.\n2 Mary got the apple.\n" + "".join(
    f"{n} What is Mary carrying?\t{'milk, apple' if n % 2 else 'nothing'}\t1 2\n" for n in range(3, 24)
)
TEST = "1 Bob moved to the attic.\n2 Where is Bob?\tattic\t1\n3 Where is Mary?\tmilk\t1\n"
FILES = {
    "qa1_single-supporting-fact_train.txt": TRAIN,
    "qa1_single-supporting-fact_test.txt": TEST,
    "qa8_lists-sets_train.txt": LISTS,
    "qa8_lists-sets_test.txt": LISTS[:-1].replace("milk, apple", "apple,milk"),
    "qa11_basic-coreference_train.txt": "not this one\n",
    "qa11_basic-coreference_test.txt": TEST,
}
REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "babi" / "tasks_1-20_v1-2"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks_1-20_v1-2" / "en"
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return tmp_path


def opened(**options: Any) -> Babi:
    data = Babi(**{"variant": "en", "seed": 1, **options})
    data.setup()
    return data


def hub_folder(path: Path) -> Path:
    """The stories of `FILES` as facebook/babi_qa has them, with a README that names its configurations."""
    configs = []
    for task, stem in ((1, "qa1_single-supporting-fact"), (8, "qa8_lists-sets")):
        (path / f"en-qa{task}").mkdir(parents=True)
        files = {}
        for split in ("train", "test"):
            rows: list[dict[str, Any]] = []
            for line in FILES[f"{stem}_{split}.txt"].splitlines():
                number, _, rest = line.partition(" ")
                text, answer, facts = (*rest.split("\t"), "", "")[:3]
                if number == "1":
                    rows.append({"id": [], "type": [], "text": [], "supporting_ids": [], "answer": []})
                for key, value in (("id", number), ("text", text), ("answer", answer), ("type", int(bool(answer)))):
                    rows[-1][key].append(value)
                rows[-1]["supporting_ids"].append(facts.split())
            files[split] = f"en-qa{task}/{split}.jsonl"
            (path / files[split]).write_text("".join(json.dumps({"story": row}) + "\n" for row in rows))
        listed = [{"split": split, "path": file} for split, file in files.items()]
        configs.append({"config_name": f"en-qa{task}", "data_files": listed})
    (path / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': configs})}---\n")
    return path


def test_stories_grow_until_the_next_one_begins() -> None:
    first, second, third, fourth = parse(TRAIN.splitlines(), "qa1", 1)
    assert first.story == (("mary", "moved", "to", "the", "bathroom"), ("john", "went", "to", "the", "hallway"))
    assert first == Question(first.story, ("where", "is", "mary"), "bathroom", (0,), 3, 1)
    assert second.story == third.story == (*first.story, ("mary", "got", "the", "milk", "there"))
    assert (second.supports, third.supports) == ((2, 0), (2,))  # line 4 is the third sentence
    assert fourth.story == (("sandra", "took", "the", "apple"),)


def test_lists_are_sorted_and_paths_are_not() -> None:
    assert [answer_of("Milk, apple", 8), answer_of("w,e", 19), answer_of("Garden", 1)] == [
        "apple,milk",
        "w,e",
        "garden",
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("1 A b.\nx Where?\ta\t1\n", "line 2 is not in bAbI's format: it must begin with a number"),
        ("1 A b.\n2 ?\ta\t1\n", "line 2 .* no word in it"),
        ("1 Where?\ta\t1\n", "line 1 .* no sentence before the question"),
        ("1 A b.\n2 Where? a 1\n", "line 2 .* needs a tab and an answer"),
        ("1 A b.\n2 Where?\t\t1\n", "line 2 .* needs a tab and an answer"),
        ("1 A b.\n2 Where?\ta\t1\n3 Where?\ta\t2\n", "line 3 .* supporting fact '2' is the number of no sentence"),
        ("1 A b.\n", "has no questions"),
    ],
)
def test_malformed_files_are_refused_with_the_line(text: str, what: str) -> None:
    with pytest.raises(UserError, match=f"qa1.*{what}"):
        parse(text.splitlines(), "qa1")


def test_folders_archives_and_the_hub_are_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = root / "babi.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(root / "tasks_1-20_v1-2", "tasks_1-20_v1-2")
    folder = root / "tasks_1-20_v1-2"
    places = [{"root": str(place)} for place in (root, folder, folder / "en", archive)]
    places.append({"hub": str(hub_folder(root / "hub")), "cache": str(root / "cache")})
    monkeypatch.chdir(root)
    found = [opened(task=[8, 1], **place) for place in places]
    assert all(data.sizes == {"train": 22, "val": 3, "test": 23} for data in found)
    assert len({data.fingerprint for data in found}) == 1
    (root / "data").mkdir()
    folder.rename(root / "data" / "babi")
    assert opened(task=[1, 8]).fingerprint == found[0].fingerprint


def test_what_a_script_made_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(babi_hub, "reachable", lambda hub: None)
    load, asked = datasets.load_dataset, []
    folder = hub_folder(tmp_path / "there")
    (folder / "README.md").unlink()  # the branch of tables has folders alone

    def fetch(hub: str, **options: Any) -> Any:
        asked.append(options.pop("revision", None))
        if asked[-1] is None:
            raise RuntimeError("Dataset scripts are no longer supported, but found babi_qa.py")
        return load(str(folder), **options)

    monkeypatch.setattr(datasets, "load_dataset", fetch)
    assert opened().sizes == {"train": 3, "val": 1, "test": 2}
    monkeypatch.setattr(babi_hub, "reachable", lambda hub: "no network")
    assert opened().sizes["train"] == 3
    assert asked == [None, "refs/convert/parquet"]
    with pytest.raises(UserError) as error:
        opened(task=8)
    for part in ("no folder data/babi", "facebook/babi_qa", "no network", "data.root=PATH", "data=babi_sim"):
        assert part in str(error.value)


def test_another_layout_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = hub_folder(tmp_path / "hub")
    for split in ("train", "test"):
        (folder / "en-qa1" / f"{split}.jsonl").write_text('{"story": {"text": ["A b."]}}\n')
    with pytest.raises(UserError, match="en-qa1:train is not of the layout of facebook/babi_qa: 'id'"):
        opened(hub=str(folder))
    with pytest.raises(UserError, match="hub cannot be opened"):
        opened(hub=str(folder), task=2)


def test_batches_hold_words_answers_and_supporting_sentences(root: Path) -> None:
    data = opened(root=str(root), task=1)
    words, questions = data.words, parse(TRAIN.splitlines(), "")[:3]
    batch = data.collate("train", np.array([2, 0, 1]))
    assert batch.story.shape == (3, 3, 5)
    for row, place in enumerate((2, 0, 1)):
        q = questions[place]
        story = [tuple(words[i] for i in sentence if i) for sentence in batch.story[row].tolist()]
        assert story == [*q.story, ()][: len(story)]
        assert tuple(words[i] for i in batch.question[row].tolist() if i) == q.question
        assert data.task.answers[int(batch.answers[row])] == q.answer
    assert batch.supports.tolist() == [[2, -1], [0, -1], [2, 0]]
    assert [words[i] for i in data.task.answer_words] == list(data.task.answers) == ["bathroom", "milk"]
    assert data.lengths("train").tolist() == [13, 19, 19]
    alone = data.collate("train", np.array([0]))
    assert (alone.story == batch.story[1, :2]).all()


def test_the_last_sentences_are_kept(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        data = opened(root=str(root), task=1, sentences=2)
    assert data.cut == {"train": 2, "val": 0, "test": 0}
    assert "2 of 3 train stories are longer than data.sentences=2: their last sentences are kept" in caplog.text
    batch = data.collate("train", np.array([1]))
    assert [data.words[i] for i in batch.story[0, -1].tolist()] == ["mary", "got", "the", "milk", "there"]
    assert batch.story.shape[1] == data.task.sentences == 2
    assert batch.supports.tolist() == [[1]]  # the other one is no longer there


def test_what_is_unknown_is_counted_and_reported(root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        data = opened(root=str(root), task=1)
    batch = data.collate("test", np.array([0, 1]))
    assert batch.answers.tolist() == [-1, 1]  # the attic is in no training answer
    assert batch.question[0, 2] == UNKNOWN  # nor Bob in a training text
    assert "2 of 2 test questions or their stories have words that are not in the training text (attic, bob)" in (
        caplog.text
    )
    assert "1 of 2 test questions have answers that are not in training (attic): each counts as an error" in caplog.text
    assert "1 of 1 val questions have answers that are not in training (garden)" in caplog.text
    data.save(tmp_path / "saved")
    again = Babi(root=str(root), variant="en", task=8, seed=1)
    again.load(tmp_path / "saved")
    again.setup()
    assert (again.task, again.tokenizer_hash) == (data.task, data.tokenizer_hash)
    new = data.batch([Question((("mary", "flew"),) * 60, ("where", "is", "mary"), "", (59,))])
    assert new.story.shape == (1, 50, 3)
    assert (new.story[0, :, 1] == UNKNOWN).all()
    assert new.supports.tolist() == [[49]]


def test_tasks_together(root: Path) -> None:
    """The last tenth of each validates; the majority error is the mean of theirs, by what is most frequent in it."""
    data = opened(root=str(root), task=[1, 8])
    tasks = {split: data.attributes(split)["task"].tolist() for split in data.sizes}
    assert tasks == {"train": [1] * 3 + [8] * 19, "val": [1, 8, 8], "test": [1, 1] + [8] * 21}
    assert data.task.answers == ("apple,milk", "bathroom", "milk", "nothing")
    assert data.majority_error("test") == pytest.approx((1 + 10 / 21) / 2)
    assert data.majority_error("val") == pytest.approx((1 + 1 / 2) / 2)
    assert opened(root=str(root), task=8).attributes("test").keys() == {"sentences"}


def test_epochs_have_every_question_once_in_batches_of_a_size(root: Path) -> None:
    data = opened(root=str(root), task=8, batch_size=4)
    sampler = data.sampler("train", shuffle=True, rank=0, world_size=1)
    first, second = list(sampler.batches(0)), list(sampler.batches(1))
    assert [len(batch) for batch in first] == [len(batch) for batch in second] or len(first) == 5
    assert max(map(len, first)) == 4
    assert sorted(np.concatenate(first).tolist()) == sorted(np.concatenate(second).tolist()) == list(range(19))
    assert np.concatenate(first).tolist() != np.concatenate(second).tolist()


def test_majority_error_and_results_by_task_stand_beside_the_score(root: Path, tmp_path: Path) -> None:
    data = opened(root=str(root), task=[1, 8])
    model = GRU(task=data.task, embedding=4, hidden=4)
    fitted = trainer(tmp_path, Buckets(directory=str(tmp_path)), max_epochs=1)
    fitted.fit(model, datamodule=data)
    assert float(fitted.callback_metrics["val/majority_error"]) == pytest.approx(data.majority_error("val"))
    fitted.test(model, datamodule=data, verbose=False)
    found = {name: float(value) for name, value in fitted.callback_metrics.items()}
    assert found["test/majority_error"] == pytest.approx(data.majority_error("test"))
    by_task = json.loads((tmp_path / "buckets.json").read_text())["task"]
    assert [(row["low"], row["high"], row["count"]) for row in by_task] == [(1, 1, 2), (8, 8, 21)]
    assert 1 - found["test/error"] == pytest.approx(sum(row["accuracy"] * row["count"] for row in by_task) / 23)


@pytest.mark.parametrize("task", ["0", "21", "[3,21]", "some", "1.5"])
def test_a_task_that_there_is_not_is_refused(task: str) -> None:
    with pytest.raises(
        UserError, match=r"data.task=.*: must be all or a whole number from 1 to 20 or a list, .* from 1 to 20"
    ):
        check(compose(["model=gru", "data=babi", f"data.task={task}"]))


def test_what_is_missing_is_named_before_anything_is_built(root: Path) -> None:
    target = {"_target_": "seqtrain.data.babi.Babi", "variant": "en", "root": str(root)}
    preflight({**target, "task": [1, 8]})
    (root / "file.tar.gz").write_text("nothing")
    for wrong, what in (
        ({"root": str(root / "no")}, "there is nothing at data.root"),
        ({"root": str(root / "file.tar.gz")}, "neither a folder nor an archive"),
        (
            {"root": str(root / "tasks_1-20_v1-2" / "en"), "variant": "en-10k"},
            "is the folder of en, but data.variant=en-10k",
        ),
        ({"task": []}, "no task"),
        ({"task": "all"}, r"no train file of task 2; looked for en/qa2_…train.txt"),
        ({"variant": "en-valid"}, r"no train file of task 1; looked for en-valid/qa1_…train.txt"),
        ({"task": 11}, r"qa11_basic-coreference_train.txt, line 1 is not in bAbI's format"),
    ):
        with pytest.raises(UserError, match=what):
            preflight({**target, **wrong}, needed=("train",))


def test_a_validation_split_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "en-valid").mkdir()
    for split in ("train", "valid", "test"):
        (tmp_path / "en-valid" / f"qa1_{split}.txt").write_text(TRAIN if split == "train" else TEST)
    data = opened(root=str(tmp_path), variant="en-valid")
    assert data.sizes == {"train": 4, "val": 2, "test": 2}
    corpus.preflight(needed=("train", "val"), root=str(tmp_path), variant="en-valid")


@pytest.mark.skipif(not REAL.is_dir(), reason="no real bAbI beside the project")
def test_the_real_tasks() -> None:
    data = opened(root=str(REAL), task="all")
    assert data.sizes["test"] == pytest.approx(20_000, abs=200)
    assert sorted(set(data.attributes("train")["task"].tolist())) == list(range(1, 21))
    assert data.cut["train"] > 0
    assert 0.4 < data.majority_error("test") < 0.8
    first = data.collate("train", np.flatnonzero(data.attributes("train")["task"] == 1))
    fact = first.story[first.index, first.supports[:, 0]]  # task 1: the place is in the one supporting sentence
    words = np.array(data.task.answer_words)[first.answers]
    assert (fact.numpy() == words[:, None]).any(1).all()


def test_a_single_training_question_leaves_none_to_validate_on(root: Path) -> None:
    text = "1 Mary went home.\n2 Where is Mary?\thome\t1\n"
    (root / "tasks_1-20_v1-2" / "en" / "qa1_single-supporting-fact_train.txt").write_text(text)
    with pytest.raises(UserError, match="one training question of task 1"):
        opened(root=str(root), variant="en")
