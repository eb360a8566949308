"""The books' file: an SQLite database with the content of the topics, so that memory stays small.

It has no name of a patient, only the opaque ``patient_ref``. Readings are ids, obligations and
keyed marks without values. All rows of a batch are one transaction with the position up to which it
was read. A run that was interrupted therefore continues at the same position.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import UUID

from aiokafka import TopicPartition

from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.private import private_database

NOBODY = ""  # the gateway of a redriven frame: its number fills no hole
LAYOUT = 3
SCHEMA = """
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE place (topic TEXT, part INT, first INT, next INT, PRIMARY KEY (topic,
  part)) WITHOUT ROWID;
CREATE TABLE done (topic TEXT, part INT, next INT, PRIMARY KEY (topic, part)) WITHOUT ROWID;
CREATE TABLE frame (
  part INT, place INT, hour INT, device TEXT, frame TEXT, gateway TEXT, boot TEXT, seq INT,
    said TEXT,
  PRIMARY KEY (part, place)
) WITHOUT ROWID;
CREATE INDEX sender ON frame (gateway, said, boot, seq);
CREATE TABLE account (part INT, place INT, digest BLOB, body BLOB, PRIMARY KEY (part,
  place)) WITHOUT ROWID;
CREATE TABLE message (
  part INT, place INT, patient TEXT, chunk INT, digest BLOB, count INT, PRIMARY KEY (part, place,
    patient, chunk)
) WITHOUT ROWID;
CREATE TABLE reading (
  id BLOB PRIMARY KEY, part INT, place INT, entry INT, value INT, policy TEXT, summary BLOB,
    at_part INT, at_place INT,
  single INT DEFAULT 0, back INT DEFAULT 0, same BLOB, at INT, device INT, told INT, loose INT
) WITHOUT ROWID;
CREATE INDEX measurement ON reading (same, at) WHERE same IS NOT NULL;
CREATE TABLE summary (id BLOB PRIMARY KEY, patient TEXT, vital TEXT, start INT, newest INT,
  seen INT) WITHOUT ROWID;
CREATE INDEX course ON summary (patient, vital, newest);
CREATE TABLE adopted (
  summary BLOB, id BLOB, same BLOB, at INT, device INT, told INT, loose INT, hour INT,
    PRIMARY KEY (summary, id)
) WITHOUT ROWID;
CREATE INDEX moved ON adopted (same, at);
CREATE TABLE reject (
  part INT, place INT, id BLOB, reason TEXT, digest BLOB, parts INT DEFAULT 1, PRIMARY KEY (part,
    place, id)
) WITHOUT ROWID;
CREATE TABLE observation (
  id BLOB PRIMARY KEY, digest BLOB, n INT, at_part INT, at_place INT, hour INT
) WITHOUT ROWID;
CREATE TABLE fault (
  kind TEXT, topic TEXT, part INT, place INT, hour INT, why TEXT, PRIMARY KEY (topic, part, place,
    kind)
) WITHOUT ROWID;
"""
# Converts the books of the release before. There a reject covered one part, and a redriven frame
# had no sender.
FROM_2 = """
ALTER TABLE reject ADD COLUMN parts INT DEFAULT 1;
ALTER TABLE frame ADD COLUMN said TEXT;
UPDATE frame SET said = device;
UPDATE frame SET gateway = '' WHERE gateway IS NULL AND boot IS NOT NULL AND seq IS NOT NULL;
DROP INDEX sender;
CREATE INDEX sender ON frame (gateway, said, boot, seq);
"""
# The tables with rows of a frame, which are deleted with the frame.
OF_A_FRAME = ("frame", "account", "message", "reading", "reject")


def digest(value: bytes) -> bytes:
    """Return an eight-byte hash of a record's content."""
    return blake2b(value, digest_size=8).digest()


def key_of(name: str) -> bytes:
    """Return sixteen bytes for an id: the bytes of a UUID, or a hash of any other id."""
    try:
        return UUID(name).bytes
    except ValueError:
        return blake2b(name.encode(errors="surrogatepass"), digest_size=16).digest()


