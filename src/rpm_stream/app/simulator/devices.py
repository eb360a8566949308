"""The payloads of each simulated device at one moment of a story. Pure.

To add a device, add a kind in ``stories``, a function here that yields the entries of each of its
uplinks, and its line in ``KINDS``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, TypeAlias

from rpm_stream.app.simulator.encode import gatt as gatt
from rpm_stream.app.simulator.stories import (
    Story,
    StoryDevice,
    StoryDeviceKind,
    StoryName,
    VitalCourse,
)
from rpm_stream.records import Measurement, Notification, Record

PER_FRAME = 30  # seconds of a strap in one uplink
WARMEST_HOUR = 16  # local hour at which the daily wave is highest
MEASURED = 0x0100  # PLX measurement status bit 8: fully qualified data
EAR = 3
FIRST_USER = 1
SAMPLE_MINUTES = 5  # between two samples of a glucose sensor
SAMPLES = 3  # of a glucose sensor in one uplink
QUARTER = timedelta(minutes=15)  # unit of the time zone in 2AAA


class SimulatedPatient(Record, frozen=True, kw_only=True):
    """A person with a story, and the hour of it at which the simulation begins.

    The names of the devices begin with ``patient``.
    """

    patient: str
    story: StoryName
    display: str
    born: str | None = None
    enter_hour: float = 0.0
    hours: float | None = None  # None: to the end of the story


class Scene:
    """One patient's story in time: gives a vital at a moment, with one stream of random numbers."""

    def __init__(
        self, story: Story, patient: SimulatedPatient, start: datetime, chance: random.Random
    ) -> None:
        self.chance = chance
        self._courses = story.courses
        self.began = start - timedelta(hours=patient.enter_hour)  # hour 0 of the story
        sign = -1 if story.utc_offset.startswith("-") else 1
        hours, minutes = (
            (0, 0) if story.utc_offset == "Z" else map(int, story.utc_offset[1:].split(":"))
        )
        self._zone = timezone(sign * timedelta(hours=hours, minutes=minutes))
        # The patient's own level. It is the same for all devices, so it depends on the patient's
        # name alone.
        self._own = {
            vital: random.Random(f"{patient.patient}/{vital}").gauss(0, course.spread)
            for vital, course in story.courses.items()
        }

    def local(self, at: datetime) -> datetime:
        """Return the time on the device's own clock."""
        return at.astimezone(self._zone)

    def number(self, vital: str, at: datetime) -> float:
        """Return the vital at a moment, with noise, within the course's bounds."""
        course = self._courses[vital]
        hour = (at - self.began) / timedelta(hours=1)
        local = self.local(at)
        turn = (local.hour + local.minute / 60 - WARMEST_HOUR) / 24 * 2 * math.pi
        level = _between(course, hour) + course.swing * math.cos(turn) + self._own[vital]
        return min(max(level + self.chance.gauss(0, course.noise), course.low), course.high)

    def text(self, vital: str, at: datetime) -> str:
        """Return the vital as the device shows it, on its grid and with its number of decimals."""
        course = self._courses[vital]
        number = self.number(vital, at)
        if course.step is not None:
            number = round(number / course.step) * course.step
        return f"{number:.{course.digits}f}"


def _between(course: VitalCourse, hour: float) -> float:
    """Return the value on the line between the anchors around ``hour``.

    Before the first anchor and after the last one the line is flat.
    """
    before = course.anchors[0]
    for anchor in course.anchors:
        if hour < anchor[0]:
            if anchor[0] == before[0]:
                return anchor[1]
            share = (hour - before[0]) / (anchor[0] - before[0])
            return before[1] + max(0.0, share) * (anchor[1] - before[1])
        before = anchor
    return before[1]


# --- the devices ----------------------------------------------------------------------------------


def _notified(at: datetime, characteristic: str, payload: bytes) -> list[Notification]:
    return [Notification(at=at, characteristic=characteristic, payload=payload.hex())]


def _oximeter(scene: Scene, _: StoryDevice, at: datetime) -> Iterator[list[Any]]:
    measured = gatt.Spot(
        oxygen_saturation=scene.text("oxygen_saturation", at),
        pulse_rate=scene.text("heart_rate", at),
        time=scene.local(at),
        measurement_status=MEASURED,
        perfusion_index=scene.text("perfusion_index", at),
    )
    yield _notified(at, "2A5E", gatt.spot(measured))


