"""The topics of a service that worked through some frames, without Kafka.

The pure steps of ingest and judge run here, and their outputs are kept as records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.kafka import names
from rpm_stream.app.operate.reconcile.collect import Collector
from rpm_stream.app.operate.reconcile.lines import Hour, Missing, ReconcileLine, ReconcileTotal
from rpm_stream.app.operate.reconcile.report import Report
from rpm_stream.app.operate.reconcile.run import READ
from rpm_stream.app.operate.reconcile.store import Store
from rpm_stream.app.runtime.clock import Clock
from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest
from rpm_stream.pipeline.judge import Judge
from rpm_stream.pipeline.order import forward
from rpm_stream.pipeline.patient_codec import unpack_patient
from rpm_stream.records import Action, Position
from support.frames import registry_of, stamp

Topics = dict[str, list[ConsumerRecord]]
Change = Callable[[dict[str, Any]], None]
LATER = datetime(2026, 3, 3, tzinfo=UTC)  # two days after what the frames of ``replaying`` hold


def record(
    topic: str, place: int, value: bytes, key: str = "", minutes: float = 0
) -> ConsumerRecord:
    at = int(datetime.fromisoformat(stamp(minutes)).timestamp() * 1000)
    return ConsumerRecord(
        topic, 0, place, at, 0, key.encode(), value, None, len(key), len(value), ()
    )


def topics_of(
    frames: Iterable[dict[str, Any] | bytes],
    entries: Iterable[dict[str, Any]],
    ticked: bool = True,
    actions: Callable[[Topics], Iterable[Action]] | None = None,
) -> Topics:
    """Return every topic of one partition after ingest and judge have worked through ``frames``.

    ``actions`` gets the topics and returns what people decided then. A tick comes last.
    """
    registry = registry_of(entries)
    ingest, judge = Ingest(shipped(), registry, recorded_time=True), Judge(shipped(), registry)
    devices: dict[str, DeviceState] = {}
    patients: dict[str, Any] = {}
    found: Topics = {topic: [] for topic in READ}

    def put(topic: str, value: bytes, minutes: float) -> None:
        found[topic].append(record(topic, len(found[topic]), value, minutes=minutes))

    for place, frame in enumerate(frames):
        value = frame if isinstance(frame, bytes) else msgspec.json.encode(frame)
        key = "d" if isinstance(frame, bytes) else frame["device"]
        minutes = 0.0
        if not isinstance(frame, bytes):
            minutes = (
                datetime.fromisoformat(frame["sent_at"]) - datetime.fromisoformat(stamp(0))
            ).total_seconds() / 60
        found[names.FRAMES].append(record(names.FRAMES, place, value, key, minutes))
        position = Position(topic=names.FRAMES, partition=0, offset=place)
        at = datetime.fromisoformat(stamp(minutes))
        message = FrameMessage(key=key, value=value, position=position, received_at=at)
        done = ingest.step(devices.setdefault(key, DeviceState()), message)
        put(names.ACCOUNTS, msgspec.json.encode(done.account), minutes)
        for reject in done.rejects:
            put(names.REJECTS, msgspec.json.encode(reject), minutes)
        for readings in done.readings:
            put(names.READINGS, msgspec.json.encode(readings), minutes)
            patient = patients.setdefault(readings.patient, unpack_patient(None, readings.patient))
            judged = judge.step(patient, readings)
            assert judged is not None
            for observation in judged.observations:
                put(names.OBSERVATIONS, observation.body, minutes)
            for reject in judged.rejects:
                put(names.REJECTS, msgspec.json.encode(reject), minutes)
    for place, action in enumerate(actions(found) if actions else ()):
        origin = Position(topic=names.ACTIONS, partition=0, offset=place)
        put(names.READINGS, forward(msgspec.json.encode(action), action.patient, origin, None), 120)
        patient = patients.setdefault(action.patient, unpack_patient(None, action.patient))
        for observation in judge.act(patient, action).observations:
            put(names.OBSERVATIONS, observation.body, 120)
    for patient in patients.values() if ticked else ():
        for observation in judge.tick(patient, LATER).observations:
            put(names.OBSERVATIONS, observation.body, 0)
    return found


def changed(one: ConsumerRecord, change: Change) -> ConsumerRecord:
    """Return the record with other content."""
    body = msgspec.json.decode(one.value)
    change(body)
    value = msgspec.json.encode(body)
    return ConsumerRecord(
        one.topic,
        one.partition,
        one.offset,
        one.timestamp,
        0,
        one.key,
        value,
        None,
        0,
        len(value),
        (),
    )


def balanced(
    folder: Path, topics: Topics, done: dict[str, int] | None = None, at: datetime = LATER
) -> tuple[list[ReconcileLine], ReconcileTotal]:
    """Return the report over these topics.

    ``done`` is what the agents have committed; without it, everything.
    """
    store = Store(folder / f"{len(list(folder.iterdir()))}.sqlite")
    try:
        take(store, topics, done)
        report = Report(store, Clock(), at)
        return list(report.lines()), report.total
    finally:
        store.close()


def take(store: Store, topics: Topics, done: dict[str, int] | None = None) -> None:
    """Note all records of ``topics`` from where the store is."""
    notes = Collector(store, shipped(), b"key")
    for topic in (names.FRAMES, names.READINGS):
        ends = [each.offset + 1 for each in topics[topic]]
        store.set_done(topic, {0: (done or {}).get(topic, max(ends, default=0))})
    for topic in READ:
        store.db.execute("INSERT OR IGNORE INTO place VALUES (?, 0, 0, 0)", (topic,))
        after = store.next_places(topic)[0]
        if batch := [each for each in topics[topic] if each.offset >= after]:
            store.write(topic, 0, batch[-1].offset + 1, notes.rows(topic, batch))


def missing(lines: Iterable[ReconcileLine]) -> list[Missing]:
    return [line for line in lines if isinstance(line, Missing)]


def hours(lines: Iterable[ReconcileLine]) -> list[Hour]:
    return [line for line in lines if isinstance(line, Hour)]
