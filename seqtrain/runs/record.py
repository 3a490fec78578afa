"""A run's directory: what is in it and how it is read again. Imports no torch."""

import contextlib
import re
import shlex
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from seqtrain.config.allow import to_plain
from seqtrain.config.flat import differing
from seqtrain.errors import UserError
from seqtrain.runs.environment import surroundings
from seqtrain.runs.files import replacing, text_of, write_json, write_text
from seqtrain.runs.untrusted import json_of, read_json, read_yaml

Status = Literal["running", "finished", "failed", "interrupted"]

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"
"""The checkpoints that a training can go on from, in the order in which they are tried."""

VERSION = 2
"""Of the manifest. 1 had no number, no configuration and versions of a few packages only."""


class Run:
    """One run's directory: configuration, manifest, metrics, checkpoints, tokenizer, hypotheses.

    Made by `Run.create` when a training begins and by `Run.open` ever after.

    Attributes:
        directory: the absolute path of the run.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()

    @property
    def config_path(self) -> Path:
        """The composed configuration."""
        return self.directory / ".hydra" / "config.yaml"

    @property
    def overrides_path(self) -> Path:
        """What was asked for on the command line."""
        return self.directory / ".hydra" / "overrides.yaml"

    @property
    def manifest_path(self) -> Path:
        """Status, environment, data and results."""
        return self.directory / "manifest.json"

    @property
    def metrics_path(self) -> Path:
        """Every logged step, one JSON object a line."""
        return self.directory / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of `best.ckpt`, `last.ckpt`, the one before, `previous.ckpt`, and what callbacks keep."""
        return self.directory / "checkpoints"

    @property
    def resumable(self) -> list[Path]:
        """The checkpoints that a training can go on from and that are there, the newest first."""
        return [path for name in (LAST, PREVIOUS, BEST) if (path := self.checkpoints / name).is_file()]

    @property
    def tokenizer(self) -> Path:
        """The folder that the data module saves its tokenizers in."""
        return self.directory / "tokenizer"

    @staticmethod
    def exists(directory: Path | str) -> bool:
        """Whether a run was begun in `directory`."""
        return (Path(directory) / "manifest.json").exists()

    @classmethod
    def create(
        cls, directory: Path | str, config: DictConfig, *, overrides: list[str] | None = None, **fields: Any
    ) -> "Run":
        """Begins a run: writes a manifest with status `running` and the environment.

        Hydra has written the configuration and the overrides before that; without it they are written here.

        Args:
            directory: where; it may exist but must not hold a run.
            config: the composed configuration.
            overrides: what was asked for on the command line.
            fields: further fields of the manifest, such as `seed` and `choices`; plain values.

        Raises:
            UserError: there is a run in `directory`, or it cannot be written to.
        """
        run = cls(Path(directory))
        if cls.exists(run.directory):
            raise UserError(
                f"there is a run in {run.directory} already",
                f"Go on with it by resume={run.directory}, or choose another directory with hydra.run.dir=PATH.",
            )
        if not run.config_path.exists():
            write_text(run.config_path, OmegaConf.to_yaml(config))
        if not run.overrides_path.exists():
            write_text(run.overrides_path, OmegaConf.to_yaml(OmegaConf.create(list(overrides or []))))
        known = {"record": VERSION, "status": "running", "started": _now(), "overrides": run.overrides}
        run._write({**known, "config": to_plain(config), **run._environment("changes.diff"), **fields})
        return run

    @classmethod
    def open(cls, path: Path | str) -> "Run":
        """The run in a directory, or the run that a checkpoint in its `checkpoints/` belongs to.

        Raises:
            UserError: `path` is no run; the message says what is missing.
        """
        directory = Path(path)
        if directory.is_file() and directory.parent.name == "checkpoints":
            directory = directory.parent.parent
        if not directory.exists():
            raise UserError(f"no run at {path}: there is no such directory", "Give the directory of a run: run=PATH.")
        if not directory.is_dir():
            raise UserError(f"{path} is a file, not the directory of a run", "Give the directory: run=PATH.")
        run = cls(directory)
        missing = [p for p in (run.manifest_path, run.config_path) if not p.exists()]
        if missing:
            names = " and ".join(str(p.relative_to(run.directory)) for p in missing)
            raise UserError(f"{path} is not the directory of a run: {names} missing in it", _neighbours(directory))
        return run

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest as it is on the disk now.

        Raises:
            UserError: it cannot be read as JSON, or is of a version that this code does not know.
        """
        return migrated(read_json(self.manifest_path), str(self.manifest_path))

    def described(self) -> dict[str, Any]:
        """The manifest without the configuration, for those who have that already."""
        return {name: value for name, value in self.manifest.items() if name != "config"}

    def write_manifest(self, **fields: Any) -> None:
        """Sets fields of the manifest and leaves the others; plain values. The file is replaced at once."""
        self._write({**self.manifest, **fields})

    def _write(self, manifest: dict[str, Any]) -> None:
        write_json(self.manifest_path, manifest)

    @property
    def status(self) -> Status:
        """How it stands. A process that was killed could not write its end and is `running` for ever."""
        return self.manifest.get("status", "failed")

    def resume(self, config: DictConfig, *, changed: Mapping[str, Any] | None = None, **fields: Any) -> None:
        """Marks the run as running again, with the configuration and the environment that it goes on with.

        The values that the configuration had before, where they were others, are kept in `changed`.

        Args:
            config: the composed configuration.
            changed: what else was otherwise before, by dotted keys.
            fields: further fields of the manifest.
        """
        manifest = self.manifest
        before, plain = manifest.get("resumed", []), to_plain(config)
        part = {"at": _now(), **self._environment(f"changes-{len(before) + 1}.diff")}
        if manifest.get("config") is not None:
            configured = {key: had for key, (had, _) in differing(manifest["config"], plain).items()}
            part["changed"] = {**configured, **(changed or {})}
        begun = {"status": "running", "finished": None, "error": None, "overrides": self.overrides}
        self._write({**manifest, **begun, "config": plain, "resumed": [*before, part], **fields})

    def put_back(self, manifest: dict[str, Any]) -> None:
        """Makes the record what it was before `resume`, and with it what the next command goes on with."""
        self._write(manifest)
        if isinstance(manifest.get("config"), dict):
            write_text(self.config_path, OmegaConf.to_yaml(OmegaConf.create(manifest["config"])))
        if isinstance(manifest.get("overrides"), list):
            write_text(self.overrides_path, OmegaConf.to_yaml(OmegaConf.create(manifest["overrides"])))

    def _environment(self, name: str) -> dict[str, Any]:
        """The environment; what the code differs in from its commit is written to a file of that name."""
        found, content = surroundings(name)
        if content:
            with replacing(self.directory / name) as file:
                file.write(content)
        return found

    def finish(
        self, status: Status, *, results: dict[str, float] | None = None, error: BaseException | str | None = None
    ) -> None:
        """Writes how the run ended.

        Args:
            status: `finished`, `failed` or `interrupted`.
            results: the metrics that the run is known by; `None` leaves those that are there.
            error: what ended it, if something did.
        """
        fields: dict[str, Any] = {"status": status, "finished": _now()}
        if results is not None:
            fields["results"] = {name: float(value) for name, value in results.items()}
        if error is not None:
            fields["error"] = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        self.write_manifest(**fields)

    @property
    def config(self) -> DictConfig:
        """The composed configuration with its references resolved.

        It comes from a file that anybody may have written: build objects from it through the allow-list only.

        Raises:
            UserError: it is not valid.
        """
        recorded = self.manifest.get("config") if self.exists(self.directory) else None
        if isinstance(recorded, dict):
            return OmegaConf.create(recorded)
        with self._reading_config():
            config = read_yaml(self.config_path)
            OmegaConf.resolve(config)
        if not isinstance(config, DictConfig):
            raise UserError(f"{self.config_path} holds no mapping", "The run's configuration is damaged.")
        return config

    def plain_config(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """The composed configuration as plain values: that of a manifest or, where it has none, of the file.

        A file that wants values from outside of it, `${oc.env:HOME}`, does not get them: it stays as it is written.

        Raises:
            UserError: it is not valid.
        """
        found = manifest.get("config")
        if isinstance(found, dict):
            return found
        with self._reading_config():
            written = OmegaConf.to_container(read_yaml(self.config_path))
        plain = written if isinstance(written, dict) and _calls(written) else dict(to_plain(self.config))
        return {str(key): value for key, value in plain.items()}

    @contextlib.contextmanager
    def _reading_config(self) -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"cannot read {self.config_path}: {error}", "Its configuration is damaged.") from error

    @property
    def overrides(self) -> list[str]:
        """What was asked for on the command line. Raises `UserError` where that cannot be read."""
        if not self.overrides_path.exists():
            return []
        return [str(override) for override in read_yaml(self.overrides_path)]

    def checkpoint(self, which: Literal["best", "last", "averaged"] = "best") -> Path:
        """The path of a checkpoint.

        Raises:
            UserError: it is not there.
        """
        path = self.checkpoints / f"{which}.ckpt"
        if not path.exists():
            there = sorted(p.name for p in self.checkpoints.glob("*.ckpt"))
            hint = f"There is {', '.join(there)}." if there else "The run ended before it saved one; train it again."
            raise UserError(f"the run {self.directory} has no {which}.ckpt (its status: {self.status})", hint)
        return path

    def ways_on(self) -> str:
        """How to go on with it after it stopped."""
        if self.resumable:
            return f"Go on from its last checkpoint by: python -m seqtrain resume={shlex.quote(str(self.directory))}"
        return "It had not saved a checkpoint yet."

    def metrics(self, containing: str = "") -> list[dict[str, Any]]:
        """The logged lines that a text occurs in, in the order of logging; a line that was cut short is left out."""
        lines = []
        for line in (text_of(self.metrics_path, errors="replace") or "").splitlines():
            if containing in line:
                with contextlib.suppress(ValueError):
                    lines.append(json_of(line))
        return [line for line in lines if isinstance(line, dict)]


def migrated(manifest: Any, place: str) -> dict[str, Any]:
    """A manifest as one of the present version: what an older one does not say is None.

    Raises:
        UserError: it is no manifest, or of a version that this code does not know.
    """
    if not isinstance(manifest, dict):
        raise UserError(f"{place} holds no JSON object", "The run's record is damaged.")
    version = manifest.get("record", 1)
    if version not in range(1, VERSION + 1):
        raise UserError(
            f"{place} is of version {version!r} of the record, and this seqtrain reads up to {VERSION}",
            "Read it with the seqtrain that wrote it, or a later one.",
        )
    absent = {"config": None, "lock": None, "numerics": None, "parent": None}
    return {**absent, **manifest, "record": VERSION} if version == 1 else manifest


def _calls(value: Any) -> bool:
    """Whether a text in plain containers calls what OmegaConf knows as a resolver: `${NAME:...}`."""
    if isinstance(value, dict | list):
        return any(map(_calls, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and re.search(r"\$\{.*:", value, re.DOTALL) is not None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _neighbours(directory: Path) -> str:
    found = sorted(p.parent.name for p in directory.glob("*/manifest.json"))
    if found:
        return f"There are runs in it: {', '.join(found[-5:])}. Give one of them."
    return "Give the directory that `python -m seqtrain` printed when the training began."
