"""The bAbI tasks (Weston et al. 2015, arXiv:1502.05698) in the layout of the public archive tasks_1-20_v1-2."""

import re
import tarfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol

from seqtrain.data.corpora.base import Split
from seqtrain.data.corpora.questions import Question
from seqtrain.data.lines import decoded_lines, read_bytes
from seqtrain.errors import UserError

TASKS = range(1, 21)
LISTS = 8
"""The task whose answers are lists in no order; those of task 19 are paths."""
DEFAULT_ROOT = Path("data/babi")
HUB = "facebook/babi_qa"
HINT = (
    "Give its place with data.root=PATH (the folder tasks_1-20_v1-2, or tasks_1-20_v1-2.tar.gz), "
    "or train on generated stories: data=babi_sim"
)
FORMAT = (
    "A sentence is `1 Mary went home.`, a question `2 Where is Mary?`, a tab, an answer, a tab, its facts' numbers."
)
VARIANTS = ("en", "en-10k", "en-valid", "en-valid-10k")
WORDS: Mapping[Split, str] = {"train": "train", "val": "valid", "test": "test"}


class BabiSource(Protocol):
    """Where the questions of some tasks come from."""

    splits: tuple[Split, ...]

    def read(self, split: Split) -> list[Question]:
        """The questions of all its tasks, one task behind the other, each in file order."""
        ...


def words_of(text: str) -> tuple[str, ...]:
    """The words of a sentence in small letters, without its full stop or question mark."""
    return tuple(re.findall(r"[\w'-]+", text.lower()))


def answer_of(text: str, task: int) -> str:
    """An answer as a class: in small letters, its words joined by commas; those of a list are sorted, a path's not."""
    words = [word.strip() for word in text.lower().split(",")]
    return ",".join(sorted(words) if task == LISTS else words)


def parse(lines: Sequence[str], name: str, task: int = 0) -> list[Question]:
    """The questions of a file's lines.

    A story begins at a line numbered 1; sentences are gathered until a question, which has its answer and the numbers
    of its supporting facts behind tabs, and go on to be part of later ones. Questions are no part of a story, though
    their lines are counted where facts are.

    Args:
        lines: of the file.
        name: of the file, for messages.
        task: 1 to 20; 0 where there is none.

    Raises:
        UserError: a line that is not of that form (which, and what is wrong).
    """
    questions: list[Question] = []
    story: list[tuple[str, ...]] = []
    places: dict[str, int] = {}
    known: dict[str, tuple[str, ...]] = {}  # the same few texts come again and again
    answers: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        index, _, rest = line.partition(" ")
        if not index.isdecimal() or not rest.strip():
            raise _malformed(name, number, "it must begin with a number and a space")
        if index == "1":
            story, places = [], {}
        text, *behind = rest.split("\t")
        words = known.get(text)
        if words is None:
            words = known[text] = words_of(text)
        if not words:
            raise _malformed(name, number, "there is no word in it")
        if not behind:
            if text.rstrip().endswith("?") or "? " in text:
                raise _malformed(name, number, "a question needs a tab and an answer behind it")
            places[index] = len(story)
            story.append(words)
            continue
        answer = answers.get(behind[0])
        if answer is None:
            answer = answers[behind[0]] = answer_of(behind[0], task)
        if not answer:
            raise _malformed(name, number, "a question needs a tab and an answer behind it")
        if not story:
            raise _malformed(name, number, "there is no sentence before the question")
        facts = behind[1].split() if len(behind) > 1 else []
        if wrong := [fact for fact in facts if fact not in places]:
            raise _malformed(name, number, f"its supporting fact {wrong[0]!r} is the number of no sentence before it")
        supports = tuple([places[fact] for fact in facts])
        questions.append(Question(tuple(story), words, answer, supports, number, task))
    if not questions:
        raise UserError(f"{name} has no questions", "A question has its answer behind a tab.")
    return questions


def _malformed(name: str, line: int, why: str) -> UserError:
    return UserError(f"{name}, line {line} is not in bAbI's format: {why}", FORMAT)


