"""Files by name in a folder or an archive; archives are read in memory and never unpacked."""

import tarfile
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath

from seqtrain.errors import UserError

ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip")


class Folder:
    """The files that lie directly in one of some folders.

    Args:
        folders: where a name is looked for, in this order.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = list(folders)

    def find(self, names: Sequence[str]) -> str | None:
        """The path of the first of `names` that there is."""
        paths = (folder / name for folder in self.folders for name in names)
        return next((str(path) for path in paths if path.is_file()), None)

    def get(self, path: str) -> Path:
        """Where a file lies that `find` gave."""
        return Path(path)


class Archive:
    """The files of a tar or zip archive, by their last name, wherever in the archive they lie.

    Args:
        path: an archive whose name ends in one of `ARCHIVES`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._contents: dict[str, bytes] | None = None

    def find(self, names: Sequence[str]) -> str | None:
        """The first of `names` that is in the archive."""
        contents = self._load()
        return next((name for name in names if name in contents), None)

    def get(self, name: str) -> BytesIO:
        """A member that `find` gave, as a file."""
        return BytesIO(self._load()[name])

    def _load(self) -> dict[str, bytes]:
        if self._contents is None:
            try:
                read = self._read_zip if self.path.name.endswith(".zip") else self._read_tar
                self._contents = read()
            except (
                tarfile.TarError,
                zipfile.BadZipFile,
                EOFError,
                OSError,
                RuntimeError,
                NotImplementedError,
            ) as error:
                raise UserError(
                    f"{self.path} is not an archive that can be read: {error}", "Fetch it again."
                ) from error
        return self._contents

    def _read_zip(self) -> dict[str, bytes]:
        contents: dict[str, bytes] = {}
        with zipfile.ZipFile(self.path) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    contents.setdefault(PurePosixPath(member.filename).name, archive.read(member))
        return contents

    def _read_tar(self) -> dict[str, bytes]:
        contents: dict[str, bytes] = {}
        with tarfile.open(self.path) as archive:
            for member in archive:
                # Links are left out: what they point to may lie outside the archive.
                if member.isreg() and (file := archive.extractfile(member)) is not None:
                    contents.setdefault(PurePosixPath(member.name).name, file.read())
        return contents
