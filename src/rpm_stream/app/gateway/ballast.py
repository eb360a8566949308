"""Room that is kept beside the spool: on a full disk even forgetting frames writes to the log
before it frees any.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

import structlog

from rpm_stream.app.runtime.private import open_private

# half for the log, which must fit into the database file, half for what is put at once
BALLAST = 8 * 1024 * 1024
PIECE = 1024 * 1024

_log = structlog.get_logger(__name__)


class Ballast:
    """A file that takes disk space while there is some, to give it back when there is none."""

    def __init__(self, path: Path, most: int = BALLAST) -> None:
        """``most``: octets that it has on a roomy disk."""
        self._path = path
        self._most = most
        self.octets = path.stat().st_size if path.exists() else 0

    @property
    def whole(self) -> bool:
        """Whether it has all that it should have."""
        return self.octets >= self._most

    def free(self) -> int:
        """What the disk has left beside it, in octets."""
        return shutil.disk_usage(self._path.parent).free

    def take(self) -> None:
        """Grow where there is room: up to half of it on a small disk, so that what the spool
        logs fits in here too.
        """
        wanted = min(self._most, (self.octets + self.free()) // 2)
        try:
            with os.fdopen(
                open_private(self._path, os.O_WRONLY | os.O_APPEND), "ab", buffering=0
            ) as file:
                while self.octets < wanted:
                    # Random, or a file system that compresses would keep no room for it.
                    self.octets += file.write(secrets.token_bytes(min(PIECE, wanted - self.octets)))
        except OSError as error:
            # somebody else took the room, or may write more than we: what is there still helps
            _log.warning(
                "gateway.spool_ballast_small", octets=self.octets, kind=type(error).__name__
            )

    def drop(self) -> None:
        """Give the room back."""
        self._path.unlink(missing_ok=True)
        self.octets = 0
