"""What the FHIR server refuses for good: one JSON Lines file, readable by its owner only, for a
person to look at.

A line is ``{"status", "answer", "body"}``, ``body`` being the resource; or ``{"status": 0,
"answer", "original"}`` with the bytes in base64 for a record that is no Observation at all. A line
may come twice after a crash.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from rpm_stream.app.ehr.client import RefusedResource
from rpm_stream.app.runtime.private import open_private, private_folder


class RefusedFile:
    """Open with ``with``; a line counts as kept after ``sync``.

    OSError where it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = -1
        self._unsynced = False

    def __enter__(self) -> Self:
        private_folder(self._path.parent)
        self._handle = open_private(self._path, os.O_WRONLY | os.O_APPEND)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._handle)

    def add(self, refusal: RefusedResource) -> None:
        """A resource that the server will never take."""
        self._line(
            {
                "status": refusal.status,
                "answer": refusal.answer,
                "body": msgspec.Raw(refusal.resource.body),
            }
        )

    def add_unreadable(self, value: bytes) -> None:
        """A record that is no Observation: another program writes to the topic."""
        self._line(
            {
                "status": 0,
                "answer": "not an Observation",
                "original": base64.b64encode(value).decode(),
            }
        )

    def sync(self) -> None:
        """On disk before the offset is committed."""
        if self._unsynced:
            os.fsync(self._handle)
            self._unsynced = False

    def _line(self, line: dict[str, Any]) -> None:
        rest = memoryview(msgspec.json.encode(line) + b"\n")
        while rest:
            rest = rest[os.write(self._handle, rest) :]
        self._unsynced = True
