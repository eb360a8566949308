"""The pure pipeline in this process: the stages' work without Kafka and without a changelog."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from rig.load import Load, registry_of
from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest
from rpm_stream.pipeline.judge import Judge, Patient, PatientState
from rpm_stream.records import Position, Readings

_encode = msgspec.json.Encoder().encode


def run_pure(load: Load, frames: Sequence[tuple[bytes, bytes]]) -> tuple[float, int]:
    """Return the CPU seconds for all ``frames``, and the number of bytes of output.

    Every output is encoded, as the stages do.
    """
    knowledge = shipped()
    registry = Registry(registry_of(load))
    ingest = Ingest(knowledge, registry, recorded_time=True)
    judge = Judge(knowledge, registry)
    devices: dict[bytes, DeviceState] = defaultdict(DeviceState)
    patients: dict[str, Patient] = {}
    readings = msgspec.json.Decoder(Readings)
    octets = 0
    start = time.process_time()
    for offset, (key, value) in enumerate(frames):
        position = Position(topic="rpm.frames", partition=0, offset=offset)
        message = FrameMessage(
            key=key.decode(), value=value, position=position, received_at=load.start
        )
        done = ingest.step(devices[key], message)
        octets += sum(len(_encode(each)) for each in (*done.rejects, done.account))
        for made in done.readings:
            between = _encode(made)
            if made.patient not in patients:
                patients[made.patient] = Patient(PatientState(patient=made.patient))
            judged = judge.step(patients[made.patient], readings.decode(between))
            if judged is None:
                raise RuntimeError("a message was taken for one that was applied before")
            octets += len(between) + sum(
                len(_encode(each)) for each in (*judged.scores, *judged.alerts)
            )
            octets += sum(len(each.body) for each in judged.observations)
    return time.process_time() - start, octets
