"""Faults inside a frame: octets cut short, a device's clock off, a unit mixed up. Pure; a frame
without a place for the fault stays as it is.

``LAYOUTS`` says where a payload has its unit and its time. A bit that flips on the air is not
simulated: Bluetooth's own checksum drops it.
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

DATE_TIME = 7  # octets: year (two), month, day, hours, minutes, seconds
SMALLEST = 2  # decimals that a number in another unit keeps, as the screens of devices do


class PayloadLayout(NamedTuple):
    """Bits of the flags (octet 0) for the unit and for a time, and where the time begins; a
    ``time_bit`` of None with a place: always there. Source: GATT Specification Supplement.
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
Measured: TypeAlias = Callable[[Measurement], Measurement]


def corrupted(frame: Frame, chance: random.Random) -> Frame:
    """``frame`` with one entry spoilt: a payload without its last octet (a transfer cut short),
    a unit lost.
    """
    return _one_entry(frame, chance, (_cut_short, _without_unit))


def unit_flipped(frame: Frame, chance: random.Random, knowledge: Knowledge) -> Frame:
    """``frame`` with one entry in a wrong unit: a payload's unit bit turned over, so that its
    number is read in the other unit; or an app's number converted and its unit label left (98.6 as
    Cel).
    """
    return _one_entry(frame, chance, (_unit_bit_turned, lambda said: _converted(said, knowledge)))


def clock_shifted(frame: Frame, shift: timedelta) -> Frame:
    """``frame`` from a device whose own clock is off by ``shift``: ahead where positive."""
    if not frame.notifications:
        return frame
    notifications = [_with_time_shifted(entry, shift) for entry in frame.notifications]
    return msgspec.structs.replace(frame, notifications=notifications)


def _one_entry(frame: Frame, chance: random.Random, spoil: tuple[Notified, Measured]) -> Frame:
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


def _octets(entry: Notification) -> bytearray:
    """The payload; empty where its text is no hexadecimal (a recorded fault, which stays as it
    is).
    """
    try:
        return bytearray.fromhex(entry.payload)
    except ValueError:
        return bytearray()


def _unit_bit_turned(entry: Notification) -> Notification:
    bit = _layout(entry).unit_bit
    octets = _octets(entry)
    if bit is None or not octets:
        return entry
    octets[0] ^= 1 << bit
    return msgspec.structs.replace(entry, payload=octets.hex())


def _converted(entry: Measurement, knowledge: Knowledge) -> Measurement:
    """The number in the first other unit of the vital that gives another number, under the old
    unit's label.
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
    octets = _octets(entry)
    at = layout.time_at
    if at is None or len(octets) < at + DATE_TIME:
        return entry
    if layout.time_bit is not None and not octets[0] >> layout.time_bit & 1:
        return entry
    told = octets[at : at + DATE_TIME]
    try:
        moment = datetime(int.from_bytes(told[:2], "little"), *told[2:])  # local, no zone
        octets[at : at + DATE_TIME] = date_time(moment + shift)
    except (ValueError, OverflowError):
        # a clock that was never set (year 0) is not off, it is unknown
        return entry
    return msgspec.structs.replace(entry, payload=octets.hex())
