"""Faults inside a frame: bytes cut off, a device's clock off, a wrong unit. Pure.

A frame that has no place for a fault stays unchanged. ``LAYOUTS`` defines where a payload has its
unit and its time. Bits that flip during transmission are not simulated, because Bluetooth's own
checksum drops such packets.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, TypeAlias

import msgspec

from rpm_stream.app.gateway.ble.fields import date_time
from rpm_stream.ingest.fhir.codes import PLAIN
from rpm_stream.ingest.gatt.decoders import short_form
from rpm_stream.knowledge import Knowledge
from rpm_stream.records import Frame, Measurement, Notification

DATE_TIME = 7  # bytes: year (two), month, day, hours, minutes, seconds
SMALLEST = 2  # decimals of a number that was converted into another unit, as devices show it


class PayloadLayout(NamedTuple):
    """Where a payload has its unit and its time.

    ``unit_bit`` and ``time_bit`` are bits of the flags (byte 0). ``time_at`` is the place where the
    time begins. A ``time_bit`` of None with a place means that the time is always there. Source:
    GATT Specification Supplement.
    """

    unit_bit: int | None = None
    time_bit: int | None = None
    time_at: int | None = None


LAYOUTS: dict[str, PayloadLayout] = {
    "2A18": PayloadLayout(unit_bit=2, time_at=3),
    "2A1C": PayloadLayout(unit_bit=0, time_bit=1, time_at=5),
    "2A1E": PayloadLayout(unit_bit=0, time_bit=1, time_at=5),
    "2A35": PayloadLayout(unit_bit=0, time_bit=1, time_at=7),
    "2A36": PayloadLayout(unit_bit=0, time_bit=1, time_at=7),
    "2A5E": PayloadLayout(time_bit=0, time_at=5),
    "2A9D": PayloadLayout(unit_bit=0, time_bit=1, time_at=3),
    "2AAA": PayloadLayout(time_at=0),
}
NO_LAYOUT = PayloadLayout()

Notified: TypeAlias = Callable[[Notification], Notification]
ChangeMeasurement: TypeAlias = Callable[[Measurement], Measurement]


def corrupted(frame: Frame, chance: random.Random) -> Frame:
    """Return ``frame`` with one entry damaged.

    A payload loses its last byte (a transfer cut short), and a measurement loses its unit.
    """
    return _one_entry(frame, chance, (_cut_short, _without_unit))


def unit_flipped(frame: Frame, chance: random.Random, knowledge: Knowledge) -> Frame:
    """Return ``frame`` with one entry in a wrong unit.

    In a payload the unit bit is inverted, so that its number is read in the other unit. In an app's
    measurement the number is converted and the unit stays (98.6 as Cel).
    """
    return _one_entry(
        frame, chance, (_unit_bit_turned, lambda measurement: _converted(measurement, knowledge))
    )


def clock_shifted(frame: Frame, shift: timedelta) -> Frame:
    """Return ``frame`` from a device whose own clock is off by ``shift``, ahead if positive."""
    if not frame.notifications:
        return frame
    notifications = [_with_time_shifted(entry, shift) for entry in frame.notifications]
    return msgspec.structs.replace(frame, notifications=notifications)


def _one_entry(
    frame: Frame, chance: random.Random, spoil: tuple[Notified, ChangeMeasurement]
) -> Frame:
    notified, measured = spoil
    if frame.notifications:
        place = chance.randrange(len(frame.notifications))
        notifications = list(frame.notifications)
        notifications[place] = notified(notifications[place])
        return msgspec.structs.replace(frame, notifications=notifications)
    if frame.measurements:
        place = chance.randrange(len(frame.measurements))
        measurements = list(frame.measurements)
        measurements[place] = measured(measurements[place])
        return msgspec.structs.replace(frame, measurements=measurements)
    return frame


def _cut_short(entry: Notification) -> Notification:
    return msgspec.structs.replace(entry, payload=entry.payload[:-2])


def _without_unit(entry: Measurement) -> Measurement:
    return msgspec.structs.replace(entry, unit="")


def _layout(entry: Notification) -> PayloadLayout:
    return LAYOUTS.get(short_form(entry.characteristic) or "", NO_LAYOUT)


def _payload_bytes(entry: Notification) -> bytearray:
    """Return the payload, or nothing if its text is not hexadecimal.

    Such a text is a recorded fault, which stays unchanged.
    """
    try:
        return bytearray.fromhex(entry.payload)
    except ValueError:
        return bytearray()


def _unit_bit_turned(entry: Notification) -> Notification:
    bit = _layout(entry).unit_bit
    data = _payload_bytes(entry)
    if bit is None or not data:
        return entry
    data[0] ^= 1 << bit
    return msgspec.structs.replace(entry, payload=data.hex())


def _converted(entry: Measurement, knowledge: Knowledge) -> Measurement:
    """Return the number in another unit of the vital, but with the old unit.

    It is the first unit in which the number differs.
    """
    vital = knowledge.vitals.get(entry.vital)
    if (
        vital is None
        or entry.unit not in vital.units
        or entry.value is None
        or not PLAIN.fullmatch(entry.value)
    ):
        return entry
    value = Decimal(entry.value)
    for unit in vital.units:
        number = knowledge.convert(value, entry.unit, unit)
        if number != value:
            return msgspec.structs.replace(entry, value=f"{number:.{SMALLEST}f}")
    return entry


def _with_time_shifted(entry: Notification, shift: timedelta) -> Notification:
    layout = _layout(entry)
    data = _payload_bytes(entry)
    at = layout.time_at
    if at is None or len(data) < at + DATE_TIME:
        return entry
    if layout.time_bit is not None and not data[0] >> layout.time_bit & 1:
        return entry
    stamp = data[at : at + DATE_TIME]
    try:
        moment = datetime(int.from_bytes(stamp[:2], "little"), *stamp[2:])  # local, without a zone
        data[at : at + DATE_TIME] = date_time(moment + shift)
    except (ValueError, OverflowError):
        # A clock that was never set (year 0) is not off. Its time is unknown.
        return entry
    return msgspec.structs.replace(entry, payload=data.hex())