class BabiFiles:
    """Tasks of bAbI in a folder or an archive.

    Args:
        root: the folder tasks_1-20_v1-2, one that holds it, one variant's own, or a .tar.gz of it.
        variant: en, en-10k, en-valid or en-valid-10k.
        tasks: their numbers.

    Raises:
        UserError: there is nothing at `root`; in the methods also: a file is missing, empty or malformed.
    """

    def __init__(self, *, root: Path, variant: str, tasks: Sequence[int]) -> None:
        self.root, self.variant, self.tasks = root, variant, tasks
        if not root.exists():
            raise UserError(f"there is nothing at data.root={root}", HINT)
        self.splits: tuple[Split, ...] = splits_of(variant)
        self._files: dict[str, Path | bytes] | None = None

    def read(self, split: Split) -> list[Question]:
        """The questions of a split."""
        found = []
        for task in self.tasks:
            name, content = self._find(split, task)
            place = str(content) if isinstance(content, Path) else f"{self.root}:{name}"
            data = read_bytes(content) if isinstance(content, Path) else content
            found += parse([*decoded_lines(BytesIO(data), place)], place, task)
        return found

    def check(self, needed: Sequence[Split]) -> None:
        """Looks whether all files are there, and reads what is needed; what is missing or wrong is a `UserError`."""
        for split in self.splits:
            for task in self.tasks:
                self._find(split, task)
        for split in self.splits:
            if split in needed:
                self.read(split)

    def _find(self, split: Split, task: int) -> tuple[str, Path | bytes]:
        middle = "" if "valid" in self.variant else "_[^/]*"
        pattern = re.compile(rf"qa{task}{middle}_{WORDS[split]}\.txt")
        if self._files is None:
            self._files = self._in_folder() if self.root.is_dir() else self._in_archive()
        found = next((entry for entry in self._files.items() if pattern.fullmatch(PurePosixPath(entry[0]).name)), None)
        if found is None:
            looked = f"{self.variant}/qa{task}_…{WORDS[split]}.txt"
            raise UserError(f"{self.root} has no {split} file of task {task}; looked for {looked}", HINT)
        return found

    def _in_folder(self) -> dict[str, Path | bytes]:
        places = [self.root / "tasks_1-20_v1-2" / self.variant, self.root / self.variant, self.root]
        folder = next(place for place in places if place.is_dir())
        if folder == self.root and folder.name in set(VARIANTS) - {self.variant}:
            raise UserError(
                f"data.root={self.root} is the folder of {folder.name}, but data.variant={self.variant}",
                f"Set data.variant={folder.name}, or give the folder above.",
            )
        return {path.name: path for path in sorted(folder.iterdir())}

    def _in_archive(self) -> dict[str, Path | bytes]:
        wanted = re.compile(rf"qa({'|'.join(map(str, self.tasks))})_.*\.txt")
        found: dict[str, Path | bytes] = {}
        try:
            with tarfile.open(self.root) as archive:
                for member in archive:
                    place = PurePosixPath(member.name)
                    if member.isreg() and place.parent.name == self.variant and wanted.fullmatch(place.name):
                        file = archive.extractfile(member)
                        assert file is not None
                        found[member.name] = file.read()
        except (tarfile.TarError, EOFError, OSError) as error:
            raise UserError(
                f"{self.root} is neither a folder nor an archive that can be read: {error}", HINT
            ) from error
        return found


def splits_of(variant: str) -> tuple[Split, ...]:
    """The splits that a variant has."""
    return ("train", "val", "test") if "valid" in variant else ("train", "test")


def numbers(task: int | Sequence[int] | Literal["all"]) -> tuple[int, ...]:
    """The numbers of the tasks that `data.task` asks for, ascending.

    Raises:
        UserError: there is none.
    """
    if task == "all":
        return tuple(TASKS)
    asked = {task} if isinstance(task, int) else {int(number) for number in task}
    if not asked:
        raise UserError("data.task=[]: no task", "Give a number from 1 to 20, several as [1,2,3], or all.")
    return tuple(sorted(asked))


def open_babi(
    *, root: str | None, variant: str, task: int | Sequence[int] | Literal["all"], hub: str, cache: str
) -> BabiSource:
    """bAbI from `root`; without it from `data/babi`, else from the hub, of which a copy is kept under `cache`.

    Raises:
        UserError: it is in none of these places: what was looked for where, and the ways on.
    """
    tasks = numbers(task)
    if root is not None:
        return BabiFiles(root=Path(root).expanduser(), variant=variant, tasks=tasks)
    if DEFAULT_ROOT.exists():
        return BabiFiles(root=DEFAULT_ROOT, variant=variant, tasks=tasks)
    from seqtrain.data.corpora.babi_hub import BabiHub

    found = BabiHub(hub=hub, cache=cache, variant=variant, tasks=tasks)
    if reason := found.unreachable():
        missing = f"bAbI was not found: no data.root given, no folder {DEFAULT_ROOT}"
        raise UserError(f"{missing}, and {hub} on the hub cannot be reached ({reason})", HINT)
    return found


def preflight(
    *,
    needed: Sequence[Split],
    root: str | None = None,
    variant: str = "en-10k",
    task: int | Sequence[int] | Literal["all"] = 1,
    hub: str = HUB,
    cache: str = "data/cache",
) -> None:
    """Raises the `UserError` that opening the data would end in."""
    source = open_babi(root=root, variant=variant, task=task, hub=hub, cache=cache)
    if isinstance(source, BabiFiles):
        source.check(needed)
