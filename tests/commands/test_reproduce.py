"""Reproducing a run: what a hostile record cannot do, what counts as drift, and when numbers count as the same."""

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from seqtrain.commands.reproduce import main
from seqtrain.config.allow import GROUPS, to_plain
from seqtrain.config.check import check
from seqtrain.config.compose import compose
from seqtrain.config.places import conf_directory
from seqtrain.config.recorded import READ, SENT, WRITTEN, changed, contained, of_record, overrides_of
from seqtrain.config.schema import constructor
from seqtrain.config.values import accepts
from seqtrain.errors import UserError
from seqtrain.runs.drift import configuration, drift, reasons, table
from seqtrain.runs.files import ANY_BYTES
from seqtrain.runs.local import read
from seqtrain.runs.record import Run
from seqtrain.runs.reproduction import Reproduction, compare, curves, markdown

NUMERICS = {"device": "cpu", "threads": 1, "instructions": "AVX2", "deterministic": False} | {
    "benchmark": False,
    "matmul_precision": "highest",
}
FINISHED = {"status": "finished", "results": {"test/accuracy": 0.5}, "numerics": NUMERICS, "ranks": 1}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("template")
    Run.create(directory, compose(["data=brackets", "logger=none"]), **FINISHED)
    return directory


@pytest.fixture
def run(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run in the working directory that is finished, as far as its record says."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(template, tmp_path / "run")


def change(run: Path, **fields: Any) -> None:
    file = run / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def spoilt(run: Path, key: str, value: Any) -> None:
    """Puts a value into the recorded configuration."""
    *path, last = key.split(".")
    node = config = json.loads((run / "manifest.json").read_text())["config"]
    for name in path:
        node = node.setdefault(name, {})
    node[last] = value
    change(run, config=config)


def call(target: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": target, **arguments}


NAMED = {"callbacks.x.y": "callbacks.x=", "hydra.callbacks.x": "hydra=", "callbacks.x\x1b]0;y": "callbacks: 'x\\x1b"}
"""What a message names of keys that it does not name as a whole."""

TOUCH = {"command": "touch owned", "args": ["touch", "owned"], "source": "open('owned', 'w')", "path": "owned"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", call("os.system", **TOUCH)),
        ("model", call("seqtrain.models.gru.os.system", **TOUCH)),
        ("model.hidden", call("subprocess.Popen", **TOUCH)),
        ("model._args_", ["touch owned"]),
        ("data", call("builtins.exec", **TOUCH)),
        ("data", call("seqtrain.data.loading.SequenceData.setup", **TOUCH)),
        ("optimizer.betas", [call("os.system", **TOUCH)]),
        ("optimizer", call("torch.optim.LBFGS")),
        ("callbacks.x", call("subprocess.Popen", **TOUCH)),
        ("callbacks.x", call("pytorch_lightning.callbacks.LambdaCallback", on_fit_start="print")),
        ("callbacks.bleu.decoding", call("builtins.eval", **TOUCH)),
        ("callbacks.x.y", call("os.system", **TOUCH)),
        ("trainer.plugins", [call("os.system", **TOUCH)]),
        ("trainer.callbacks", [call("os.system", **TOUCH)]),
        ("trainer.profiler", call("os.system", **TOUCH)),
        ("trainer.default_root_dir", "elsewhere"),
        ("logger", call("os.system", **TOUCH)),
        ("logger.x", call("subprocess.Popen", **TOUCH)),
        ("tags", [call("os.system", **TOUCH)]),
        ("study._target_", "os.system"),
        ("study.baselines", {"x": call("os.system", **TOUCH)}),
        ("hydra.callbacks.x", call("os.system", **TOUCH)),
        ("group", "${oc.env:SECRET}"),
        ("tags", ["a", "b ${oc.env:SECRET}"]),
        ("data.level", "${hydra:runtime.cwd}"),
        ("model.hidden", "${model.embedding}"),
        ("callbacks.x\x1b]0;y", None),
        ("group", "\x1b]0;y\x07"),
    ],
)
def test_a_hostile_configuration_is_refused_with_its_key(
    key: str, value: Any, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt(run, key, value)
    monkeypatch.setenv("SECRET", "never-seen")
    with pytest.raises(UserError) as caught:
        main(["run", "out=new"])
    assert NAMED.get(key, key) in str(caught.value)
    assert "never-seen" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert [file.name for file in run.parent.iterdir()] == ["run"]


def test_a_class_that_is_no_data_set_is_not_made(run: Path) -> None:
    spoilt(run, "data", call("seqtrain.data.mapped.Rows", folder="run"))
    with pytest.raises(UserError, match=r"mapped\.Rows is not a LightningDataModule"):
        main(["run", "out=new"])
    assert not Path("new").exists()


def test_a_file_of_an_old_record_gets_nothing_from_outside(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(run, record=1, config=None, numerics=None)
    file = run / ".hydra" / "config.yaml"
    file.write_text(file.read_text().replace("tags: []", "tags: ['${oc.env:SECRET}']"))
    monkeypatch.setenv("SECRET", "never-seen")
    with pytest.raises(UserError, match=r"tags\.0='\$\{oc\.env:SECRET\}'"):
        main(["run", "--check"])


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"status": "interrupted"}, "is interrupted, not finished"),
        ({"results": {}}, "has no results"),
        ({"results": {"a": []}}, "not numbers"),
        ({"results": {"train/tokens_per_second": 9.0}}, "none that are compared: train/tokens"),
        ({"ranks": 4}, "by several processes"),
        ({"parent": {"run": "x", "why": "resumed from last.ckpt"}}, "another run's checkpoint"),
    ],
)
def test_runs_that_cannot_be_reproduced(manifest: dict[str, Any], message: str, run: Path) -> None:
    change(run, **manifest)
    with pytest.raises(UserError, match=message):
        main(["run", "--check"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "needs one run"),
        (["run", "run"], "needs one run"),
        (["nope"], "no run at nope"),
        (["run", "out=run"], r"already holds a run(.|\n)*out=PATH"),
        (["run", "out=left"], "a run that did not begin"),
        (["run", "tolerance=-1"], "tolerance=-1: must be a number of at least 0"),
        (["run", "data.rot=x"], "data.rot='x': no such key"),
        (["run", "data.size=1,2"], "several values"),
        (["run", "model.hidden=3"], "model.hidden=3: no such option"),
        (["run", "logger=wnb"], "logger=wnb: no such option; did you mean wandb?"),
        (["run", "--chek"], "did you mean --check?"),
    ],
)
def test_mistakes(words: list[str], message: str, run: Path) -> None:
    Path("left", ".hydra").mkdir(parents=True)
    with pytest.raises(UserError, match=message):
        main(words)


