"""The spool: frames on disk that the broker has not acknowledged yet.

Frames of one device keep their order. The devices take turns, so that a live value does not wait
behind another device's backlog.

A gateway has one SQLite file with a write-ahead log and ``synchronous=FULL``. A frame for which
``put`` has returned survives kill -9 and power loss. The counter of each device is in the same file
and changes in the same transaction. A frame therefore keeps its id and ``seq`` for good, and no
number is given twice. Only one process at a time can open the file.

All methods block on the disk, so ``Backlog`` calls them in a thread of its own. A ballast file lies
beside the spool, so that a full disk does not stay full (see ``forget``).
"""

from __future__ import annotations

import secrets
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from rpm_stream.app.gateway.spool_disk import PAGE, SpoolFull, SpoolSpace, Transaction, translated
from rpm_stream.app.runtime.private import private_database

SHRINK = 256 * 1024  # unused bytes in the file of an empty spool from which it is shrunk
LOGGED = 500  # frames deleted at a time when only the ballast's space is left
SCHEMA = """
CREATE TABLE IF NOT EXISTS frame (id INTEGER PRIMARY KEY AUTOINCREMENT, device TEXT NOT NULL,
  wire BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS frame_of_device ON frame (device, id);
CREATE TABLE IF NOT EXISTS counter (device TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
# One index step per device. DISTINCT would walk over a backlog of a million frames for each batch.
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


class Spooled(NamedTuple):
    """One waiting frame: its id in the spool, its Kafka key (the device) and its JSON."""

    id: int
    device: str
    wire: bytes


class Spool:
    """The frames of one gateway that the broker has not acknowledged, in the order of storing."""

    def __init__(self, path: Path, max_bytes: int | None = None) -> None:
        """Open the file, or create it.

        ``max_bytes`` limits the file, and None leaves the limit to the disk. The ballast beside the
        file is no larger than ``max_bytes``. Raises ``SpoolInUse``, or ``OSError`` for a file that
        cannot be used.
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
            # Names this lifetime of the spool. If the file is deleted, the new file counts from 0
            # under a new name.
            self._db.execute(
                "INSERT OR IGNORE INTO fact VALUES ('boot', ?)", (secrets.token_hex(4),)
            )
            if max_bytes is not None:
                self._db.execute(f"PRAGMA max_page_count={max(1, max_bytes // PAGE)}")
        except sqlite3.OperationalError as error:
            self._db.close()
            raise translated(error, path) from error
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise OSError(f"{path} is not a spool: {error}") from error
        self.boot: str = self._db.execute("SELECT value FROM fact WHERE name = 'boot'").fetchone()[
            0
        ]
        self._space = SpoolSpace(self._db, path, max_bytes)

    def put(self, device: str, make: Sequence[Callable[[int], bytes]]) -> int:
        """Store frames of ``device``, all or none, and return how many.

        Each function in ``make`` gets its ``seq`` and returns the JSON of one frame. Raises
        ``SpoolFull``, and whatever such a function raises. After an error the counter is unchanged.
        """
        with Transaction(self._db, self._path):
            row = self._db.execute(
                "SELECT next FROM counter WHERE device = ?", (device,)
            ).fetchone()
            first: int = row[0] if row else 0
            wires = [(device, maker(first + place)) for place, maker in enumerate(make)]
            self._space.check(wires)
            self._db.executemany("INSERT INTO frame (device, wire) VALUES (?, ?)", wires)
            self._db.execute(
                "INSERT OR REPLACE INTO counter VALUES (?, ?)", (device, first + len(make))
            )
        return len(wires)

    def put_ready(self, frames: Sequence[tuple[str, bytes]]) -> int:
        """Store pairs of device and JSON as they are, all or none, and return how many.

        The counters do not change. Raises ``SpoolFull``.
        """
        self._space.check(frames)
        with Transaction(self._db, self._path):
            self._db.executemany("INSERT INTO frame (device, wire) VALUES (?, ?)", frames)
            known = [(device,) for device in sorted({device for device, _ in frames})]
            self._db.executemany("INSERT OR IGNORE INTO counter VALUES (?, 0)", known)
        return len(frames)

    def in_turn(self, done: Mapping[str, int], limit: int, most: int) -> list[Spooled]:
        """Return the next frames, the devices in turn and each device's frames in stored order.

        ``done`` has for a device the last spool id to leave out. Every device that has more to send
        gets at least one frame, so that none waits behind another's backlog. Beyond that the result
        has at most ``limit`` frames, and no frame is added once it has ``size`` bytes.
        """
        devices = [row[0] for row in self._db.execute(WAITING)]
        queues = deque(
            self._db.execute(NEXT, (device, done.get(device, 0), limit)) for device in devices
        )
        found: list[Spooled] = []
        size = turns = 0
        while queues and (turns < len(devices) or (len(found) < limit and size < most)):
            rows = queues.popleft()
            turns += 1
            if row := rows.fetchone():
                found.append(Spooled(*row))
                size += len(row[2])
                queues.append(rows)
        return found

    def forget(self, done: Mapping[str, int]) -> None:
        """Delete each device's frames up to its spool id in ``done``: the broker has them.

        On a full disk even a deletion writes to the log before it frees any space. The ballast is
        dropped to make that room. Raises ``SpoolFull`` if that is not enough.
        """
        try:
            with Transaction(self._db, self._path):
                self._db.executemany("DELETE FROM frame WHERE device = ? AND id <= ?", done.items())
        except SpoolFull:
            self._forget_on_full_disk(done)
        if not self._space.has_whole_ballast:
            with suppress(SpoolFull):  # shrinking can wait: the frames are already deleted
                self._give_back()
            self._space.take_ballast()

    def _forget_on_full_disk(self, done: Mapping[str, int]) -> None:
        with self._space.without_ballast():
            for device, place in done.items():
                gone = LOGGED
                while gone == LOGGED:
                    with Transaction(self._db, self._path):
                        gone = self._db.execute(FORGET, (device, place, LOGGED)).rowcount
                    self._space.empty_log()

    def _give_back(self) -> None:
        """Shrink the file of an empty spool. SQLite never shrinks it by itself."""
        if self._space.unused() >= SHRINK and self.oldest() is None:
            self._space.shrink()

    def count(self) -> int:
        """Return the number of waiting frames."""
        return int(self._db.execute("SELECT count(*) FROM frame").fetchone()[0])

    def oldest(self) -> bytes | None:
        """Return the JSON of the frame that waits longest, None for an empty spool."""
        row = self._db.execute("SELECT wire FROM frame ORDER BY id LIMIT 1").fetchone()
        return None if row is None else bytes(row[0])

    def size(self) -> int:
        """Return the size of the spool's files in bytes."""
        return self._space.size()

    def devices(self) -> set[str]:
        """Return all devices for which this gateway has ever sent."""
        return {row[0] for row in self._db.execute("SELECT device FROM counter")}

    def close(self) -> None:
        """Close the file, so that another process may open it."""
        self._db.close()
