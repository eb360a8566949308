"""The last stored record that was read from each device, kept over restarts.

A mark has a number and a fingerprint, and no measured value.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from rpm_stream.app.gateway.ble.small_files import replace_or_log

_log = structlog.get_logger(__name__)


class Mark(NamedTuple):
    """The identity of a record.

    ``number`` is its sequence number, or the minutes since the start of the session. ``print`` is a
    fingerprint that distinguishes it from another record with the same number.
    """

    number: int
    print: str


def marks_of(characteristic: str, payload: bytes) -> list[Mark]:
    """Return the marks of the stored records in a value, none if they have no number (oximeter).

    >>> [mark.number for mark in marks_of("2A18", bytes.fromhex("000701ea070b1e0a0000"))]
    [263]
    >>> [mark.number for mark in marks_of("2AA7", bytes.fromhex("060064000500" "060065000600"))]
    [5, 6]
    """
    if characteristic == "2A18" and len(payload) >= 10:
        return [_mark(payload[1:3], payload[1:10])]  # sequence; base time
    found = []
    while characteristic == "2AA7" and len(payload) >= 6 and 6 <= payload[0] <= len(payload):
        found.append(_mark(payload[4:6], payload[2:6]))  # offset; glucose
        payload = payload[payload[0] :]
    return found


def _mark(number: bytes, content: bytes) -> Mark:
    return Mark(int.from_bytes(number, "little"), sha256(content).hexdigest()[:12])


class Marks:
    """The marks of one gateway's devices, in one file that only its owner may read."""

    def __init__(self, path: Path) -> None:
        """Load the file.

        A file that cannot be read counts as empty. All stored records are then read again, and the
        service recognises them as repeats.
        """
        self._path = path
        self._marks: dict[str, dict[str, Mark]] = {}
        try:
            self._marks = msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, Mark]])
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError) as error:
            _log.warning("ble.marks_unreadable", kind=type(error).__name__)

    def get(self, device: str, characteristic: str) -> Mark | None:
        """Return the mark up to which ``device`` was read."""
        return self._marks.get(device, {}).get(characteristic)

    def put(self, device: str, characteristic: str, mark: Mark) -> None:
        """Store the mark. Call it once the record is safe in the spool."""
        if self.get(device, characteristic) == mark:
            return
        self._marks.setdefault(device, {})[characteristic] = mark
        replace_or_log(self._path, json.dumps(self._marks, sort_keys=True).encode())
