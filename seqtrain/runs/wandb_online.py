"""Runs on a W&B server, by `wandb:ENTITY/PROJECT/ID`, `wandb:ENTITY/PROJECT` or `wandb:ENTITY/PROJECT?FILTER`.

Imports no torch, and W&B when a place is read.
"""

import contextlib
import json
import tempfile
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from seqtrain.config.names import did_you_mean
from seqtrain.errors import UserError
from seqtrain.runs.files import text_of
from seqtrain.runs.records import RunRecord
from seqtrain.runs.wandb_mode import answers, base_url, has_key
from seqtrain.runs.wandb_record import REWOUND, STEP, history, ours, record

PREFIX = "wandb:"
FORMS = "Give wandb:ENTITY/PROJECT/ID, wandb:ENTITY/PROJECT or 'wandb:ENTITY/PROJECT?group=NAME&config.seed=1'."

FIELDS = ("group", "state", "tags", "name", "displayName", "jobType", "username", "host", "createdAt")
"""What W&B can filter runs by, `name` being the id; besides `config.KEY` and `summary_metrics.NAME`."""

BROKEN = ("failed", "crashed", "killed")
"""W&B's states of a run that ended otherwise than well."""


@dataclass(frozen=True)
class Place:
    """What is asked for.

    Attributes:
        project: `ENTITY/PROJECT`.
        identity: one run's id; None for all.
        filters: in W&B's query language, which is that of MongoDB.
    """

    project: str
    identity: str | None
    filters: dict[str, Any]

    @classmethod
    def parse(cls, place: str) -> "Place":
        """Reads it from how it is written.

        Raises:
            UserError: it is written otherwise.
        """
        path, _, query = place.removeprefix(PREFIX).partition("?")
        names = [name for name in path.strip("/").split("/") if name]
        if len(names) == 4 and names[2] == "runs":  # as in the address of a run's page
            del names[2]
        if len(names) not in (2, 3) or (len(names) == 3 and query):
            raise UserError(f"{place}: cannot tell which W&B runs are meant", FORMS)
        return cls("/".join(names[:2]), names[2] if len(names) == 3 else None, _filters(query, place))


class OnlineSource:
    """The history and the files of a run on a server; each is asked for when it is needed.

    Args:
        run: what W&B's client knows of it.
        place: what it is found by.
        resumed: whether it was; then the history says where it goes on from.
    """

    def __init__(self, run: Any, place: str, *, resumed: bool) -> None:
        self.run = run
        self.place = place
        self.resumed = resumed
        self._rows: dict[str, list[dict[str, Any]]] = {}

    def lines(self, containing: str = "") -> list[dict[str, Any]]:
        """See `seqtrain.runs.records.Source`. Raises `UserError` where the server does not give them."""
        if not containing:
            return history(self._scan(""))
        rows = [*self._scan(containing), *(self._scan(REWOUND) if self.resumed else [])]
        return history(sorted(rows, key=lambda row: row.get("_step", 0)))

    def _scan(self, name: str) -> list[dict[str, Any]]:
        """All rows, or those that have a metric, by it and the step alone."""
        if name not in self._rows:
            with _asking(self.place):
                self._rows[name] = list(self.run.scan_history(keys=[name, STEP] if name else None))
        return self._rows[name]

    def text(self, name: str) -> str | None:
        """See `seqtrain.runs.records.Source`. Raises `UserError` where the server does not give it."""
        with _asking(self.place), tempfile.TemporaryDirectory() as folder:
            found = [file for file in self.run.files(names=[name]) if file.md5 != "0"]  # which has been announced only
            if not found:
                return None
            found[0].download(root=folder, replace=True).close()
            return text_of(Path(folder, name))


def read(place: str) -> dict[str, RunRecord]:
    """The runs that a place means, by W&B's ids.

    Raises:
        UserError: it is written otherwise, there is no key, W&B does not answer or refuses, there is no such project or
            run, or seqtrain has logged none of them.
    """
    asked = Place.parse(place)
    with _asking(place):
        runs = _runs(_client(), asked)
    if not runs:
        hint = "Look at the filter, or at the project's page." if asked.filters else "Is it the right project?"
        raise UserError(f"{place}: no run there", hint)
    return ours([partial(_record, run, asked.project) for run in runs], place)


def _record(run: Any, project: str) -> tuple[str, RunRecord]:
    place = f"{PREFIX}{project}/{run.id}"
    config = dict(run.config)
    manifest = config.get("run")
    resumed = isinstance(manifest, dict) and bool(manifest.get("resumed"))
    source = OnlineSource(run, place, resumed=resumed)
    name = run.name or run.id
    return run.id, record(place=place, name=name, config=config, broken=run.state in BROKEN, source=source)


def _filters(query: str, place: str) -> dict[str, Any]:
    if not query:
        return {}
    if query.startswith("{"):
        try:
            return dict(json.loads(query))
        except ValueError as error:
            raise UserError(f"{place}: what follows the ? is no JSON: {error}", FORMS) from error
    try:
        pairs = urllib.parse.parse_qsl(query, strict_parsing=True)
    except ValueError as error:
        raise UserError(f"{place}: what follows the ? is no KEY=VALUE&KEY=VALUE", FORMS) from error
    return {"$and": [_condition(key, value, place) for key, value in pairs]}


def _condition(key: str, value: str, place: str) -> dict[str, Any]:
    if key.startswith(("config.", "summary_metrics.")):
        with contextlib.suppress(ValueError):  # a word is no JSON, and stays one
            return {key: json.loads(value)}
        return {key: value}
    if key not in FIELDS:
        known = ", ".join((*FIELDS, "config.KEY", "summary_metrics.NAME"))
        raise UserError(f"{place}: W&B's runs have no {key}{did_you_mean(key, FIELDS)}", f"There are: {known}.")
    return {key: {"$in": [value]}} if key == "tags" else {key: value}


def _client() -> Any:
    """W&B's client, which would otherwise ask for a key, and try a server that does not answer for long."""
    url = base_url()
    host = urllib.parse.urlsplit(url).hostname or url
    if not has_key(host):
        raise UserError(f"no key for {host}", "Log in with `wandb login`, or set WANDB_API_KEY.")
    if not answers(url):
        raise UserError(
            f"W&B ({host}) does not answer", "Is there a network? Offline, give RUN or RUN/wandb in its place.", code=1
        )
    import wandb

    return wandb.Api()


def _runs(client: Any, asked: Place) -> list[Any]:
    if asked.identity is not None:
        return [client.run(f"{asked.project}/{asked.identity}")]
    return list(client.runs(asked.project, filters=asked.filters, lazy=False))


@contextlib.contextmanager
def _asking(place: str) -> Iterator[None]:
    """Makes one message of whatever W&B's client raises, which has more than its own kinds of errors."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        response = getattr(error.__cause__, "response", None)
        if getattr(response, "http_status", 0) in (401, 403):
            raise UserError(f"{place}: W&B refuses the key", "Log in with `wandb login --relogin`.") from error
        if "Could not find" in str(error):
            raise UserError(f"{place}: no such run or project, or none that the key may see", FORMS) from error
        hint = "Try again later. Where the run's directory is, give that in its place."
        raise UserError(f"{place}: W&B's client says: {error}", hint, code=1) from error
