"""In what runs differ: keys of their configurations, and what makes their results hard to compare."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from seqtrain.config.allow import TARGET
from seqtrain.config.flat import flattened
from seqtrain.config.study import Study
from seqtrain.errors import UserError
from seqtrain.runs.records import Arm, RunRecord

KINDS = ("data", "tokenizer", "reference", "signature")
"""What has to be the same for results to stand beside each other."""

SILENT = ("seed", "study", "arm", "group", "tags", "resume", "logger", "launcher")
"""The first parts of keys that make no difference to what is compared."""

REPEATED = re.compile(r"callbacks\.\w+\.decoding\b")
"""What callbacks are given of a group of its own."""

Differences = dict[str, dict[str, list[str]]]
"""Key of the configuration to the values that each group's runs have there, by the group's label."""


def is_silent(key: str) -> bool:
    """Whether a key, or an override of it, makes no difference to what is compared."""
    return key.lstrip("+~").partition("=")[0].split(".")[0] in SILENT


def differences(arms: Sequence[Arm]) -> Differences:
    """The keys of which not all runs have the same value, with what each group has there as text."""
    every = {arm.label: [_values(record) for record in arm.records] for arm in arms}
    found: dict[str, set[str]] = {}
    runs = [values for ours in every.values() for values in ours]
    for values in runs:
        for key, value in values.items():
            found.setdefault(key, set()).add(value)
    present = {key: sum(key in values for values in runs) for key in found}
    keys = [
        key
        for key, values in found.items()
        if len(values) > 1 or (present[key] < len(runs) and values != {"null"})  # null is what is not set
    ]
    return {
        key: {
            label: list(dict.fromkeys(values.get(key, "–") for values in ours))  # a class knows other keys than another
            for label, ours in every.items()
        }
        for key in keys
    }


def require_comparable(arms: Sequence[Arm], study: Study, split: str, allowed: Sequence[str]) -> list[str]:
    """What differs between runs though it should not, of what is allowed to.

    Args:
        arms: the runs.
        study: what is shown of them; where they are parts of a whole, each part is held against itself.
        split: whose references count.
        allowed: kinds, of `KINDS`, that may differ.

    Raises:
        UserError: something differs that may not.
    """
    notes, refused = [], []
    for kind in KINDS:
        found = _several(arms, study, kind, split)
        notes += [f"different {what}: {told}" for what, told in found.items()]
        refused += [kind] if found and kind not in allowed else []
    if refused:
        listed = "\n".join(f"  {note}" for note in notes)
        raise UserError(
            f"these runs cannot be put side by side:\n{listed}",
            f"Compare runs of one {refused[0]}, or compare them all the same: allow={','.join(refused)}",
        )
    return notes


def _several(arms: Sequence[Arm], study: Study, kind: str, split: str) -> dict[str, str]:
    """What runs of one part do not have in common, and who has what."""
    marks: dict[tuple[str, str], dict[str, list[str]]] = {}
    for arm in arms:
        for record in arm.records:
            part = json.dumps(record.at(study.parts)) if study.parts else ""
            for what, mark in _marks(record, kind, split).items() if record.status == "finished" else ():
                marks.setdefault((what, part), {}).setdefault(mark, []).append(arm.label)
    length = None if kind == "signature" else 12  # of hashes
    return {
        what: "; ".join(f"{mark[:length]} of {_some(labels)}" for mark, labels in found.items())
        for (what, _), found in marks.items()
        if len(found) > 1
    }


def _values(record: RunRecord) -> dict[str, str]:
    """What was chosen and what was set, as text; a class is told by the option that was chosen."""
    values = flattened(record.config)
    own = {
        key: _text(value)
        for key, value in values.items()
        if not is_silent(key) and not key.endswith(TARGET) and not REPEATED.match(key)
    }
    return {**{group: option for group, option in record.choices.items() if not is_silent(group)}, **own}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _marks(record: RunRecord, kind: str, split: str) -> dict[str, str]:
    """What runs have to have in common, by what it is; nothing where a run does not say it."""
    if kind == "data":
        data = record.manifest.get("data") or {}
        found = {f"{name} data": digest for name, digest in (data.get("splits") or {}).items()}
        found = found or {"data": data.get("fingerprint")}
    elif kind == "tokenizer":
        found = {"tokenizer": record.manifest.get("tokenizer_hash")}
    elif kind == "reference":
        text = record.source.text(f"hypotheses/{split}.reference.txt")
        found = {"reference": None if text is None else hashlib.sha256(text.encode()).hexdigest()}
    else:
        signatures = record.manifest.get("signatures") or {}
        found = {f"signature of {name}": signature for name, signature in signatures.items()}
    return {what: str(mark) for what, mark in found.items() if mark}


def _some(labels: Sequence[str]) -> str:
    names = list(dict.fromkeys(labels))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
