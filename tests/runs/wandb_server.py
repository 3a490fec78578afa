"""A W&B server as small as W&B's client for reading runs lets it be: projects of runs, their history and files."""

import gzip
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Logged:
    """A run as a server has it."""

    identity: str
    config: dict[str, Any]
    state: str = "finished"
    group: str | None = None
    tags: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def node(self) -> dict[str, Any]:
        """What the client asks of a run."""
        words = ("sweepName", "jobType", "commit", "heartbeatAt", "description", "notes")
        return {
            **dict.fromkeys(words),
            "id": f"storage-{self.identity}",
            "projectId": "1",
            "name": self.identity,
            "displayName": f"run {self.identity}",
            "state": self.state,
            "group": self.group,
            "tags": self.tags,
            "config": json.dumps({name: {"value": value} for name, value in self.config.items()}),
            "readOnly": False,
            "createdAt": "2026-01-01T00:00:00Z",
            "systemMetrics": "{}",
            "summaryMetrics": "{}",
            "historyLineCount": len(self.rows),
            "user": {"name": "me", "username": "me"},
            "historyKeys": {"lastStep": len(self.rows) - 1, "keys": {}},
        }

    def matches(self, wanted: Any) -> bool:
        """Whether a filter of W&B's lets it through: equality, `$and` and `$in`."""
        return all(
            all(self.matches(each) for each in value) if key == "$and" else self._has(key, value)
            for key, value in wanted.items()
        )

    def _has(self, key: str, value: Any) -> bool:
        first, *path = key.split(".")
        found: Any = self.config if first == "config" else getattr(self, first)
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(value, dict):
            return bool(set(value["$in"]) & set(found if isinstance(found, list) else [found]))
        return bool(found == value)


class Server:
    """Answers on loopback while it is open.

    Attributes:
        projects: runs by `ENTITY/PROJECT`.
        status: what everything is answered with, if not 200.
        asked: names of the queries, in order.
    """

    def __init__(self, projects: dict[str, list[Logged]]) -> None:
        self.projects = projects
        self.status = 200
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                _, identity, name = self.path.split("/", 2)
                self._send(server.run(identity).files[name].encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                # The client also tells its makers of errors, elsewhere.
                self._send(json.dumps(server.answer(json.loads(body)) if self.path == "/graphql" else {}).encode())

            def _send(self, content: bytes) -> None:
                self.send_response(server.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Frees the port: from now on nobody answers."""
        self._http.shutdown()
        self._http.server_close()

    def run(self, identity: str) -> Logged:
        """The run of an id, whatever its project."""
        return next(run for runs in self.projects.values() for run in runs if run.identity == identity)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What a query is answered with."""
        found = re.search(r"query (\w+)", request["query"])
        name, given = found[1] if found else "", request.get("variables") or {}
        self.asked.append(name)
        if self.status != 200:
            return {"errors": [{"message": "refused"}]}
        if name in ("Viewer", "GetDefaultEntity"):
            who = {"id": "1", "entity": "me", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}
            return {"data": {"viewer": who}}
        runs = self.projects.get(f"{given.get('entity')}/{given.get('project')}")
        return {"data": {"project": None if runs is None else self._project(name, given, runs)}}

    def _project(self, name: str, given: dict[str, Any], runs: list[Logged]) -> dict[str, Any]:
        if name == "Runs":
            chosen = [run for run in runs if run.matches(json.loads(given["filters"]))]
            return {"internalId": "1", "runCount": len(chosen), "runs": _pages([run.node for run in chosen])}
        identity = given.get("name") or given.get("runName") or given.get("run")
        run = next((run for run in runs if run.identity == identity), None)
        return {"internalId": "1", "run": None if run is None else self._run(name, given, run)}

    def _run(self, name: str, given: dict[str, Any], run: Logged) -> dict[str, Any]:
        if name == "RunParquetHistory":
            return {"parquetHistory": {"parquetUrls": [], "liveData": run.rows}}
        if name == "SampledHistoryPage":
            keys = json.loads(given["spec"])["keys"]
            return {"sampledHistory": [[{key: row[key] for key in keys} for row in run.rows if {*keys} <= {*row}]]}
        if name == "HistoryPage":
            return {"history": [json.dumps(row) for row in run.rows[given["minStep"] : given["maxStep"]]]}
        if name == "RunFiles":
            files = [self._file(run, name) for name in given["fileNames"]]
            return {"fileCount": len(files), "files": _pages(files)}
        return run.node

    def _file(self, run: Logged, name: str) -> dict[str, Any]:
        """A file's description; W&B has one of files that are not there, too."""
        url, there = f"{self.url}/{run.identity}/{name}", name in run.files
        size = len(run.files.get(name, "").encode())
        about = {"mimetype": "text/plain", "updatedAt": None, "sizeBytes": size, "md5": "x" if there else "0"}
        return {"id": name, "name": name, "url": url, "directUrl": url, **about}


def _pages(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    page = {"endCursor": None, "hasNextPage": False}
    return {"edges": [{"node": node, "cursor": str(i)} for i, node in enumerate(nodes)], "pageInfo": page}
