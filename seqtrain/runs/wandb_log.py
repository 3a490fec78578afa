"""The log that W&B keeps of a run, `run-ID.wandb`: what is whole in it. Imports no torch.

A file of blocks of 32 KiB, as LevelDB writes its logs: 7 bytes that say what it is, then fragments of records. Each has
a head of 7 bytes: CRC-32 of kind and content, the content's length, and whether it is a whole record or the first, a
middle or the last part of one. A record is a protocol buffer of W&B's. (`wandb leet inspect` prints the same, in a
second where this takes milliseconds.)
"""

import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqtrain.errors import UserError

MAGIC = b":W&B\xe1\xbe"
BLOCK = 32768
HEAD = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass(frozen=True)
class Segment:
    """One log: a run, or the part of it since it was resumed.

    Attributes:
        path: the file.
        identity: the id of the W&B run.
        name: what the run is called.
        started: when this part began, in seconds since 1970.
        config: W&B's config as it was last.
        exit_code: None where the end is missing: the run goes on, was killed, or the file is cut short.
    """

    path: Path
    identity: str
    name: str
    started: float
    config: dict[str, Any]
    exit_code: int | None


def read_segment(path: Path) -> Segment:
    """Everything but the history.

    Raises:
        UserError: nothing in it can be read.
    """
    identity = name = ""
    started, exit_code = 0.0, None
    config: dict[str, Any] = {}
    for kind, content in _records(path):
        if kind == "run":
            identity, name = content.run_id, content.display_name
            started = content.start_time.seconds + content.start_time.nanos / 1e9
            _update(config, content.config.update)
        elif kind == "config":
            for item in content.remove:
                config.pop(item.key, None)
            _update(config, content.update)
        elif kind == "exit":
            exit_code = content.exit_code
    if not identity:
        raise UserError(
            f"nothing can be read of {path}: it is empty, damaged, or no log of a W&B run",
            "W&B writes 32 KiB at a time; of a run that was killed before, only the run's own directory tells.",
        )
    return Segment(path, identity, name or identity, started, config, exit_code)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """What was logged at once, by name, in the order of logging; W&B's descriptions of tables and pictures left out."""
    for kind, content in _records(path):
        if kind == "history":
            items = [item for item in content.item if len(item.nested_key) < 2 and item.value_json]
            # Decoded together: one by one takes twice as long.
            values = json.loads(f"[{','.join(item.value_json for item in items)}]")
            yield {(item.nested_key or [item.key])[0]: value for item, value in zip(items, values, strict=True)}


def fragments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each whole fragment; after a damaged one it goes on in the next block."""
    for start in range(0, len(data), BLOCK):
        place, end = start or len(MAGIC) + 1, min(start + BLOCK, len(data))
        while place + HEAD.size <= end:
            checksum, length, kind = HEAD.unpack_from(data, place)
            content = data[place + HEAD.size : place + HEAD.size + length]
            place += HEAD.size + length
            if place > end or zlib.crc32(content, zlib.crc32(bytes([kind]))) != checksum:
                break
            yield kind, content


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # W&B takes a second to import

    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    if not data.startswith(MAGIC):
        return
    for text in _joined(fragments(data)):
        try:
            record = Record.FromString(text)
        except DecodeError:
            continue
        kind = record.WhichOneof("record_type")
        if kind is not None:
            yield kind, getattr(record, kind)


def _joined(found: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """Records of fragments; one of which a part is missing is left out."""
    parts: list[bytes] | None = None
    for kind, content in found:
        if kind == FULL:
            parts = None
            yield content
        elif kind == FIRST:
            parts = [content]
        elif parts is not None:
            parts.append(content)
            if kind == LAST:
                yield b"".join(parts)
                parts = None


def _update(values: dict[str, Any], items: Iterable[Any]) -> None:
    for item in items:
        *path, last = item.nested_key or [item.key]
        place = values
        for name in path:
            if not isinstance(place.get(name), dict):
                place[name] = {}
            place = place[name]
        place[last] = json.loads(item.value_json)
