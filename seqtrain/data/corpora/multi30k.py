"""Multi30k, task 1: image captions in English, German, French and Czech (Elliott et al. 2016, 2017).

The layout is that of the public repository multi30k/dataset, data/task1/raw: `train.de.gz`, `val.de.gz`,
`test_2016_flickr.de.gz` and so on, one sentence a line.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from seqtrain.data.corpora.archives import ARCHIVES, Archive, Folder
from seqtrain.data.corpora.base import SPLITS, Pair, Split, digest_of
from seqtrain.data.corpora.digests import file_digest
from seqtrain.data.corpora.hub import HubPairs, hub_copy, reachable
from seqtrain.data.lines import aligned, lines_of
from seqtrain.errors import UserError

DEFAULT_ROOT = Path("data/multi30k")
HUB = "bentrevett/multi30k"
HUB_LANGUAGES = ("en", "de")
HUB_TEST = "test_2016_flickr"
HINT = "Give its place with data.root=PATH (a folder or an archive), or train on generated captions: data=captions"
TEST_NAMES = {
    "test_2016_flickr": ("test_2016_flickr", "test_2016", "test2016"),
    "test_2017_flickr": ("test_2017_flickr", "test_2017", "test2017"),
    "test_2017_mscoco": ("test_2017_mscoco", "testcoco", "test2017_mscoco"),
    "test_2018_flickr": ("test_2018_flickr", "test_2018", "test2018"),
}


class Multi30kFiles:
    """Multi30k in a folder or an archive.

    Args:
        root: the folder, a clone of the public repository, or an archive of either (.tar.gz, .tgz, .tar, .zip).
        source: language that is translated from.
        target: language that is translated to.
        test: which test set.

    Raises:
        UserError: there is nothing at `root`; in the methods also: a file is missing, empty, broken or not aligned.
    """

    splits = SPLITS

    def __init__(self, *, root: Path, source: str, target: str, test: str) -> None:
        if root.is_dir():
            self._files: Folder | Archive = Folder([root, root / "data" / "task1" / "raw"])
        elif root.is_file() and root.name.endswith(ARCHIVES):
            self._files = Archive(root)
        elif root.exists():
            raise UserError(f"data.root={root} is neither a folder nor one of {', '.join(ARCHIVES)}", HINT)
        else:
            raise UserError(f"there is nothing at data.root={root}", HINT)
        self.root, self.source, self.target, self.test = root, source, target, test

    def check(self, needed: Sequence[Split] = SPLITS) -> None:
        """Finds and reads the files of some splits; what is missing or wrong is a `UserError`."""
        for split in needed:
            self._names(split)
        for split in needed:
            deque(self.read(split), maxlen=0)

    def digest(self, split: Split) -> str:
        """sha256 of the bytes of the split's two files."""
        return digest_of(file_digest(self._files.get(name)).encode() for name in self._names(split))

    def read(self, split: Split) -> Iterator[Pair]:
        """Source sentences with their targets in file order."""
        names = self._names(split)
        sources, targets = (lines_of(self._files.get(name), name) for name in names)
        return aligned(sources, targets, names)

    def _names(self, split: Split) -> tuple[str, str]:
        return self._find(split, self.source), self._find(split, self.target)

    def _find(self, split: Split, language: str) -> str:
        stems = TEST_NAMES[self.test] if split == "test" else (split,)
        names = [f"{stem}.{language}{end}" for stem in stems for end in (".gz", "")]
        found = self._files.find(names)
        if found is None:
            raise UserError(f"{self.root} has no {split} file for {language!r}; looked for {', '.join(names)}", HINT)
        return found


def open_multi30k(
    *, root: str | None, hub: str, cache: str, source: str, target: str, test: str
) -> Multi30kFiles | HubPairs:
    """Multi30k from `root`; without it from `data/multi30k`, else from the hub, of which a copy is kept under `cache`.

    Raises:
        UserError: it is in none of these places: what was looked for where, and the two ways on.
    """
    if source == target:
        raise UserError(f"data.source and data.target are both {source!r}", "They must be two languages.")
    if root is not None:
        return Multi30kFiles(root=Path(root).expanduser(), source=source, target=target, test=test)
    if DEFAULT_ROOT.exists():
        return Multi30kFiles(root=DEFAULT_ROOT, source=source, target=target, test=test)
    missing = f"Multi30k was not found: no data.root given, no folder {DEFAULT_ROOT}"
    if not {source, target} <= set(HUB_LANGUAGES):
        raise UserError(f"{missing}, and {hub} on the hub has only {' and '.join(HUB_LANGUAGES)}", HINT)
    if test != HUB_TEST:
        raise UserError(f"{missing}, and {hub} on the hub has only the test set {HUB_TEST}", HINT)
    copy = hub_copy(hub, cache)
    if not Path(hub).exists() and not copy.exists() and (reason := reachable(hub)):
        raise UserError(f"{missing}, and {hub} on the hub cannot be reached ({reason})", HINT)
    return HubPairs(hub=hub, copy=copy, source=source, target=target, hint=HINT)


def preflight(
    *,
    needed: Sequence[Split],
    source: str = "de",
    target: str = "en",
    root: str | None = None,
    hub: str = HUB,
    test: str = HUB_TEST,
    cache: str = "data/cache",
) -> None:
    """Raises the `UserError` that opening the data would end in, where that shows in a second."""
    corpus = open_multi30k(root=root, hub=hub, cache=cache, source=source, target=target, test=test)
    if isinstance(corpus, Multi30kFiles):
        corpus.check(needed)