def _strap(scene: Scene, device: StoryDevice, at: datetime) -> Iterator[list[Any]]:
    """Yield 1 Hz values with the beats of each second as RR intervals, 30 seconds an uplink."""
    level = scene.number("heart_rate", at)
    beat = 0.0
    notifications: list[Notification] = []
    for second in range(device.seconds):
        rate = max(30, min(250, round(level + scene.chance.gauss(0, 0.8))))
        rr = []
        while beat < second + 1:
            interval = 60 / rate * scene.chance.gauss(1, 0.03)
            beat += interval
            rr.append(round(interval * 1024))
        payload = gatt.heart_rate(gatt.HeartRate(rate=rate, contact=True, rr=tuple(rr)))
        notifications += _notified(at + timedelta(seconds=second), "2A37", payload)
        if len(notifications) == PER_FRAME or second == device.seconds - 1:
            yield notifications
            notifications = []


def _breathing(scene: Scene, _: StoryDevice, at: datetime) -> Iterator[list[Any]]:
    rate = scene.text("respiratory_rate", at)
    yield [Measurement(at=at, vital="respiratory_rate", value=rate, unit="/min")]


def _cuff(scene: Scene, _: StoryDevice, at: datetime) -> Iterator[list[Any]]:
    systolic = round(scene.number("systolic", at))
    diastolic = round(scene.number("diastolic", at))
    measured = gatt.BloodPressure(
        systolic=str(systolic),
        diastolic=str(diastolic),
        mean_arterial=str(round((systolic + 2 * diastolic) / 3)),  # the estimate that cuffs use
        time=scene.local(at),
        pulse_rate=scene.text("heart_rate", at),
        user=FIRST_USER,
        status=0,
    )
    yield _notified(at, "2A35", gatt.blood_pressure(measured))


def _thermometer(scene: Scene, _: StoryDevice, at: datetime) -> Iterator[list[Any]]:
    measured = gatt.Temperature(
        value=scene.text("body_temperature", at), time=scene.local(at), site=EAR
    )
    yield _notified(at, "2A1C", gatt.temperature(measured))


def _scale(scene: Scene, _: StoryDevice, at: datetime) -> Iterator[list[Any]]:
    measured = gatt.Weight(value=scene.text("weight", at), time=scene.local(at), user=FIRST_USER)
    yield _notified(at, "2A9D", gatt.weight(measured))


def _meter(scene: Scene, _: StoryDevice, at: datetime) -> Iterator[list[Any]]:
    minute = int((at - scene.began) / timedelta(minutes=1))  # grows like a sequence number
    measured = gatt.Glucose(
        sequence=minute % 65536, base_time=scene.local(at), value=scene.text("glucose", at)
    )
    yield _notified(at, "2A18", gatt.glucose(measured))


def _glucose_sensor(scene: Scene, _: StoryDevice, at: datetime) -> Iterator[list[Any]]:
    """Yield one uplink: the start of the session, then the samples since the last uplink.

    The session starts at hour 0 of the story. The phone reads it when it connects.
    """
    began = scene.local(scene.began)
    zone = (began.utcoffset() or timedelta(0)) // QUARTER
    newest = int((at - scene.began) / timedelta(minutes=1))
    offsets = range(newest - SAMPLE_MINUTES * (SAMPLES - 1), newest + 1, SAMPLE_MINUTES)
    times = [scene.began + timedelta(minutes=offset) for offset in offsets]
    notifications = _notified(
        times[0], "2AAA", gatt.session_start(gatt.SessionStart(time=began, zone_quarters=zone))
    )
    for offset, sampled in zip(offsets, times, strict=True):
        measured = gatt.CgmRecord(
            glucose=scene.text("glucose_interstitial", sampled), offset_minutes=offset
        )
        notifications += _notified(sampled, "2AA7", gatt.cgm((measured,)))
    yield notifications


def _battery(scene: Scene, _: StoryDevice, at: datetime) -> Iterator[list[Any]]:
    yield _notified(at, "2A19", gatt.battery(round(scene.number("battery", at))))


Measure: TypeAlias = Callable[[Scene, StoryDevice, datetime], Iterator[list[Any]]]
KINDS: dict[StoryDeviceKind, Measure] = {
    "oximeter": _oximeter,
    "strap": _strap,
    "breathing": _breathing,
    "cuff": _cuff,
    "thermometer": _thermometer,
    "scale": _scale,
    "meter": _meter,
    "glucose_sensor": _glucose_sensor,
    "battery": _battery,
}
