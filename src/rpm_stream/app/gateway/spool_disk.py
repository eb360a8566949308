"""The disk under a spool: its errors, its transactions and the room that it keeps.

On a full disk SQLite needs room before it can free any. A ballast file holds that room.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rpm_stream.app.gateway.ballast import BALLAST, Ballast
from rpm_stream.errors import RpmStreamError

PAGE = 4096


class SpoolFull(RpmStreamError, OSError):
    """The disk is full, or the spool has reached its own limit.

    Nothing of the call was stored. The caller still has the frames.
    """


class SpoolInUse(RpmStreamError, OSError):
    """Another process uses this spool. Two gateways never share one."""


class SpoolSpace:
    """The disk space of one spool: the ballast, the write-ahead log and the file's free pages."""

    def __init__(self, database: sqlite3.Connection, path: Path, max_bytes: int | None) -> None:
        """Grow the ballast beside the open ``database`` at ``path``.

        The ballast is no larger than ``max_bytes``.
        """
        self._db = database
        self._path = path
        self._ballast = Ballast(
            path.with_name(path.name + "-ballast"), min(BALLAST, max_bytes or BALLAST)
        )
        self.take_ballast()

    def take_ballast(self) -> None:
        """Grow the ballast and set the size at which the log is written into the file.

        Half of the ballast's space is for the log, the other half for what one call stores.
        """
        self._ballast.take()
        self._db.execute(f"PRAGMA wal_autocheckpoint={max(1, self._ballast.size // 2 // PAGE)}")

    @property
    def has_whole_ballast(self) -> bool:
        """Whether the ballast has its full size."""
        return self._ballast.whole

    @contextmanager
    def without_ballast(self) -> Iterator[None]:
        """Give the ballast's space to the deletions inside the context. Raises ``SpoolFull``."""
        self._ballast.drop()
        try:
            # The log holds what did not fit into the file. From here on the file does not grow.
            self.empty_log()
            yield
        finally:
            self.take_ballast()

    def empty_log(self) -> None:
        """Write the log into the file and cut it to nothing."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError as error:
            raise translated(error, self._path) from error

    def unused(self) -> int:
        """Return how many bytes of the file hold nothing."""
        return int(self._db.execute("PRAGMA freelist_count").fetchone()[0]) * PAGE

    def shrink(self) -> None:
        """Give the file's unused bytes back to the disk. The ballast is gone afterwards."""
        self._ballast.drop()
        self.empty_log()
        # It needs a few pages. The folder for temporary files may be full too.
        self._db.execute("PRAGMA temp_store=MEMORY")
        try:
            self._db.execute("VACUUM")
        except sqlite3.OperationalError as error:
            raise translated(error, self._path) from error
        self.empty_log()

    def check(self, frames: Sequence[tuple[str, bytes]]) -> None:
        """Raise ``SpoolFull`` for frames that would stay in the log on a full disk.

        That holds if they exceed the ballast's half and the disk has no room for them twice.
        """
        size = sum(len(wire) for _, wire in frames)
        if size > self._ballast.size // 2 and self._ballast.free() < 2 * size:
            raise _full(self._path)

    def size(self) -> int:
        """Return the size of the file and its log in bytes."""
        files = (self._path, self._path.with_name(self._path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())


class Transaction:
    """A transaction: BEGIN, then COMMIT or ROLLBACK.

    SQLite's operational errors become ``SpoolFull``, ``SpoolInUse`` or ``OSError``.
    """

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._db = database
        self._path = path

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        try:
            if error is None:
                self._db.execute("COMMIT")
        except sqlite3.OperationalError as full:
            self._rollback()
            raise translated(full, self._path) from full
        if error is not None:
            self._rollback()
        if isinstance(error, sqlite3.OperationalError):
            raise translated(error, self._path) from error

    def _rollback(self) -> None:
        # SQLite has already rolled back by itself on some errors, a full disk among them.
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")


def translated(error: sqlite3.OperationalError, path: Path) -> OSError:
    """Return what an error of SQLite means for the spool at ``path``."""
    if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
        return _full(path)
    if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return SpoolInUse(f"the spool {path} is in use by another process")
    return OSError(f"the spool {path} cannot be used: {error}")


def _full(path: Path) -> SpoolFull:
    return SpoolFull(f"no room left for the spool {path}: nothing of this call was stored")
