"""What the books note of each record: one function a topic, records of one partition in, rows out.

A repeated record (after a crash or a rebalance) says the same again and changes nothing; one that
says something else under the same id is a fault. A record that cannot be read is a fault too: only
the service writes what follows frames.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias, TypeVar

import msgspec
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.kafka.frame_record import is_redriven
from rpm_stream.app.kafka.moved import origin_of
from rpm_stream.app.kafka.names import ACCOUNTS, FRAMES, OBSERVATIONS, READINGS, REJECTS
from rpm_stream.app.operate.reconcile.balance import due, told
from rpm_stream.app.operate.reconcile.elsewhere import end_of_original
from rpm_stream.app.operate.reconcile.glance import glance
from rpm_stream.app.operate.reconcile.marks import marks
from rpm_stream.app.operate.reconcile.store import NOBODY, Store, digest, key_of
from rpm_stream.knowledge import Knowledge
from rpm_stream.pipeline.order import read_message
from rpm_stream.publish.feed.rows import patient_ref
from rpm_stream.records import UNREADABLE, Account, Action, Forwarded, Position, Reading, Readings

Row: TypeAlias = tuple[Any, ...]
Statements: TypeAlias = list[tuple[str, list[Row]]]
Content = TypeVar("Content")

NOT_READABLE: tuple[type[Exception], ...] = (*UNREADABLE, ValueError)  # a reject holds Base64 too

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


class _Id(msgspec.Struct, frozen=True):
    id: str


_account = msgspec.json.Decoder(Account)
_reject = msgspec.json.Decoder(_RejectNote)
_id = msgspec.json.Decoder(_Id)


class Collector:
    """The functions by topic, with the tables and the key that they need."""

    def __init__(self, store: Store, knowledge: Knowledge, ref_key: bytes) -> None:
        self._db = store.db
        self._knowledge = knowledge
        self._ref_key = ref_key
        self._refs: dict[str, str] = {}
        # of the batch in hand: what its earlier records said
        self._unwritten: dict[tuple[str, Row], Any] = {}
        self._of: dict[str, Callable[[list[ConsumerRecord]], Statements]] = {
            FRAMES: self._frames,
            ACCOUNTS: self._accounts,
            READINGS: self._messages,
            REJECTS: self._rejects,
            OBSERVATIONS: self._observations,
        }

    def rows(self, topic: str, records: list[ConsumerRecord]) -> Statements:
        """The rows of a batch, to be written before the next batch is asked for."""
        self._unwritten.clear()
        return self._of[topic](records)

    def _frames(self, records: list[ConsumerRecord]) -> Statements:
        """Each frame with its place, hour and sender; a sender that cannot be read stays unknown.

        Where a frame was written once more into another partition, that one has the account; the
        original ends there.
        """
        moved = [
            (origin, record) for record in records if (origin := origin_of(record)) is not None
        ]
        return [
            (FRAME, [_frame(record) for record in records]),
            (ACCOUNT, [end_of_original(*each) for each in moved]),
        ]

    def _accounts(self, records: list[ConsumerRecord]) -> Statements:
        """The account of each frame."""
        rows: list[Row] = []
        faults: list[Row] = []
        for record, account in _read(records, _account.decode, "an account", faults):
            seen = digest(record.value)
            if self._differs(
                "account", "part = ? AND place = ?", (account.partition, account.offset), seen
            ):
                faults.append(
                    _fault("two_contents", record, "a frame has two accounts that differ")
                )
            if self._is_ours(account.partition, account.offset):
                rows.append((account.partition, account.offset, seen, record.value))
        return [(ACCOUNT, rows), (FAULT, faults)]

    def _messages(self, records: list[ConsumerRecord]) -> Statements:
        """Each message with its count, each reading with its debt; after them, what people
        decided about readings.
        """
        messages: list[Row] = []
        readings: list[Row] = []
        summaries: list[Row] = []
        back: list[Row] = []
        adopted: list[Row] = []
        faults: list[Row] = []
        for record, message in _read(records, read_message, "a message of readings", faults):
            if isinstance(message, Forwarded):
                self._decided(message.action, record, back, adopted)
                continue
            ref = self._ref(message.patient)
            place = (message.partition, message.offset, ref, message.chunk)
            seen = digest(record.value)
            where = "part = ? AND place = ? AND patient = ? AND chunk = ?"
            if self._differs("message", where, place, seen):
                faults.append(
                    _fault("two_contents", record, "a chunk of a frame's readings has two contents")
                )
            if not self._is_ours(message.partition, message.offset):
                continue
            messages.append((*place, seen, len(message.readings)))
            faults += self._readings(record, message, ref, (readings, summaries))
        rows = [(MESSAGE, messages), (READING, readings), (SUMMARY, summaries)]
        return [*rows, (BACK, back), (ADOPTED, adopted), (FAULT, faults)]

    def _readings(
        self, record: ConsumerRecord, message: Readings, ref: str, rows: tuple[list[Row], list[Row]]
    ) -> Iterable[Row]:
        """Add the rows of one message; faults of readings that stand in another frame already."""
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
            if self._elsewhere(name, (message.partition, message.offset)):
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

    def _rejects(self, records: list[ConsumerRecord]) -> Statements:
        """Rejects of frames; of the judge, the reading that it refused."""
        rows: list[Row] = []
        back: list[Row] = []
        faults: list[Row] = []
        for record, reject in _read(records, _read_reject, "a reject", faults):
            if isinstance(reject, _Id):
                back.append((key_of(reject.id),))
                continue
            place = (reject.position.partition, reject.position.offset, key_of(reject.id))
            seen = digest(record.value)
            if self._differs("reject", "part = ? AND place = ? AND id = ?", place, seen):
                faults.append(_fault("two_contents", record, "a reject has two contents"))
            rows.append((*place, reject.reason, seen, len(reject.parts) or 1))
        return [(REJECT, rows), (BACK, back), (FAULT, faults)]

    def _decided(
        self, action: Action, record: ConsumerRecord, back: list[Row], adopted: list[Row]
    ) -> None:
        """Add the readings that were taken back, or given to another patient; no other action
        owes anything here.
        """
        if action.action == "void":
            back += [(key_of(reading.id),) for reading in action.readings]
        elif action.action == "adopt":
            adopted += [
                self._adopted(reading, action.patient, record) for reading in action.readings
            ]

    def _adopted(self, reading: Reading, patient: str, record: ConsumerRecord) -> Row:
        """The window of another patient into which a reading may come, and what of theirs it may
        be the same as.
        """
        theirs = msgspec.structs.replace(reading, patient=patient)
        owed = due(theirs, self._knowledge)
        known = marks(theirs, owed.policy, self._ref_key)
        return (key_of(owed.summary or ""), key_of(reading.id), *known, record.timestamp // HOUR_MS)

    def _observations(self, records: list[ConsumerRecord]) -> Statements:
        """The readings that an Observation holds, or the count of a summary."""
        rows: list[Row] = []
        single: list[Row] = []
        faults: list[Row] = []
        for record, found in _read(records, told, "an Observation", faults):
            name = key_of(found.id)
            seen = digest(record.value)
            again = found.n is None and not found.put_right
            if again and self._differs("observation", "id = ?", (name,), seen):
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

    def _ref(self, patient: str) -> str:
        if patient not in self._refs:
            self._refs[patient] = patient_ref(patient, self._ref_key)
        return self._refs[patient]

    def _differs(self, table: str, where: str, values: Row, seen: bytes) -> bool:
        """Whether a record stands in the books with another content; the first one counts."""
        before = self._unwritten.setdefault((table, values), seen)
        # ours
        found = self._db.execute(f"SELECT digest FROM {table} WHERE {where}", values).fetchone()  # noqa: S608
        return before != seen or (found is not None and found[0] != seen)

    def _elsewhere(self, name: bytes, place: tuple[int, int]) -> bool:
        """Whether a reading stands in the books for another frame."""
        before = self._unwritten.setdefault(("reading", (name,)), place)
        found = self._db.execute("SELECT part, place FROM reading WHERE id = ?", (name,)).fetchone()
        return before != place or found not in (None, place)

    def _is_ours(self, part: int, place: int) -> bool:
        """Whether a frame is in the books, or comes after what was read of rpm.frames so far."""
        found = self._db.execute(
            "SELECT 1 FROM frame WHERE part = ? AND place = ? UNION ALL "
            "SELECT 1 FROM place WHERE topic = ? AND part = ? AND next <= ?",
            (part, place, FRAMES, part, place),
        ).fetchone()
        return found is not None


def _read(
    records: list[ConsumerRecord], read: Callable[[bytes], Content], name: str, faults: list[Row]
) -> Iterator[tuple[ConsumerRecord, Content]]:
    """Each record with its content; one that cannot be read is added to ``faults`` as "not
    ``name``".
    """
    for record in records:
        try:
            content = read(record.value or b"")
        except NOT_READABLE:
            faults.append(_fault("unreadable", record, f"not {name}"))
            continue
        yield record, content


def _read_reject(value: bytes) -> _RejectNote | _Id:
    """A reject of a frame; of a reject of the judge, the id of the reading that it refused."""
    reject = _reject.decode(value)
    return _id.decode(b64decode(reject.original)) if reject.stage == "judge" else reject


def _frame(record: ConsumerRecord) -> Row:
    """One that was redriven has no sender here: its number stands in an order that its place
    does not follow.
    """
    told = glance(record.value or b"")
    seq = told.seq if type(told.seq) is int and 0 <= told.seq <= MOST_SEQ else None
    frame, gateway, said = (
        one if isinstance(one, str) else None for one in (told.frame, told.gateway, told.device)
    )
    device = (
        said
        if record.key is None and said is not None
        else (record.key or b"").decode(errors="replace")
    )
    gateway = NOBODY if is_redriven(record) else gateway or None
    boot = str(told.boot) if isinstance(told.boot, str | int) else None
    hour = record.timestamp // HOUR_MS
    texts = (device, frame, gateway, boot)
    return (
        record.partition,
        record.offset,
        hour,
        *map(_plain, texts),
        seq,
        _plain(device if said is None else said),
    )


def _plain(text: str | None) -> str | None:
    """JSON may hold half a surrogate pair, which no file takes."""
    return None if text is None else text[:128].encode(errors="replace").decode()


def _fault(kind: str, record: ConsumerRecord, why: str) -> Row:
    return kind, record.topic, record.partition, record.offset, record.timestamp // HOUR_MS, why
