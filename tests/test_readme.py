"""Every command of README.md works: it is run as it stands there, made small by the table below.

A command that the table does not know fails, so that none is written there untried.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from seqtrain.data.captions import generate
from tests.end_to_end import warm

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")

PAIRS = "data.size=48 data.val_size=6 data.test_size=6"
TINY = "model.hidden=8 model.embedding=8 trainer.max_epochs=1 scheduler=constant decoding.max_length=8"
STORIES = "model.embedding=8 model.restarts=1 model.linear_epochs=0 trainer.max_epochs=1"
SMALL = {
    "python -m seqtrain": f"{PAIRS} {TINY} trainer.log_every_n_steps=1 hydra.run.dir=RUN",
    "python -m seqtrain model=gru data=multi30k data.root=PATH": f"{TINY} logger=none",
    "tail -n 3 RUN/metrics.jsonl": "",
    "python -m seqtrain evaluate run=RUN decoding=beam": "decoding.max_length=8",
    'echo "Ein Hund rennt im Park." | python -m seqtrain translate run=RUN': "decoding.max_length=8",
    "sacrebleu RUN/hypotheses/test.reference.txt -i RUN/hypotheses/test.txt": "",
    "python -m seqtrain resume=RUN trainer.max_epochs=30": "trainer.max_epochs=2",
    "python -m seqtrain trainer=ddp trainer.devices=2": f"{PAIRS} {TINY} logger=none trainer.accelerator=cpu",
    "python -m seqtrain -m seed=1,2,3 group=seeds": f"{PAIRS} {TINY} logger=none",
    "python -m seqtrain compare RUN RUN2 out=comparison": "",
    "python -m seqtrain reproduce RUN": "",
    "python -m seqtrain study=lecture/recurrent": f"{PAIRS} model=rnn seed=1 trainer.max_epochs=1",
    "python -m seqtrain report lecture/recurrent": "",
    "python -m seqtrain data=brackets model.reset=after optimizer.lr=5e-4": f"{PAIRS} {TINY} logger=none",
    "python -m seqtrain model=memn2n data=babi_sim hydra.run.dir=STORIES": f"{PAIRS} {STORIES} logger=none",
    r'printf "Ada ran to the attic.\nWhere is Ada?\n" | python -m seqtrain answer run=STORIES': "",
    "python -m seqtrain --cfg job data=multi30k": "",
    "python -m seqtrain logger=none": f"{PAIRS} {TINY}",
}
"""Command to what is put behind it, so that it takes seconds. RUN is the first one's run, RUN2 the second of the three
runs, PATH a small Multi30k.
"""

MAKE = {"make train": "python -m seqtrain", "make test": "python -m pytest"}
"""Command of make to what it has to come to; shown by make, not run."""

OUTSIDE = (
    *("pip install .", "wandb login", "wandb sync RUN/wandb/offline-run-*"),
    "python -m seqtrain -m seed=1,2,3 launcher=slurm",
)
"""Commands that need a network or a cluster: what they need of the project is looked at in tests of their own."""

FIRST = next(iter(SMALL))
SWEEP = "python -m seqtrain -m seed=1,2,3 group=seeds"
STUDY = "python -m seqtrain study=lecture/recurrent"
TELL = "python -m seqtrain model=memn2n data=babi_sim hydra.run.dir=STORIES"


def commands() -> list[str]:
    """The lines of the shell blocks, comments left out."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    lines = [re.sub(r"\s+#.*", "", line) for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def mistakes() -> list[tuple[str, str]]:
    """Commands of the console blocks, each with what is printed below it."""
    blocks = re.findall(r"^```console\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE) if part]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


class Place:
    """An empty directory to work in, with a folder in Multi30k's layout beside it."""

    def __init__(self, folder: Path) -> None:
        self.work, self.data = folder / "work", folder / "captions"
        self.run = self.work / "run"
        self.work.mkdir()
        self.data.mkdir()
        for split, name, size in (("train", "train", 48), ("val", "val", 6), ("test", "test_2016_flickr", 6)):
            captions = generate(split=split, size=size, seed=1)
            for language in ("de", "en"):
                (self.data / f"{name}.{language}").write_text("\n".join(captions[language]) + "\n", encoding="utf-8")

    def __call__(self, command: str) -> subprocess.CompletedProcess[str]:
        """Runs a line of the README and what `SMALL` puts behind it."""
        line = f"{command} {SMALL.get(command, '')}"
        # What a command reads may have been made by a test in another process.
        if "report" in line and not (self.work / "multirun" / "lecture").exists():
            self(STUDY)
        if "run=STORIES" in line and not (self.work / "STORIES").exists():
            self(TELL)
        if "RUN2" in line:
            if not any(self.work.glob("multirun/*/1")):
                self(SWEEP)
            line = line.replace("RUN2", str(next(self.work.glob("multirun/*/1")).relative_to(self.work)))
        line = line.replace("RUN", self.run.name).replace("PATH", shlex.quote(str(self.data)))
        line = re.sub(r"\bpython -m", f"{shlex.quote(sys.executable)} -m", line)
        line = re.sub(r"^sacrebleu", f"{shlex.quote(sys.executable)} -m sacrebleu", line)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"}
        # What starts further processes starts what it was started as.
        if command.startswith("python -m seqtrain ") and "|" not in line and "trainer.devices" not in line:
            words = shlex.split(line)[3:]
            return warm.Started(words, self.work, environment).wait()
        return subprocess.run(
            line,
            shell=True,
            cwd=self.work,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place in which the first command has been run."""
    place = Place(tmp_path_factory.mktemp("readme"))
    done = place(FIRST)
    assert done.returncode == 0, done.stderr
    return place


def test_every_command_is_known() -> None:
    known = {*SMALL, *MAKE, *OUTSIDE}
    assert set(commands()) == known


def test_the_default_run_is_finished(place: Place) -> None:
    manifest = json.loads((place.run / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["choices"]["model"] == "gru"
    assert manifest["choices"]["data"] == "captions"
    assert manifest["choices"]["logger"] == "wandb"


@pytest.mark.parametrize("command", list(SMALL)[1:])
def test_commands_run(place: Place, command: str) -> None:
    before = set(place.work.glob("multirun/*/*/manifest.json"))
    done = place(command)
    assert done.returncode == 0, done.stderr
    if command.startswith("tail"):
        assert all("step" in json.loads(line) for line in done.stdout.splitlines())
    elif command.startswith("echo"):
        assert len(done.stdout.splitlines()) == 1
    elif command.startswith("sacrebleu"):
        logged = json.loads((place.run / "manifest.json").read_text())["results"]["test/bleu"]
        assert json.loads(done.stdout)["score"] == pytest.approx(logged, abs=0.051)
    elif " evaluate " in command:
        assert json.loads(done.stdout)["decoding"]["beam"] == 5
    elif " compare " in command:
        assert "BLEU" in done.stdout
        assert "written: comparison/comparison.md" in done.stdout
    elif " resume=" in command:
        manifest = json.loads((place.run / "manifest.json").read_text())
        assert manifest["status"] == "finished"
        assert len(manifest["resumed"]) == 1
    elif " -m seed=" in command:
        runs = [json.loads(file.read_text()) for file in {*place.work.glob("multirun/*/*/manifest.json")} - before]
        assert sorted((run["seed"], run["group"], run["status"]) for run in runs) == [
            (seed, "seeds", "finished") for seed in (1, 2, 3)
        ]


@pytest.mark.parametrize("command", MAKE)
def test_make_comes_to_the_command(command: str) -> None:
    planned = subprocess.run([*command.split(), "-n"], cwd=ROOT, capture_output=True, text=True)
    assert planned.returncode == 0, planned.stderr
    assert MAKE[command] in planned.stdout
    with_options = subprocess.run([*command.split(), "-n", "ARGS=seed=3"], cwd=ROOT, capture_output=True, text=True)
    assert ("python -m seqtrain seed=3" in with_options.stdout) == (command == "make train")


def test_what_pip_installs_has_the_command_and_the_configuration() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["scripts"]["seqtrain"] == "seqtrain.__main__:main"
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"] == {"conf": "seqtrain/conf"}
    assert (ROOT / project["project"]["readme"]).is_file()


def test_what_wandb_would_send_is_there(place: Place) -> None:
    assert entry_points(group="console_scripts", name="wandb")
    (folder,) = sorted(place.run.glob("wandb/offline-run-*"))[:1]
    assert list(folder.glob("run-*.wandb"))


@pytest.mark.parametrize(("command", "printed"), mistakes())
def test_mistakes_print_what_the_readme_says(place: Place, command: str, printed: str) -> None:
    done = place(command)
    assert done.returncode == 2
    assert done.stderr == printed
    assert done.stdout == ""
