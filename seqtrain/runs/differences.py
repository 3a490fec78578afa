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

EVALUATED = "evaluated"
"""What evaluations have to have in common: the data that they are of, of which that of the training says nothing."""

SILENT = ("seed", "study", "arm", "group", "tags", "resume", "logger")
"""How the keys of a configuration begin that make no difference to what is compared."""

REPEATED = re.compile(r"callbacks\.\w+\.decoding\b")
"""What callbacks are given of a group of its own."""

Differences = dict[str, dict[str, list[str]]]
"""Key of the configuration to the values that each group's runs have there, by the group's label."""


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
    found = dict.fromkeys(KINDS, "")
    for kind in (*KINDS, EVALUATED):
        by_part: dict[Any, dict[str, list[str]]] = {}
        for arm in arms:
            for record in arm.records:
                if record.status == "finished" and (mark := _mark(record, kind, split)):
                    part = json.dumps(record.at(study.parts)) if study.parts else ""
                    by_part.setdefault(part, {}).setdefault(mark, []).append(arm.label)
        different = [marks for marks in by_part.values() if len(marks) > 1]
        if different:
            length = None if kind == "signature" else 12  # of hashes
            told = "; ".join(f"{mark[:length]} of {_some(labels)}" for mark, labels in different[0].items())
            found["data" if kind == EVALUATED else kind] = told
    notes = [f"different {kind}: {what}" for kind, what in found.items() if what]
    refused = [kind for kind, what in found.items() if what and kind not in allowed]
    if refused:
        listed = "\n".join(f"  {note}" for note in notes)
        raise UserError(
            f"these runs cannot be put side by side:\n{listed}",
            f"Compare runs of one {refused[0]}, or compare them all the same: allow={','.join(refused)}",
        )
    return notes


def _values(record: RunRecord) -> dict[str, str]:
    """What was chosen and what was set, as text; a class is told by the option that was chosen."""
    values = flattened(record.config)
    own = {
        key: _text(value)
        for key, value in values.items()
        if not key.startswith(SILENT) and not key.endswith(TARGET) and not REPEATED.match(key)
    }
    return {**{group: option for group, option in record.choices.items() if not group.startswith(SILENT)}, **own}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _mark(record: RunRecord, kind: str, split: str) -> str:
    """What runs have to have in common; empty where a run does not say it."""
    if kind in ("data", EVALUATED):
        return str((record.manifest.get(kind) or {}).get("fingerprint") or "")
    if kind == "tokenizer":
        return str(record.manifest.get("tokenizer_hash") or "")
    if kind == "reference":
        text = record.source.text(f"hypotheses/{split}.reference.txt")
        return "" if text is None else hashlib.sha256(text.encode()).hexdigest()
    signatures = record.manifest.get("signatures") or {}
    return ", ".join(f"{name} {signature}" for name, signature in sorted(signatures.items()))


def _some(labels: Sequence[str]) -> str:
    names = list(dict.fromkeys(labels))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