def test_what_is_shown_of_a_hostile_record(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git = {"commit": "$(touch owned)", "dirty": True, "changes": "../../secret"}
    damaged = {"versions": [], "numerics": 3, "python": ["3"], "choices": 1, "resumed": 2, "data": [], "overrides": 4}
    change(run, git=git, hardware={"processor": "\x1b[2J|x", "gpus": 3}, **damaged)
    assert main(["run", "--check"]) == 1
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "git " not in shown
    assert "| commit | unknown |" in shown


def test_a_record_does_not_choose_where_files_go() -> None:
    profiler = call("pytorch_lightning.profilers.SimpleProfiler", dirpath="/x", filename="y")
    config = of_record(to_plain(compose(["logger=wandb", "logger.entity=foe", "data.cache=/elsewhere", "resume=/x"])))
    for key, value in {
        "callbacks.bleu.directory": "/x",
        "callbacks.x": call("pytorch_lightning.callbacks.ModelCheckpoint", dirpath="/x", filename="../y"),
        "trainer.profiler": profiler,
        "trainer.model_registry": "foe/model",
        "trainer.devices": 64,
        "trainer.num_nodes": 8,
    }.items():
        OmegaConf.update(config, key, value, force_add=True)
    check(config)
    found, left = contained(config, given=[], logger=["logger=none"])
    text = json.dumps(to_plain(found))
    assert not [word for word in ("/x", "../y", "foe", "elsewhere") if word in text]
    assert (found.resume, found.logger, found.trainer.devices, found.trainer.num_nodes) == (None, {}, 1, 1)
    assert {"logger", "data.cache", "callbacks.bleu.directory", "trainer.devices"} <= set(left)
    given = changed(config, ["data.cache=mine"])
    found, _ = contained(given, given=["data.cache"], logger=["logger=csv"])
    assert (found.data.cache, found.logger._target_) == ("mine", "seqtrain.runs.table.CSV")


def test_no_other_parameter_takes_a_path() -> None:
    harmless = {
        "source",
        "target",
        "monitor",
        "mode",
        "train_time_interval",
        "decoding",
        "avg_fn",
        "device",
        "theme",
        "hub_config",
        "process_group_backend",
    }
    for name, group in GROUPS.items():
        if name in ("logger", "profiler"):  # which are not taken over at all
            continue
        texts = [file.read_text() for file in (conf_directory() / name).glob("*.yaml")]
        for target in {*group.classes, *(found for text in texts for found in re.findall(r"_target_: (\S+)", text))}:
            signature = constructor(target)
            assert signature is not None
            paths = {p.name for p in signature.parameters.values() if accepts("/x", p.hint)} - group.supplied
            assert paths <= {*READ, *WRITTEN, *SENT, "cache", *harmless}, target


def test_a_record_does_not_choose_what_is_fetched() -> None:
    config = compose(["data=multi30k", "data.hub=foe/data"])
    with pytest.raises(UserError, match=r"say so: data\.hub=foe/data"):
        contained(config, given=[], logger=["logger=none"])
    contained(config, given=["data.hub"], logger=["logger=none"])
    with pytest.raises(UserError, match="no file and no folder"):
        contained(compose(["data=chars", "data.path=/dev/zero"]), given=[], logger=["logger=none"])


@pytest.mark.parametrize(
    "asked",
    [
        ["data=brackets", "model=lstm", "optimizer=sgd", "trainer.limit_val_batches=1.0", "logger=none"],
        ["data=brackets", "data.size=9", "experiment=../../foe", "hydra.run.dir=/x", "tags=[${oc.env:HOME}]"],
        ["data=no_longer", "study=copying", "resume=x"],
    ],
)
def test_overrides_lead_to_the_same_configuration(asked: list[str]) -> None:
    config = compose(["data=brackets", "model=lstm", "~callbacks.bleu", "trainer.limit_val_batches=1", "logger=none"])
    config.tags = ["it's", "a, {b}", "\\", "1e3", "null", " x", "new\nline"]
    again = overrides_of(config, asked)
    assert json.dumps(to_plain(compose(again)), sort_keys=True) == json.dumps(to_plain(config), sort_keys=True)
    assert not [line for line in again if "${" in line or "foe" in line or "hydra" in line]


def manifest(**fields: Any) -> dict[str, Any]:
    made_with = {"python": "3.11.7", "lock": "ab", "versions": {"torch": "2.1", "wandb": "1"}, "numerics": NUMERICS}
    hardware = {"system": "Linux x86_64", "processor": "P", "cores": 2}
    return {"git": {"commit": "a" * 40, "dirty": False}, "hardware": hardware, **made_with, **fields}


def files(**content: str) -> Any:
    return lambda name: content.get(name.replace(".", "_").replace("-", "_"))


@pytest.mark.parametrize(
    ("then", "now", "what", "matters"),
    [
        ({"git": {"commit": "b" * 40}}, {}, ["commit"], True),
        ({"git": None}, {}, ["commit", "own changes"], True),
        ({"git": {"commit": "a" * 40, "dirty": True, "changes": "changes.diff"}}, {}, ["own changes"], True),
        ({"git": {"commit": "a" * 40, "dirty": True, "changes": None}}, {}, ["own changes"], True),
        ({"git": {"commit": "a" * 40, "dirty": True}}, {}, [], True),
        ({"python": "3.12.1"}, {}, ["Python"], True),
        ({"lock": "cd"}, {}, ["list of pins"], False),
        ({"versions": {"torch": "2.2", "wandb": "1"}}, {}, ["torch"], True),
        ({"versions": {"torch": "2.1", "wandb": "2"}}, {}, ["wandb"], False),
        ({"versions": {"wandb": "1"}}, {}, ["torch"], True),
        ({"numerics": {**NUMERICS, "threads": 2}}, {}, ["threads"], True),
        ({"numerics": {**NUMERICS, "device": "cuda"}}, {}, ["device"], True),
        ({"hardware": {"system": "Linux x86_64", "processor": "P", "cores": 64}}, {}, [], True),
        ({"resumed": [{**manifest(), "changed": {}}]}, {}, [], True),
        ({"resumed": [{**manifest(), "changed": {"data.cache": "x"}}]}, {}, [], True),
        ({"resumed": [{**manifest(), "changed": {"trainer.max_epochs": 3}}]}, {}, ["training"], True),
        ({"resumed": [manifest()]}, {}, ["training"], True),
        ({"resumed": [{**manifest(python="3.12.1"), "changed": {}}]}, {}, ["training"], True),
    ],
)
def test_drift(then: dict[str, Any], now: dict[str, Any], what: list[str], matters: bool) -> None:
    rows = drift(manifest(**then), manifest(**now), before=files(changes_diff="a\n"), here=files())
    assert [row.what for row in rows] == what
    assert all(row.matters is matters for row in rows)
    assert (table(rows) == "nothing differs") is (not what)


def test_own_changes_are_compared_by_what_they_are() -> None:
    git = {"commit": "a" * 40, "dirty": True, "changes": "changes.diff"}
    then, other = manifest(git=git), manifest(git={**git, "changes": "changes-1.diff"})
    assert drift(then, other, before=files(changes_diff="a\n"), here=files(changes_1_diff="a\n")) == []
    (row,) = drift(then, other, before=files(changes_diff="a\n"), here=files(changes_1_diff="b\n"))
    assert row.what == "own changes"


def test_own_changes_may_be_in_any_encoding(run: Path) -> None:
    made = manifest(git={"commit": "a" * 40, "dirty": True, "changes": "changes.diff"})

    def rows(there: bytes, here: bytes) -> int:
        (run / "changes.diff").write_bytes(there)
        return len(drift(made, made, before=read(run).source.text, here=lambda _: here.decode("utf-8", ANY_BYTES)))

    assert rows(b"+\xe4\r\n", b"+\xe4\r\n") == 0
    assert rows(b"+\xe4\r\n", b"+\xf6\r\n") == 1


def test_what_an_old_record_does_not_say_is_unknown() -> None:
    old = {"git": {"commit": "a" * 40, "dirty": True}, "python": "3.11.7", "versions": {"torch": "2.1"}}
    rows = {row.what: row for row in drift(old, manifest(), before=files(), here=files())}
    assert {"own changes", "system", "processor", "threads", "device", "other packages"} <= rows.keys()
    assert "torch" not in rows
    assert {row.then for row in rows.values()} == {"unknown"}


def test_why_bits_need_not_be_equal() -> None:
    assert reasons([], manifest(), {"trainer": {"max_epochs": 3, "val_check_interval": 0.5}}) == []
    (clock,) = reasons([], manifest(), {"trainer": {"max_time": "00:01:00:00"}})
    assert "clock" in clock
    (order,) = reasons([], manifest(numerics={**NUMERICS, "device": "cuda"}), {})
    assert "trainer.deterministic=true" in order
    assert reasons([], manifest(numerics={**NUMERICS, "device": "cuda", "deterministic": True}), {}) == []
    (row,) = configuration({"data": {"root": "a", "size": 1}, "logger": 1}, {"data": {"root": "b", "size": 2}})
    assert reasons([row], manifest(), {}) == ["data.size (1, now 2)"]


def verdicts(then: dict[str, float], now: dict[str, float], tolerance: float) -> dict[str, str]:
    return {row.metric: row.verdict for row in compare(then, now, tolerance=tolerance)}


def test_verdicts() -> None:
    then = {
        "a": 2.0,
        "b": math.nan,
        "c": 0.001,
        "d": 1.0,
        "e": 1.0,
        "e_ci": 0.5,
        "f": math.inf,
        "x/tokens_per_second": 1,
    }
    now = {"a": 2.03, "b": math.nan, "c": 0.0019, "d": 1.03, "e": 1.0, "e_ci": 0.7, "f": 1.0, "g": 3.0}
    assert verdicts(then, now, 0.02) == {
        **{"a": "within", "b": "equal", "c": "within", "d": "differs", "e": "equal", "e_ci": "not judged"},
        **{"f": "differs", "g": "new"},
    }
    assert verdicts({"test/bleu": 2.0, "test/nll": 2.0}, {"test/bleu": 2.4, "test/nll": 2.4}, 0.02) == {
        "test/bleu": "within",
        "test/nll": "differs",
    }
    assert verdicts({"a": 1.0, "c": 1.0}, {"a": math.nextafter(1.0, 2.0)}, 0.0) == {"a": "differs", "c": "missing"}


def test_what_counts_as_reproduced() -> None:
    lines = [{"step": 0, "a": 1.0, "epoch": 0, "a_per_second": 5.0}, {"step": 1, "a": math.nan}, {"step": 2, "a": 3.0}]
    other = [*lines[:2], {"step": 2, "a": 3.5}, {"step": 3, "b": 1.0}]
    (same,) = curves(lines, lines)
    assert (same.metric, same.equal, same.first) == ("a", 3, None)
    a, b = curves(lines, other)
    assert (a.common, a.equal, a.first, b.then, b.common) == (3, 2, 2, 0, 0)

    def found(tolerance: float, now: float) -> Reproduction:
        metrics = compare({"m": 1.0}, {"m": now}, tolerance=tolerance)
        return Reproduction("run", "new", tolerance, ["threads"] if tolerance else [], [], metrics, [a, b])

    assert found(0.02, 1.01).reproduced
    assert not found(0.02, 1.1).reproduced
    assert not found(0.0, 1.0).reproduced  # a logged value is another
    assert "Not reproduced: 0 of 1 results are equal to the bit, 0 within 0.02" in markdown(found(0.02, 1.1), name="r")
    assert json.loads(json.dumps(found(0.02, math.nan).plain()))["metrics"][0]["now"] == "NaN"
    assert json.loads(json.dumps(found(0.02, math.nan).plain()))["metrics"][0]["now"] == "NaN"


def test_equality_to_the_bit_is_of_the_same_steps() -> None:
    then = [{"step": step, "a": 1.0} for step in range(99)]
    metrics = compare({"m": 1.0}, {"m": 1.0}, tolerance=0)

    def reproduced(now: list[dict[str, Any]], tolerance: float = 0.0, **fields: Any) -> bool:
        return Reproduction("run", "new", tolerance, [], [], metrics, curves(then, now), **fields).reproduced

    assert reproduced(then)
    assert not reproduced([{"step": 200, "a": 1.0}])
    assert not reproduced(then[:-1])
    assert not reproduced([])
    assert reproduced(then[::2], same_steps=False)  # trainer.log_every_n_steps was changed
    assert not reproduced([{"step": 0, "a": 2.0}], same_steps=False)
    assert reproduced(then[:-1], tolerance=0.02)
