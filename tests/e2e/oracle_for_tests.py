"""The pure pipeline over the order of record: what the service must have written (CONTRACT 4 a)."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiokafka.structs import ConsumerRecord

from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest
from rpm_stream.pipeline.judge import Judge
from rpm_stream.pipeline.state import unpack_patient
from rpm_stream.records import Position, Readings
from rpm_stream.registry import Registry

encode = msgspec.json.encode


def ingested(frames: list[ConsumerRecord], registry: Registry, recorded: bool) -> dict[str, dict[Any, bytes]]:
    """Messages of readings, rejects and accounts by identity, from rpm.frames in the order of its partitions."""
    ingest, states = Ingest(shipped(), registry, recorded_time=recorded), defaultdict[bytes, DeviceState](DeviceState)
    found: dict[str, dict[Any, bytes]] = {"readings": {}, "rejects": {}, "accounts": {}}
    for record in frames:
        done = ingest.step(
            states[record.key],
            FrameMessage(
                key=record.key.decode(),
                value=record.value,
                received_at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
                position=Position(topic=record.topic, partition=record.partition, offset=record.offset),
            ),
        )
        for message in done.readings:
            found["readings"][message.partition, message.offset, message.chunk, message.patient] = encode(message)
        for reject in done.rejects:
            found["rejects"][reject.id] = encode(reject)
        found["accounts"][done.account.partition, done.account.offset] = encode(done.account)
    return found


def judged(readings: list[ConsumerRecord], registry: Registry) -> dict[str, dict[Any, bytes]]:
    """Last alerts, scores and Observations by id, from rpm.readings in the order of its partitions."""
    judge, patients = Judge(shipped(), registry), {}
    found: dict[str, dict[Any, bytes]] = {"alerts": {}, "scores": {}, "observations": {}}
    for record in readings:
        message = msgspec.json.decode(record.value, type=Readings)
        if message.patient not in patients:
            patients[message.patient] = unpack_patient(None, message.patient)
        if (done := judge.step(patients[message.patient], message)) is None:
            continue
        found["alerts"].update((alert.id, encode(alert)) for alert in done.alerts)
        found["scores"].update((score.id, encode(score)) for score in done.scores)
        found["observations"].update((each.id, each.body) for each in done.observations)
    for patient in patients.values():
        found["observations"].update((each.id, each.body) for each in judge.close(patient).observations)
    return found
