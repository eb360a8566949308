"""Disk space that is kept in reserve beside the spool.

On a full disk even deleting frames writes to the log before it frees any space.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

import structlog

from rpm_stream.app.runtime.private import open_private

# Bytes: half for the log, which must fit into the database file, half for what one call stores.
BALLAST = 8 * 1024 * 1024
PIECE = 1024 * 1024

_log = structlog.get_logger(__name__)


class Ballast:
    """A file that takes disk space while there is some and gives it back when there is none."""

    def __init__(self, path: Path, most: int = BALLAST) -> None:
        """Use ``path``. ``most`` is its size in bytes on a disk with enough room."""
        self._path = path
        self._most = most
        self.size = path.stat().st_size if path.exists() else 0

    @property
    def whole(self) -> bool:
        """Whether it has its full size."""
        return self.size >= self._most

    def free(self) -> int:
        """Return the free bytes of the disk."""
        return shutil.disk_usage(self._path.parent).free

    def take(self) -> None:
        """Grow while the disk has room.

        On a small disk it takes at most half of the room, so that the spool's log fits beside it.
        """
        wanted = min(self._most, (self.size + self.free()) // 2)
        try:
            with os.fdopen(
                open_private(self._path, os.O_WRONLY | os.O_APPEND), "ab", buffering=0
            ) as file:
                while self.size < wanted:
                    # Random bytes: a file system that compresses would reserve no room for others.
                    self.size += file.write(secrets.token_bytes(min(PIECE, wanted - self.size)))
        except OSError as error:
            # Another program took the room, or part of it is reserved. What was written helps.
            _log.warning("gateway.spool_ballast_small", octets=self.size, kind=type(error).__name__)

    def drop(self) -> None:
        """Delete the file and so free its space."""
        self._path.unlink(missing_ok=True)
        self.size = 0
