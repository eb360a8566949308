"""Simulated people at home: a story becomes the frames that their devices would have sent.

The payloads are real GATT bytes. This module is pure: the same story, patient, start and seed give
the same frames. Each frame has ``received_at``. A service that runs on recorded time therefore sees
the story's own time, however fast it is played.
"""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from rpm_stream.app.gateway.wire import RegistryEntry, frame_id
from rpm_stream.app.simulator.devices import KINDS, Scene, SimulatedPatient
from rpm_stream.app.simulator.stories import (
    Bed,
    Story,
    StoryDevice,
    StoryDeviceKind,
    StoryName,
    load,
    load_ward,
)
from rpm_stream.records import Assignment, DeviceEntry, Frame, Measurement, PatientEntry

MODELS: dict[StoryDeviceKind, str] = {
    "oximeter": "sim-oximeter",
    "strap": "sim-strap",
    "breathing": "sim-app",
    "cuff": "sim-cuff",
    "thermometer": "sim-thermometer",
    "scale": "sim-scale",
    "meter": "sim-meter",
    "glucose_sensor": "sim-glucose-sensor",
    "battery": "sim-strap",
}


class _Uplink(NamedTuple):
    """The entries that one device gives to the gateway at one time."""

    received_at: datetime
    device: str
    sent_at: datetime
    entries: dict[str, Any]


def frames(story: Story, patient: SimulatedPatient, start: datetime, seed: int) -> Iterator[Frame]:
    """Yield one patient's frames by ``received_at``, from ``start`` to the end of the story."""
    start = start.astimezone(UTC).replace(microsecond=0)
    gateway = f"{patient.patient}.hub"
    boot = int(start.timestamp())
    counters: dict[str, int] = defaultdict(int)
    streams = [
        _uplinks(story, patient, start, random.Random(f"{seed}/{patient.patient}/{index}"), device)
        for index, device in enumerate(story.devices)
    ]
    for uplink in heapq.merge(*streams, key=lambda uplink: (uplink.received_at, uplink.device)):
        seq = counters[uplink.device]
        counters[uplink.device] += 1
        yield Frame(
            v=1,
            frame=frame_id(gateway, uplink.device, boot, seq),
            gateway=gateway,
            device=uplink.device,
            seq=seq,
            boot=boot,
            sent_at=uplink.sent_at,
            received_at=uplink.received_at,
            utc_offset=story.utc_offset,
            **uplink.entries,
        )


def _uplinks(
    story: Story,
    patient: SimulatedPatient,
    start: datetime,
    chance: random.Random,
    device: StoryDevice,
) -> Iterator[_Uplink]:
    """Yield the uplinks of one device in the order of time."""
    scene = Scene(story, patient, start, chance)
    left = timedelta(hours=story.hours - patient.enter_hour)
    length = left if patient.hours is None else min(left, timedelta(hours=patient.hours))
    every = timedelta(minutes=device.every_minutes)
    # A random part, so that people do not all measure at the same second.
    at = start + timedelta(minutes=device.offset_minutes, seconds=chance.randrange(120))
    while at < start + length:
        for entries in KINDS[device.kind](scene, device, at):
            kind = "measurements" if isinstance(entries[0], Measurement) else "notifications"
            sent_at = entries[-1].at + timedelta(milliseconds=chance.randrange(500, 3000))
            received_at = sent_at + timedelta(milliseconds=chance.randrange(100, 900))
            yield _Uplink(received_at, _device_id(patient, device), sent_at, {kind: entries})
        at += every


def _device_id(patient: SimulatedPatient, device: StoryDevice) -> str:
    return f"{patient.patient}.{device.name}"


def registry(story: Story, patient: SimulatedPatient) -> list[RegistryEntry]:
    """Return the patient's entry, and one for each device, which this patient always wears."""
    wearer = (Assignment(patient=patient.patient),)
    models = {_device_id(patient, device): MODELS[device.kind] for device in story.devices}
    return [
        PatientEntry(
            patient=patient.patient,
            display=patient.display,
            born=patient.born,
            oxygen_scale=story.oxygen_scale,
            expected_every=dict(story.expected_every),
        ),
        *(
            DeviceEntry(device=device, model=model, assignments=wearer, utc_offset=story.utc_offset)
            for device, model in models.items()
        ),
    ]


# --- many patients --------------------------------------------------------------------------------


def ward(patients: int, hours: float | None = None) -> list[SimulatedPatient]:
    """Return ``patients`` people with mixed stories, each at another hour of the story.

    The first one gets a red alert within the first hours.
    """
    return _people(load_ward(), patients, hours)


def cohort(story: StoryName, patients: int, hours: float | None = None) -> list[SimulatedPatient]:
    """Return ``patients`` people with the same story, all from its beginning."""
    beds = [msgspec.structs.replace(bed, story=story, enter_hour=0.0) for bed in load_ward()]
    return _people(beds, patients, hours)


def _people(beds: Iterable[Bed], patients: int, hours: float | None) -> list[SimulatedPatient]:
    several = tuple(beds)
    return [
        SimulatedPatient(
            patient=f"sim-{place + 1:02}",
            story=bed.story,
            display=bed.display,
            born=bed.born,
            enter_hour=bed.enter_hour,
            hours=hours,
        )
        for place, bed in ((place, several[place % len(several)]) for place in range(patients))
    ]


def all_frames(people: Iterable[SimulatedPatient], start: datetime, seed: int) -> Iterator[Frame]:
    """Yield the frames of many patients in the order of ``received_at``."""
    streams = [frames(load(person.story), person, start, seed) for person in people]
    return heapq.merge(*streams, key=lambda frame: (frame.received_at, frame.frame))


def all_registry(people: Iterable[SimulatedPatient]) -> list[RegistryEntry]:
    """Return the registry entries of many patients."""
    return [entry for person in people for entry in registry(load(person.story), person)]