class Store:
    """The database at ``path``, which is created if there is none.

    Raises ``UsageError`` for a file that is not one of books.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.db = sqlite3.connect(private_database(path), isolation_level=None)
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.execute("PRAGMA synchronous=NORMAL")
            self._begin(path)
        except (OSError, sqlite3.DatabaseError) as error:
            raise UsageError(f"{path} cannot be used for the books: {error}") from None

    def _begin(self, path: Path) -> None:
        version = self.db.execute("PRAGMA user_version").fetchone()[0]
        if version == LAYOUT:
            return
        if version == LAYOUT - 1:
            self.db.executescript(f"BEGIN; {FROM_2} PRAGMA user_version={LAYOUT}; COMMIT;")
            return
        if version or self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise UsageError(f"{path} holds no books of this release: name another file")
        self.db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version={LAYOUT}; COMMIT;")

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def fact(self, name: str, value: str) -> str:
        """Return the fact ``name``. If there is none, store ``value`` first."""
        self.db.execute("INSERT OR IGNORE INTO fact VALUES (?, ?)", (name, value))
        return str(self.db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()[0])

    def ref_key(self, token: str | None) -> bytes:
        """Return the key for opaque patient names: the token as in the feed, or the file's own."""
        return token.encode() if token else self.fact("ref_key", secrets.token_hex(16)).encode()

    # --- positions in the topics ---

    def next_places(self, topic: str) -> dict[int, int]:
        """Return where to continue reading, by partition; empty before ``begin``."""
        return dict(
            self.db.execute("SELECT part, next FROM place WHERE topic = ?", (topic,)).fetchall()
        )

    def first_places(self, topic: str) -> dict[int, int]:
        """Return where the books begin, by partition."""
        return dict(
            self.db.execute("SELECT part, first FROM place WHERE topic = ?", (topic,)).fetchall()
        )

    def begin(self, topic: str, firsts: Mapping[TopicPartition, int]) -> None:
        """Store where the books of a topic begin."""
        rows = [(topic, tp.partition, first, first) for tp, first in firsts.items()]
        self.db.executemany("INSERT OR IGNORE INTO place VALUES (?, ?, ?, ?)", rows)

    def set_done(self, topic: str, places: Mapping[int, int]) -> None:
        """Store the commits of the group that reads ``topic``."""
        rows = [(topic, part, place) for part, place in places.items()]
        self.db.executemany("INSERT OR REPLACE INTO done VALUES (?, ?, ?)", rows)

    def write(
        self,
        topic: str,
        part: int,
        place: int,
        statements: Iterable[tuple[str, list[tuple[Any, ...]]]],
    ) -> None:
        """Write the rows of one batch and its end ``place``, both or nothing."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            for statement, rows in statements:
                self.db.executemany(statement, rows)
            self.db.execute(
                "UPDATE place SET next = ? WHERE topic = ? AND part = ?", (place, topic, part)
            )
        except BaseException:
            with suppress(sqlite3.OperationalError):  # a full disk has rolled back by itself
                self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def prune(self, hour: int) -> None:
        """Delete the frames from before ``hour`` with their rows, to keep a window of time."""
        db = self.db
        db.execute("BEGIN IMMEDIATE")
        kept = db.execute(
            "SELECT part, IFNULL((SELECT MIN(f.place) FROM frame f WHERE f.part = p.part AND f.hour"
            " >= ?), p.next) FROM place p WHERE topic = 'rpm.frames'",
            (hour,),
        ).fetchall()
        for part, place in kept:
            for table in OF_A_FRAME:
                db.execute(f"DELETE FROM {table} WHERE part = ? AND place < ?", (part, place))  # noqa: S608
            db.execute(
                "UPDATE place SET first = ? WHERE topic = 'rpm.frames' AND part = ?", (place, part)
            )
        db.execute(
            "DELETE FROM summary WHERE id NOT IN (SELECT summary FROM reading WHERE summary IS NOT"
            " NULL)"
        )
        db.execute(
            "DELETE FROM adopted WHERE hour < ? AND summary NOT IN (SELECT id FROM summary)",
            (hour,),
        )
        db.execute(
            "DELETE FROM observation WHERE hour < ? AND id NOT IN (SELECT id FROM summary)", (hour,)
        )
        db.execute("DELETE FROM fault WHERE hour < ?", (hour,))
        db.execute("COMMIT")
