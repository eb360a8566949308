"""The spool: what a gateway has promised to deliver, on disk until the broker has acknowledged it.

Frames of one device keep their order; devices take turns, so that no live value waits behind
another device's day. One SQLite file a gateway, write-ahead log, ``synchronous=FULL``: a frame that
``put`` has returned for survives kill -9 and power loss. The counter of each device lives in the
same file and the same transaction, so that a frame keeps its id and ``seq`` for ever and no number
is given twice. One process at a time holds the file. All methods block on the disk: the client
calls them in a thread of its own. Beside the file lies a ballast, so that a disk that is full does
not stay so: see ``forget``.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from rpm_stream.app.gateway.ballast import BALLAST, Ballast
from rpm_stream.app.runtime.private import private_database
from rpm_stream.errors import RpmStreamError

PAGE = 4096
SHRINK = 256 * 1024  # octets free in the file of an empty spool
LOGGED = 500  # frames that are deleted at a time when there is no more room than the ballast's
SCHEMA = """
CREATE TABLE IF NOT EXISTS frame (id INTEGER PRIMARY KEY AUTOINCREMENT, device TEXT NOT NULL,
  wire BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS frame_of_device ON frame (device, id);
CREATE TABLE IF NOT EXISTS counter (device TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
# One step of the index a device: DISTINCT would walk over a backlog of a million frames at every
# batch.
WAITING = """
WITH RECURSIVE waiting (device) AS (
  SELECT min(device) FROM frame
  UNION ALL
  SELECT (SELECT min(device) FROM frame WHERE device > waiting.device) FROM waiting
    WHERE device IS NOT NULL
)
SELECT device FROM waiting WHERE device IS NOT NULL
"""
NEXT = "SELECT id, device, wire FROM frame WHERE device = ? AND id > ? ORDER BY id LIMIT ?"
FORGET = "DELETE FROM frame WHERE id IN (SELECT id FROM frame WHERE device = ? AND id <= ? LIMIT ?)"


class SpoolFull(RpmStreamError, OSError):
    """The disk, or the spool's own limit, is full: nothing of this call was stored, and the
    caller still has it.
    """


class SpoolInUse(RpmStreamError, OSError):
    """Another process holds this spool: two gateways never share one."""


class Spooled(NamedTuple):
    """One frame that waits: its place in the spool, Kafka key and JSON."""

    id: int
    device: str
    wire: bytes


class Spool:
    """The frames of one gateway that the broker has not acknowledged yet, in the order in which
    they were put.
    """

    def __init__(self, path: Path, max_bytes: int | None = None) -> None:
        """Open or create; ``max_bytes`` bounds the file (None: the disk does). Raises
        ``SpoolInUse``, ``OSError``.

        The ballast beside it is no larger than ``max_bytes``.
        """
        self._path = path
        self._db = sqlite3.connect(
            private_database(path), isolation_level=None, check_same_thread=False, timeout=0.5
        )
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(SCHEMA)
            # The name of this spool's life: a spool that was deleted begins to count anew, and says
            # so.
            self._db.execute(
                "INSERT OR IGNORE INTO fact VALUES ('boot', ?)", (secrets.token_hex(4),)
            )
            if max_bytes is not None:
                self._db.execute(f"PRAGMA max_page_count={max(1, max_bytes // PAGE)}")
        except sqlite3.OperationalError as error:
            self._db.close()
            raise _translated(error, path) from error
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise OSError(f"{path} is no spool: {error}") from error
        self.boot: str = self._db.execute("SELECT value FROM fact WHERE name = 'boot'").fetchone()[
            0
        ]
        self._ballast = Ballast(
            path.with_name(path.name + "-ballast"), min(BALLAST, max_bytes or BALLAST)
        )
        self._take_ballast()

    def put(self, device: str, make: Sequence[Callable[[int], bytes]]) -> int:
        """Store frames of ``device``; each maker gets its ``seq`` and gives the JSON. All or none;
        returns the count.

        Raises ``SpoolFull``, and what a maker raises; either way the counter stands where it stood.
        """
        with _Transaction(self._db, self._path):
            row = self._db.execute(
                "SELECT next FROM counter WHERE device = ?", (device,)
            ).fetchone()
            first: int = row[0] if row else 0
            wires = [(device, maker(first + place)) for place, maker in enumerate(make)]
            self._check_room(wires)
            self._db.executemany("INSERT INTO frame (device, wire) VALUES (?, ?)", wires)
            self._db.execute(
                "INSERT OR REPLACE INTO counter VALUES (?, ?)", (device, first + len(make))
            )
        return len(wires)

    def put_ready(self, frames: Sequence[tuple[str, bytes]]) -> int:
        """Store (device, JSON) pairs as they are, uncounted.

        All or none; returns the count. Raises ``SpoolFull``.
        """
        self._check_room(frames)
        with _Transaction(self._db, self._path):
            self._db.executemany("INSERT INTO frame (device, wire) VALUES (?, ?)", frames)
            known = [(device,) for device in sorted({device for device, _ in frames})]
            self._db.executemany("INSERT OR IGNORE INTO counter VALUES (?, 0)", known)
        return len(frames)

    def in_turn(self, done: Mapping[str, int], limit: int, octets: int) -> list[Spooled]:
        """The next frames, the devices in turn, each device's in the order in which they were put.

        ``done`` has for a device the last place that is to be left out. Every device that has more
        to send is in it with one frame at least, so that none waits behind another's backlog;
        beyond that at most ``limit`` frames, and none after ``octets`` bytes.
        """
        devices = [row[0] for row in self._db.execute(WAITING)]
        queues = deque(
            self._db.execute(NEXT, (device, done.get(device, 0), limit)) for device in devices
        )
        found: list[Spooled] = []
        size = turns = 0
        while queues and (turns < len(devices) or (len(found) < limit and size < octets)):
            rows = queues.popleft()
            turns += 1
            if row := rows.fetchone():
                found.append(Spooled(*row))
                size += len(row[2])
                queues.append(rows)
        return found

    def forget(self, done: Mapping[str, int]) -> None:
        """Delete each device's frames up to its place in ``done``: the broker has them.

        On a full disk the ballast makes the room for it. Raises ``SpoolFull`` where even that does
        not do.
        """
        try:
            with _Transaction(self._db, self._path):
                self._db.executemany("DELETE FROM frame WHERE device = ? AND id <= ?", done.items())
        except SpoolFull:
            self._forget_without_room(done)
        if not self._ballast.whole:
            with suppress(SpoolFull):  # the next time, then: what was to be forgotten is
                self._give_back()
            self._take_ballast()

    def _take_ballast(self) -> None:
        """Half of it holds what the log has before it goes into the file, the other half what is
        put at once.
        """
        self._ballast.take()
        self._db.execute(f"PRAGMA wal_autocheckpoint={max(1, self._ballast.octets // 2 // PAGE)}")

    def _forget_without_room(self, done: Mapping[str, int]) -> None:
        self._ballast.drop()
        try:
            # it holds what did not fit into the file any more; from here on the file does not grow
            self._empty_log()
            for device, place in done.items():
                gone = LOGGED
                while gone == LOGGED:
                    with _Transaction(self._db, self._path):
                        gone = self._db.execute(FORGET, (device, place, LOGGED)).rowcount
                    self._empty_log()
        finally:
            self._take_ballast()

    def _give_back(self) -> None:
        """Give the disk what an empty spool does not need any more: the file never becomes
        shorter by itself.
        """
        free = self._db.execute("PRAGMA freelist_count").fetchone()[0]
        if free * PAGE >= SHRINK and self.oldest() is None:
            self._ballast.drop()
            self._empty_log()
            # a few pages; the folder for temporary files may be full too
            self._db.execute("PRAGMA temp_store=MEMORY")
            try:
                self._db.execute("VACUUM")
            except sqlite3.OperationalError as error:
                raise _translated(error, self._path) from error
            self._empty_log()

    def _empty_log(self) -> None:
        try:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError as error:
            raise _translated(error, self._path) from error

    def _check_room(self, frames: Sequence[tuple[str, bytes]]) -> None:
        """Refuse what the ballast could not get out of the log again, on a disk that has no room
        for it twice.
        """
        octets = sum(len(wire) for _, wire in frames)
        if octets > self._ballast.octets // 2 and self._ballast.free() < 2 * octets:
            raise _full(self._path)

    def count(self) -> int:
        """How many frames wait."""
        return int(self._db.execute("SELECT count(*) FROM frame").fetchone()[0])

    def oldest(self) -> bytes | None:
        """The JSON of the frame that waits longest."""
        row = self._db.execute("SELECT wire FROM frame ORDER BY id LIMIT 1").fetchone()
        return None if row is None else bytes(row[0])

    def octets(self) -> int:
        """Size of the spool's files."""
        files = (self._path, self._path.with_name(self._path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def devices(self) -> set[str]:
        """All devices that this gateway has ever sent for."""
        return {row[0] for row in self._db.execute("SELECT device FROM counter")}

    def close(self) -> None:
        """Give the file back."""
        self._db.close()


class _Transaction:
    """BEGIN, then COMMIT or ROLLBACK; a full disk at any of them is ``SpoolFull``."""

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
            raise _translated(full, self._path) from full
        if error is not None:
            self._rollback()
        if isinstance(error, sqlite3.OperationalError):
            raise _translated(error, self._path) from error

    def _rollback(self) -> None:
        # SQLite has already rolled back by itself on some errors, a full disk among them.
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")


def _translated(error: sqlite3.OperationalError, path: Path) -> OSError:
    if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
        return _full(path)
    if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return SpoolInUse(f"the spool {path} is in use by another process")
    return OSError(f"the spool {path} cannot be used: {error}")


def _full(path: Path) -> SpoolFull:
    return SpoolFull(f"no room left for the spool {path}: nothing of this call was stored")
