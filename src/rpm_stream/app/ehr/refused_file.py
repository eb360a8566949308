"""A JSON Lines file with all that the FHIR server refuses for good, for a person to look at.

Only its owner may read it. A line is ``{"status", "answer", "body"}``, where ``body`` is the
resource. For a record that is no Observation it is ``{"status": 0, "answer", "original"}``, with
the bytes in base64. After a crash a line may be there twice.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any, Self

import msgspec

from rpm_stream.app.ehr.client import RefusedResource
from rpm_stream.app.runtime.private import open_private, private_folder


class RefusedFile:
    """The file, opened with ``with``. A line is durable after ``sync``.

    Raises OSError where it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = -1
        self._unsynced = False

    def __enter__(self) -> Self:
        private_folder(self._path.parent)
        self._handle = open_private(self._path, os.O_WRONLY | os.O_APPEND)
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._handle)

    def add(self, refusal: RefusedResource) -> None:
        """Add a resource that the server refuses for good."""
        self._line(
            {
                "status": refusal.status,
                "answer": refusal.answer,
                "body": msgspec.Raw(refusal.resource.body),
            }
        )

    def add_unreadable(self, value: bytes) -> None:
        """Add a record that is no Observation, because another program writes to the topic."""
        self._line(
            {
                "status": 0,
                "answer": "not an Observation",
                "original": base64.b64encode(value).decode(),
            }
        )

    def sync(self) -> None:
        """Write the lines to the disk. Called before the offset is committed."""
        if self._unsynced:
            os.fsync(self._handle)
            self._unsynced = False

    def _line(self, line: dict[str, Any]) -> None:
        rest = memoryview(msgspec.json.encode(line) + b"\n")
        while rest:
            rest = rest[os.write(self._handle, rest) :]
        self._unsynced = True
