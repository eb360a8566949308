"""Compares a replay with the topics: the last record of each id (CONTRACT 4 a), kept in a file.

What depends on wall time alone is left out, because it depends on when something was looked at.
This covers escalations, the end of a snooze, a stale mark, a window that is still open, and a
silence that was over before it was noticed.

All else in the history of an alert is compared. Decisions of people have their place in the order
of record, and the end of an assignment has its time in the registry. A record that was corrected by
``publish`` differs only in its status, and counts as equal.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from aiokafka.errors import KafkaError

from rpm_stream.app.kafka.clients import producer
from rpm_stream.app.kafka.names import ALERTS, OBSERVATIONS, READINGS, REJECTS, SCORES
from rpm_stream.app.kafka.range_reader import ReportProgress, Spans, reaching, records, window
from rpm_stream.app.operate.reconcile.balance import IN_ERROR
from rpm_stream.app.operate.record_id import decode_id
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.private import private_database
from rpm_stream.pipeline.replay import LineType, ReplayLine
from rpm_stream.pipeline.silence import GROUP as SILENCE
from rpm_stream.publish.old_life import typed
from rpm_stream.records import UNREADABLE, Event, Record, Transition

TOPIC_OF: Final[dict[LineType, str]] = {
    "reading": READINGS,
    "score": SCORES,
    "alert": ALERTS,
    "observation": OBSERVATIONS,
    "reject": REJECTS,
}
EDGE = timedelta(minutes=1)  # records that follow from a record come a little later
TIME_DRIVEN = ("stale", "updated_at", "historical", "escalation")
TIME_EVENTS = frozenset({"escalated", "snooze_ended"})
# events of a silence about which no person has decided
UNNOTICED = frozenset({"opened", "joined", "recovered", "ended"})
CORRECTED = "corrected"  # FHIR: modified after it was final, because it was wrong

What = Literal["only_replayed", "only_on_topic", "different"]


class Difference(Record, frozen=True, kw_only=True, tag_field="type", tag="difference"):
    """An id that differs. ``fields`` names the parts that differ, never their content."""

    kind: LineType
    id: str
    what: What
    fields: tuple[str, ...] = ()


class _Readings(msgspec.Struct, frozen=True):
    readings: tuple[msgspec.Raw, ...]


_readings = msgspec.json.Decoder(_Readings)
_object = msgspec.json.Decoder(dict[str, Any])
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Comparison:
    """The records of both sides by id, in a scratch file at ``path``."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(private_database(path), isolation_level=None)
        self._db.execute("PRAGMA synchronous=OFF")  # a scratch file
        self._db.execute(
            "CREATE TABLE record (kind TEXT, id TEXT, replayed BLOB, found BLOB, found_at INT NOT"
            " NULL DEFAULT 0, later INT NOT NULL DEFAULT 0, PRIMARY KEY (kind, id)) WITHOUT ROWID"
        )
        self._db.execute("BEGIN")
        self._known: Spans = {}

    async def begin(self, bootstrap: str, until: datetime | None) -> None:
        """Note, before the replay, which Observations it can know of.

        Observations that are written later may be based on more readings.
        """
        async with reaching(bootstrap, (OBSERVATIONS,)) as broker:
            self._known = await window(broker, OBSERVATIONS, None, until)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def replayed(self, line: ReplayLine) -> None:
        """Note a line of the replay. The last line of an id counts."""
        body = bytes(line.record)
        self._db.execute(
            "INSERT INTO record (kind, id, replayed) VALUES (?, ?, ?) "
            "ON CONFLICT (kind, id) DO UPDATE SET replayed = excluded.replayed",
            (line.type, decode_id(body).id, body),
        )

    async def read(
        self,
        bootstrap: str,
        kind: LineType,
        bounds: tuple[datetime | None, datetime | None],
        progress: ReportProgress,
    ) -> None:
        """Note the records on the topic of ``kind``.

        Records at the edges of the window count only if they were replayed too.
        """
        since, until = bounds
        inner = (since and (since + EDGE).timestamp() * 1000, until and until.timestamp() * 1000)
        async with reaching(bootstrap, (TOPIC_OF[kind],)) as broker:
            spans = await window(broker, TOPIC_OF[kind], since, until and until + EDGE)
            async for batch in records(broker, spans, progress):
                for record in batch:
                    inside = (inner[0] or 0) <= record.timestamp < (inner[1] or float("inf"))
                    for body in _bodies(kind, record.value or b""):
                        self._found(kind, body, inside, record.timestamp)
            if kind == "observation":
                ends = await window(broker, OBSERVATIONS, None, None)
                after = {tp: (known[1], ends[tp][1]) for tp, known in self._known.items()}
                async for batch in records(broker, after, progress):
                    for record in batch:
                        for body in _bodies(kind, record.value or b""):
                            self._later(body)

    def _later(self, body: bytes) -> None:
        self._db.execute(
            "UPDATE record SET later = 1 WHERE kind = 'observation' AND id = ?",
            (decode_id(body).id,),
        )

    def _found(self, kind: LineType, body: bytes, inside: bool, at: int = 0) -> None:
        """Note a record of the topic.

        ``at`` is its time on the broker. It decides which record is the last one, because after a
        growth the records of an id lie in two partitions.
        """
        name = decode_id(body).id
        sql = (
            "UPDATE record SET found = ?, found_at = ? WHERE kind = ? AND id = ? AND found_at <= ?"
        )
        if not self._db.execute(sql, (body, at, kind, name, at)).rowcount and inside:
            sql = "INSERT OR IGNORE INTO record (kind, id, found, found_at) VALUES (?, ?, ?, ?)"
            self._db.execute(sql, (kind, name, body, at))

    def differences(self) -> Iterator[Difference]:
        """Yield every id that differs, by kind and id."""
        for kind, name, replayed, found in self._rows():
            if replayed is None:
                yield Difference(kind=kind, id=name, what="only_on_topic")
            elif found is None:
                if not _may_be_replayed_alone(kind, replayed):
                    yield Difference(kind=kind, id=name, what="only_replayed")
            elif fields := _fields(kind, replayed, found):
                yield Difference(kind=kind, id=name, what="different", fields=fields)

    def corrections(self) -> Iterator[tuple[str, bytes]]:
        """Yield patient and body of each Observation that is missing on the topic or wrong there.

        It leaves out an Observation that was written again after the replay began: a summary would
        lose what came in the meantime. It also leaves out one that a person took back, because
        another person's value would return to the record.
        """
        later = {name for (name,) in self._db.execute("SELECT id FROM record WHERE later")}
        for kind, name, replayed, found in self._rows():
            if kind != "observation" or replayed is None or name in later:
                continue
            if found is None:
                if not _is_summary(replayed):
                    yield _patient(replayed), replayed
            elif _object.decode(found).get("status") != IN_ERROR and _fields(kind, replayed, found):
                yield _patient(replayed), _corrected(replayed)

    def _rows(self) -> Iterator[tuple[LineType, str, bytes | None, bytes | None]]:
        yield from self._db.execute(
            "SELECT kind, id, replayed, found FROM record WHERE replayed IS NOT found ORDER BY"
            " kind, id"
        )


