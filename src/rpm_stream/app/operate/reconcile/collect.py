"""The records of each topic as rows of the books, one function a topic.

A function takes records of one partition and returns rows. A record that is repeated after a crash
or a rebalance has the same content and changes nothing. A different content under the same id is a
fault. An unreadable record is a fault too, except in ``rpm.frames``: only the service itself writes
the other topics.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeAlias, TypeVar

import msgspec
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.kafka.frame_record import is_redriven
from rpm_stream.app.kafka.moved import origin_of
from rpm_stream.app.kafka.names import ACCOUNTS, FRAMES, OBSERVATIONS, READINGS, REJECTS
from rpm_stream.app.operate.reconcile.balance import due, observation_facts
from rpm_stream.app.operate.reconcile.elsewhere import end_of_original
from rpm_stream.app.operate.reconcile.glance import glance
from rpm_stream.app.operate.reconcile.marks import marks
from rpm_stream.app.operate.reconcile.store import NOBODY, Store, digest, key_of
from rpm_stream.app.operate.record_id import RecordId, decode_id
from rpm_stream.knowledge import Knowledge
from rpm_stream.pipeline.order import read_message
from rpm_stream.publish.feed.rows import patient_ref
from rpm_stream.records import UNREADABLE, Account, Action, Forwarded, Position, Reading, Readings

SqlRow: TypeAlias = tuple[Any, ...]
Statements: TypeAlias = list[tuple[str, list[SqlRow]]]
Content = TypeVar("Content")

NOT_READABLE: tuple[type[Exception], ...] = (*UNREADABLE, ValueError)  # a reject also holds Base64

HOUR_MS = 3_600_000
MOST_SEQ = 2**53  # ingest/frames.py: a frame with another number is refused

FRAME = "INSERT OR IGNORE INTO frame VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
ACCOUNT = "INSERT OR IGNORE INTO account VALUES (?, ?, ?, ?)"
MESSAGE = "INSERT OR IGNORE INTO message VALUES (?, ?, ?, ?, ?, ?)"
READING = (
    "INSERT OR IGNORE INTO reading (id, part, place, entry, value, policy, summary, at_part,"
    " at_place, same, at, device, told, loose) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
SUMMARY = (
    "INSERT INTO summary VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET newest ="
    " MAX(newest, excluded.newest), seen = MAX(seen, excluded.seen)"
)
REJECT = "INSERT OR IGNORE INTO reject VALUES (?, ?, ?, ?, ?, ?)"
BACK = "UPDATE reading SET back = 1 WHERE id = ?"
ADOPTED = "INSERT OR IGNORE INTO adopted VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
SINGLE = "UPDATE reading SET single = 1 WHERE id = ?"
OBSERVATION = (
    "INSERT INTO observation VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
    "digest = excluded.digest, at_part = excluded.at_part, at_place = excluded.at_place, n = CASE "
    # after a growth a patient is in two partitions, read in any order
    "WHEN excluded.hour < hour THEN n "
    "WHEN excluded.hour = hour AND excluded.at_part <> at_part THEN MAX(n, excluded.n) ELSE"
    " excluded.n END "
    "WHERE excluded.n IS NOT NULL"
)
FAULT = "INSERT OR IGNORE INTO fault VALUES (?, ?, ?, ?, ?, ?)"


class _RejectNote(msgspec.Struct, frozen=True):
    id: str
    reason: str
    stage: str
    original: str
    position: Position
    parts: tuple[int, ...] = ()


_account = msgspec.json.Decoder(Account)
_reject = msgspec.json.Decoder(_RejectNote)


class Books:
    """What the books have of a record already, with those of the current batch."""

    def __init__(self, store: Store) -> None:
        self._db = store.db
        # content of the current batch's earlier records, which are not in the file yet
        self._unwritten: dict[tuple[str, SqlRow], Any] = {}

    def begin_batch(self) -> None:
        """Forget the batch before, which is in the file by now."""
        self._unwritten.clear()

    def differs(self, table: str, where: str, values: SqlRow, seen: bytes) -> bool:
        """Whether the books have the record with another content. The first content counts."""
        before = self._unwritten.setdefault((table, values), seen)
        found = self._db.execute(f"SELECT digest FROM {table} WHERE {where}", values).fetchone()  # noqa: S608
        return before != seen or (found is not None and found[0] != seen)

    def has_elsewhere(self, name: bytes, place: tuple[int, int]) -> bool:
        """Whether the books have the reading for another frame."""
        before = self._unwritten.setdefault(("reading", (name,)), place)
        found = self._db.execute("SELECT part, place FROM reading WHERE id = ?", (name,)).fetchone()
        return before != place or found not in (None, place)

    def is_ours(self, part: int, place: int) -> bool:
        """Whether a frame is in the books, or after what was read of rpm.frames so far."""
        found = self._db.execute(
            "SELECT 1 FROM frame WHERE part = ? AND place = ? UNION ALL "
            "SELECT 1 FROM place WHERE topic = ? AND part = ? AND next <= ?",
            (part, place, FRAMES, part, place),
        ).fetchone()
        return found is not None


class Collector:
    """Turns records into rows, by the function of their topic."""

    def __init__(self, store: Store, knowledge: Knowledge, ref_key: bytes) -> None:
        self._books = Books(store)
        self._of: dict[str, Callable[[list[ConsumerRecord]], Statements]] = {
            FRAMES: _frames,
            ACCOUNTS: partial(_accounts, self._books),
            READINGS: _Messages(self._books, knowledge, ref_key).rows,
            REJECTS: partial(_rejects, self._books),
            OBSERVATIONS: partial(_observations, self._books),
        }

    def rows(self, topic: str, records: list[ConsumerRecord]) -> Statements:
        """Return the rows of a batch. Write them before asking for the next batch."""
        self._books.begin_batch()
        return self._of[topic](records)


class _Messages:
    """Turns messages of readings into rows. It has the tables and the key that this needs."""

    def __init__(self, books: Books, knowledge: Knowledge, ref_key: bytes) -> None:
        self._books = books
        self._knowledge = knowledge
        self._ref_key = ref_key
        self._refs: dict[str, str] = {}

    def rows(self, records: list[ConsumerRecord]) -> Statements:
        """Return rows for each message with its count, and each reading with its obligation.

        They are followed by people's decisions about readings.
        """
        messages: list[SqlRow] = []
        readings: list[SqlRow] = []
        summaries: list[SqlRow] = []
        back: list[SqlRow] = []
        adopted: list[SqlRow] = []
        faults: list[SqlRow] = []
        for record, message in _read(records, read_message, "a message of readings", faults):
            if isinstance(message, Forwarded):
                self._decided(message.action, record, back, adopted)
                continue
            ref = self._ref(message.patient)
            place = (message.partition, message.offset, ref, message.chunk)
            seen = digest(record.value)
            where = "part = ? AND place = ? AND patient = ? AND chunk = ?"
            if self._books.differs("message", where, place, seen):
                faults.append(
                    _fault("two_contents", record, "a chunk of a frame's readings has two contents")
                )
            if not self._books.is_ours(message.partition, message.offset):
                continue
            messages.append((*place, seen, len(message.readings)))
            faults += self._readings(record, message, ref, (readings, summaries))
        rows = [(MESSAGE, messages), (READING, readings), (SUMMARY, summaries)]
        return [*rows, (BACK, back), (ADOPTED, adopted), (FAULT, faults)]

    def _readings(
        self,
        record: ConsumerRecord,
        message: Readings,
        ref: str,
        rows: tuple[list[SqlRow], list[SqlRow]],
    ) -> Iterable[SqlRow]:
        """Add the rows of one message, and return the faults of readings that have two frames."""
        readings, summaries = rows
        faults = []
        for reading in message.readings:
            owed = due(reading, self._knowledge)
            name = key_of(reading.id)
            key = owed.summary and key_of(owed.summary)
            if key and owed.start:
                start = int(owed.start.timestamp())
                newest = int(reading.measured_at.timestamp() * 1000)
                summaries.append((key, ref, reading.vital, start, newest, record.timestamp))
            if self._books.has_elsewhere(name, (message.partition, message.offset)):
                faults.append(_fault("two_contents", record, "a reading was taken from two frames"))
            readings.append(
                (
                    name,
                    message.partition,
                    message.offset,
                    reading.origin.index,
                    reading.origin.part,
                    owed.policy,
                    key,
                    record.partition,
                    record.offset,
                    *marks(reading, owed.policy, self._ref_key),
                )
            )
        return faults

    def _decided(
        self, action: Action, record: ConsumerRecord, back: list[SqlRow], adopted: list[SqlRow]
    ) -> None:
        """Add the readings that were taken back or given to another patient.

        No other action creates an obligation.
        """
        if action.action == "void":
            back += [(key_of(reading.id),) for reading in action.readings]
        elif action.action == "adopt":
            adopted += [
                self._adopted(reading, action.patient, record) for reading in action.readings
            ]

    def _adopted(self, reading: Reading, patient: str, record: ConsumerRecord) -> SqlRow:
        """Return the row of a reading that was given to another patient.

        It names the window of that patient into which the reading may come, and has the marks by
        which it may be the same measurement as another reading of that patient.
        """
        theirs = msgspec.structs.replace(reading, patient=patient)
        owed = due(theirs, self._knowledge)
        known = marks(theirs, owed.policy, self._ref_key)
        return (key_of(owed.summary or ""), key_of(reading.id), *known, record.timestamp // HOUR_MS)

    def _ref(self, patient: str) -> str:
        if patient not in self._refs:
            self._refs[patient] = patient_ref(patient, self._ref_key)
        return self._refs[patient]


def _frames(records: list[ConsumerRecord]) -> Statements:
    """Return a row for each frame: its place, hour and sender, if the sender is readable.

    If a frame was copied into another partition, the copy has the account. The original gets an
    empty account.
    """
    moved = [(origin, record) for record in records if (origin := origin_of(record)) is not None]
    return [
        (FRAME, [_frame(record) for record in records]),
        (ACCOUNT, [end_of_original(*each) for each in moved]),
    ]


def _frame(record: ConsumerRecord) -> SqlRow:
    """Return the row of a frame.

    A redriven frame has no sender here, because its number does not follow the order of its place.
    """
    header = glance(record.value or b"")
    seq = header.seq if type(header.seq) is int and 0 <= header.seq <= MOST_SEQ else None
    frame, gateway, named = (
        one if isinstance(one, str) else None
        for one in (header.frame, header.gateway, header.device)
    )
    device = (
        named
        if record.key is None and named is not None
        else (record.key or b"").decode(errors="replace")
    )
    gateway = NOBODY if is_redriven(record) else gateway or None
    boot = str(header.boot) if isinstance(header.boot, str | int) else None
    hour = record.timestamp // HOUR_MS
    texts = (device, frame, gateway, boot)
    return (
        record.partition,
        record.offset,
        hour,
        *map(_plain, texts),
        seq,
        _plain(device if named is None else named),
    )


def _accounts(books: Books, records: list[ConsumerRecord]) -> Statements:
    rows: list[SqlRow] = []
    faults: list[SqlRow] = []
    for record, account in _read(records, _account.decode, "an account", faults):
        seen = digest(record.value)
        if books.differs(
            "account", "part = ? AND place = ?", (account.partition, account.offset), seen
        ):
            faults.append(_fault("two_contents", record, "a frame has two accounts that differ"))
        if books.is_ours(account.partition, account.offset):
            rows.append((account.partition, account.offset, seen, record.value))
    return [(ACCOUNT, rows), (FAULT, faults)]


def _rejects(books: Books, records: list[ConsumerRecord]) -> Statements:
    """Return rows for rejects of frames, and for the readings that the judge rejected."""
    rows: list[SqlRow] = []
    back: list[SqlRow] = []
    faults: list[SqlRow] = []
    for record, reject in _read(records, _read_reject, "a reject", faults):
        if isinstance(reject, RecordId):
            back.append((key_of(reject.id),))
            continue
        place = (reject.position.partition, reject.position.offset, key_of(reject.id))
        seen = digest(record.value)
        if books.differs("reject", "part = ? AND place = ? AND id = ?", place, seen):
            faults.append(_fault("two_contents", record, "a reject has two contents"))
        rows.append((*place, reject.reason, seen, len(reject.parts) or 1))
    return [(REJECT, rows), (BACK, back), (FAULT, faults)]


def _read_reject(value: bytes) -> _RejectNote | RecordId:
    """Return a reject of a frame, or the id of the reading that the judge rejected."""
    reject = _reject.decode(value)
    return decode_id(b64decode(reject.original)) if reject.stage == "judge" else reject


def _observations(books: Books, records: list[ConsumerRecord]) -> Statements:
    """Return rows for the readings in an Observation, or for the count of a summary."""
    rows: list[SqlRow] = []
    single: list[SqlRow] = []
    faults: list[SqlRow] = []
    for record, found in _read(records, observation_facts, "an Observation", faults):
        name = key_of(found.id)
        seen = digest(record.value)
        again = found.n is None and not found.put_right
        if again and books.differs("observation", "id = ?", (name,), seen):
            faults.append(_fault("two_contents", record, "an Observation has two contents"))
        if not found.put_right or found.n is not None:
            rows.append(
                (
                    name,
                    seen,
                    found.n,
                    record.partition,
                    record.offset,
                    record.timestamp // HOUR_MS,
                )
            )
        single += [(key_of(reading),) for reading in found.readings]
    return [(OBSERVATION, rows), (SINGLE, single), (FAULT, faults)]


def _read(
    records: list[ConsumerRecord], read: Callable[[bytes], Content], name: str, faults: list[SqlRow]
) -> Iterator[tuple[ConsumerRecord, Content]]:
    """Yield each record with its content. Add an unreadable one to ``faults`` as "not ``name``"."""
    for record in records:
        try:
            content = read(record.value or b"")
        except NOT_READABLE:
            faults.append(_fault("unreadable", record, f"not {name}"))
            continue
        yield record, content


def _plain(text: str | None) -> str | None:
    """Return ``text`` for SQLite, which refuses the lone surrogates that JSON allows."""
    return None if text is None else text[:128].encode(errors="replace").decode()


def _fault(kind: str, record: ConsumerRecord, why: str) -> SqlRow:
    return kind, record.topic, record.partition, record.offset, record.timestamp // HOUR_MS, why
