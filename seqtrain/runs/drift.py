"""What differs between then and now: code, versions, machine; and whether numbers can come out the same to the bit.

Imports no torch.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqtrain.config.flat import differing
from seqtrain.config.recorded import ALONE, READ, SENT, WRITTEN
from seqtrain.runs.files import ANY_BYTES
from seqtrain.runs.markdown import grid, printable

UNKNOWN = "unknown"
NONE = "none"

NUMERICS = {
    "device": "device",
    "threads": "threads",
    "instructions": "instructions",
    "deterministic": "deterministic algorithms",
    "benchmark": "cuDNN's benchmark",
    "matmul_precision": "precision of matrix products",
}
"""The keys of a manifest's `numerics`, and what they are called."""

PINS = "list of pins"
ONLY_TELLING = (PINS, "wandb", "matplotlib", "rich", "tqdm", "sentry-sdk", "gitpython", "pillow")
"""What may differ without changing a number: what logs and draws, and the list, as the versions are there too."""

ELSEWHERE = (*READ, *WRITTEN, *SENT, *ALONE, "cache", "num_workers", "log_every_n_steps", "accelerator")
"""Last parts of keys that change no number by themselves; the data's content and the device are compared as such."""

CONTENT = "data.splits."
"""What the digest of a split's content is kept by in the record of what a run was gone on with."""

CHANGES = re.compile(r"changes(-\d+)?\.diff")

Text = Callable[[str], str | None]
"""Gives the content of a file of a run by its name."""


@dataclass(frozen=True)
class Difference:
    """Something that is, or may be, another than it was.

    Attributes:
        what: its name.
        then: as the run was made.
        now: as it is here.
        matters: whether it can change numbers.
    """

    what: str
    then: str
    now: str
    matters: bool = True


def drift(then: Mapping[str, Any], now: Mapping[str, Any], *, before: Text, here: Text) -> list[Difference]:
    """What differs between two manifests, or between one and a description of the present that is shaped like it.

    Args:
        then: the manifest of the run.
        now: that of its reproduction, or of the present.
        before: reads the run's files.
        here: reads those of the other.
    """
    old = then.get("numerics") is None
    facts, present = _facts(then, before, old=old), _facts(now, here)
    rows = [_difference(what, facts[what], present[what]) for what in facts]
    rows += _packages(mapping(then, "versions"), mapping(now, "versions"), old=old)
    rows.append(_parts(then, before, old=old))
    return [row for row in rows if row is not None]


def configuration(recorded: Mapping[str, Any], run: Mapping[str, Any]) -> list[Difference]:
    """What numbers depend on in which a configuration is another than the recorded one."""
    return [
        Difference(key, shown(had), shown(has)) for key, (had, has) in differing(recorded, run).items() if counts(key)
    ]


def counts(key: str) -> bool:
    """Whether numbers depend on a key of a configuration."""
    return key.split(".")[0] != "logger" and key.split(".")[-1] not in ELSEWHERE


def reasons(rows: Sequence[Difference], manifest: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Why numbers need not come out the same to the bit; empty where they have to.

    Args:
        rows: what differs.
        manifest: of the run.
        config: of the run.
    """
    found = [f"{row.what} ({row.then}, now {row.now})" for row in rows if row.matters]
    numerics, trainer = mapping(manifest, "numerics"), mapping(config, "trainer")
    if numerics.get("device", "cpu") != "cpu" and not numerics.get("deterministic"):
        found.append(f"{numerics['device']} adds in no fixed order without trainer.deterministic=true")
    for key in ("max_time", "val_check_interval"):
        if isinstance(trainer.get(key), str | dict):
            found.append(f"trainer.{key}={shown(trainer[key])} goes by the clock")
    return found


def table(rows: Sequence[Difference]) -> str:
    """The differences as Markdown."""
    if not rows:
        return "nothing differs"
    cells = [[row.what, row.then, row.now, "yes" if row.matters else "no"] for row in rows]
    return grid(["", "then", "now", "can change numbers"], cells)


def shown(value: Any) -> str:
    """A value out of a record in one line, cut short, without what a terminal would take for a command."""
    text = printable(str(value))
    return text if len(text) <= 60 else text[:57] + "..."


def changes_of(made: Mapping[str, Any]) -> str | None:
    """The name of the file that keeps what a run's code differed in from its commit; None where there is none."""
    name = mapping(made, "git").get("changes")
    return name if isinstance(name, str) and CHANGES.fullmatch(name) else None


def commit_of(made: Mapping[str, Any]) -> str | None:
    """The commit that a run's code was at, where the record has what can be one."""
    commit = mapping(made, "git").get("commit")
    return commit if isinstance(commit, str) and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit) else None