async def publish(bootstrap: str, corrections: Iterator[tuple[str, bytes]]) -> int:
    """Write corrected Observations under their ids to rpm.observations, and return how many.

    It writes nothing else. Raises ``UsageError``.
    """
    sent = 0
    try:
        async with producer(bootstrap) as writer:
            for patient, body in corrections:
                await writer.send_and_wait(OBSERVATIONS, body, key=patient.encode())
                sent += 1
    except (KafkaError, OSError) as error:
        raise UsageError(
            f"Kafka at {bootstrap} stopped answering ({type(error).__name__}) after {sent}"
            " Observations: run it again"
        ) from None
    return sent


def _bodies(kind: LineType, value: bytes) -> tuple[bytes, ...]:
    """Return the records of a message, none for a message that is not one of the service's."""
    try:
        if kind == "reading":
            return tuple(bytes(reading) for reading in _readings.decode(value).readings)
        decode_id(value)
    except UNREADABLE:
        return ()
    return (value,)


def _fields(kind: LineType, replayed: bytes, found: bytes) -> tuple[str, ...]:
    """Return the names of the parts that differ, without what depends on wall time."""
    ours, theirs = (_plain(kind, body) for body in (replayed, found))
    if kind == "observation" and theirs.get("status") == CORRECTED:
        ours = {**ours, "status": CORRECTED}
    return tuple(sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)))


def _plain(kind: LineType, body: bytes) -> dict[str, Any]:
    record = _object.decode(body)
    if kind == "alert":
        events, refused = _events(record["history"])
        history = [
            {**step, **refused[place]}
            for place, step in enumerate(record["history"])
            if events[place] not in TIME_EVENTS
        ]
        kept = {name: part for name, part in record.items() if name not in TIME_DRIVEN}
        return {**kept, "history": history, "state": history[-1]["state"] if history else None}
    return record


def _events(history: list[dict[str, Any]]) -> tuple[list[Event | None], list[dict[str, Any]]]:
    """Return the event of each step, and for each refusal its ``asked`` and ``cause``.

    Steps that an older release wrote are converted first.
    """
    steps = typed(msgspec.convert(history, tuple[Transition, ...]))
    refused = [
        {"asked": step.asked, "cause": step.cause} if step.event == "refused" else {}
        for step in steps
    ]
    return [step.event for step in steps], refused


def _may_be_replayed_alone(kind: LineType, body: bytes) -> bool:
    """Whether the record may be missing on its topic.

    That holds for a window that is still open and for a silence that was not noticed.
    """
    if kind == "alert":
        record = _object.decode(body)
        events = {step.get("event") for step in record["history"]}
        return record["group"] == SILENCE and record["state"] == "resolved" and events <= UNNOTICED
    return kind == "observation" and _is_summary(body)


def _is_summary(body: bytes) -> bool:
    return any("valueInteger" in part for part in _object.decode(body).get("component", ()))


def _corrected(body: bytes) -> bytes:
    """Return the body with the status "corrected". Its numbers keep their digits."""
    parts = _raw.decode(body)
    if bytes(parts["status"]) == b'"final"':
        parts["status"] = msgspec.Raw(msgspec.json.encode(CORRECTED))
    return msgspec.json.encode(parts)


def _patient(body: bytes) -> str:
    """Return this service's own name of an Observation's subject, which is the key of its topic."""
    subject = _object.decode(body)["subject"]
    own = subject.get("identifier", {}).get("value")
    return str(own or subject["reference"].removeprefix("Patient/"))