def mapping(made: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """What a record has at a key, if that is a mapping; else an empty one."""
    found = made.get(key)
    return found if isinstance(found, Mapping) else {}


def _facts(made: Mapping[str, Any], text: Text, *, old: bool = False) -> dict[str, Any]:
    """What code and machine are, by name; None where it is not known."""
    hardware, numerics = mapping(made, "hardware"), mapping(made, "numerics")
    gpus = [] if numerics.get("device") == "cpu" else _items(hardware, "gpus")
    return {
        "commit": (commit_of(made) or "")[:12] or None,
        "own changes": _changes(made, text, old=old),
        "Python": made.get("python"),
        PINS: str(made.get("lock") or "")[:12] or None,
        "system": hardware.get("system"),
        "processor": hardware.get("processor"),
        **{name: numerics.get(key) for key, name in NUMERICS.items()},
        "GPUs": ", ".join(map(str, gpus)) or NONE,
    }


def _changes(made: Mapping[str, Any], text: Text, *, old: bool) -> str | None:
    git = mapping(made, "git")
    if not git or (git.get("dirty") and old) or git.get("changes", NONE) is None:
        return None
    if not git.get("dirty") or "changes" not in git:
        return NONE
    name = changes_of(made)
    content = text(name) if name else None
    if content is None:
        return None
    # Some readers leave the ends of lines as they are, and some do not.
    content = content.replace("\r\n", "\n").replace("\r", "\n")
    digest = hashlib.sha256(content.encode("utf-8", ANY_BYTES)).hexdigest()[:8]
    return f"{content.count(chr(10))} lines, sha256 {digest}"


def _difference(what: str, then: Any, now: Any) -> Difference | None:
    matters = what not in ONLY_TELLING
    if then == now and (then is not None or not matters):
        return None
    had, has = (UNKNOWN if value is None else shown(value) for value in (then, now))
    return Difference(what, had, has, matters)


def _packages(then: Mapping[str, Any], now: Mapping[str, Any], *, old: bool) -> Iterator[Difference | None]:
    for name in sorted(map(str, then.keys() | now.keys())):
        if not old or name in then:
            yield _difference(shown(name), then.get(name, NONE), now.get(name, NONE))
    if old and (others := now.keys() - then.keys()):
        yield Difference("other packages", UNKNOWN, f"{len(others)} of them")


def _parts(then: Mapping[str, Any], text: Text, *, old: bool) -> Difference | None:
    """Whether a run that was stopped and gone on with is a training like one that never stopped."""
    parts = [part for part in _items(then, "resumed") if isinstance(part, dict)]
    if not parts:
        return None
    first = _facts(then, text, old=old)
    why = ""
    if any("changed" not in part for part in parts):
        why = "whether with the same configuration is unknown"
    before = {key: value for part in reversed(parts) for key, value in mapping(part, "changed").items()}
    if changed := [_changed(key, value) for key, value in before.items() if counts(key) or key.startswith(CONTENT)]:
        why = ", ".join(changed)
    for part in parts:
        facts = _facts({**part, "numerics": then.get("numerics")}, text, old=old)
        others = [what for what in facts if facts[what] != first.get(what) and what not in ONLY_TELLING]
        others += ["versions"] if part.get("versions") != then.get("versions") else []
        if others and not why:
            why = f"{others[0]} not the same in all"
    if mapping(then, "numerics").get("device", "cpu") != "cpu":
        why = why or "on a GPU"
    return Difference("training", f"in {len(parts) + 1} parts, {why}", "in one") if why else None


def _changed(key: str, had: Any) -> str:
    if key.startswith(CONTENT):
        return f"the split {shown(key.removeprefix(CONTENT))} had other data"
    return f"{shown(key)} was {shown(had)}"


def _items(made: Mapping[str, Any], key: str) -> list[Any]:
    found = made.get(key)
    return found if isinstance(found, list) else []
