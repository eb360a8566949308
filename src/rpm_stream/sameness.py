"""Find readings that are one measurement received twice.

Example: a cuff's value arrives by Bluetooth and again from its maker's app. Two readings are one
measurement if vital, number, unit and time are equal (CONTRACT 10). Two devices that report one
measurement may disagree about the second. An app keeps whole minutes, and the two ways of reading a
glucose sensor stamp at different moments. So times of two devices less than a minute apart count as
equal, if one of them is a full minute or the vital is the glucose sensor's. Values of one payload
are never the same measurement: a device that sends two beats has measured two.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from rpm_stream.ahead import as_stamped
from rpm_stream.records.readings import Reading

# vitals whose sensor is commonly read in two ways, at any second
BY_TWO_WAYS = frozenset({"glucose_interstitial"})
MINUTE = 60_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Measured(NamedTuple):
    """What distinguishes two readings of a vital.

    ``at`` is the time in microseconds since 1970. The others are checksums: ``value`` of number and
    unit, ``device`` of the device's name, ``entry`` of the frame's entry.
    """

    at: int
    value: int
    device: int
    entry: int


def measured(reading: Reading) -> Measured:
    """Return the marks of a reading that has a value."""
    assert reading.value is not None
    origin = reading.origin
    device = device_mark(reading.device)
    at = microseconds(as_stamped(reading).measured_at)
    entry = crc32(origin.frame.encode("utf-8", "surrogatepass"), device ^ origin.index)
    # Not by the constructor, which costs a tenth of a microsecond for each value of a streamed
    # vital.
    return tuple.__new__(
        Measured, (at, _value_checksum(reading.value, reading.unit), device, entry)
    )


def microseconds(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def are_one(one: Measured, other: Measured, vital: str) -> bool:
    """Return whether two readings of one patient and vital are one measurement."""
    if one.value != other.value or one.entry == other.entry:
        return False
    if one.at == other.at:
        return True
    if one.device == other.device or abs(one.at - other.at) >= MINUTE:
        return False
    return vital in BY_TWO_WAYS or not one.at % MINUTE or not other.at % MINUTE


def plain_number(value: str) -> str:
    """Return one text for each number.

    >>> plain_number("072.50"), plain_number("72.5"), plain_number("-0.0")
    ('72.5', '72.5', '0')
    """
    whole, _, fraction = value.removeprefix("-").partition(".")
    whole = whole.lstrip("0") or "0"
    fraction = fraction.rstrip("0")
    number = f"{whole}.{fraction}" if fraction else whole
    return f"-{number}" if value.startswith("-") and number != "0" else number


@lru_cache(maxsize=4096)
def _value_checksum(value: str, unit: str) -> int:
    return crc32(f"{plain_number(value)} {unit}".encode(errors="surrogatepass"))


@lru_cache(maxsize=4096)
def device_mark(device: str) -> int:
    """The checksum of a device's id."""
    return crc32(device.encode(errors="surrogatepass"))


class Measurements:
    """The distinct measurements of a collection of readings.

    Each measurement has its first reading and the other readings that report it.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, int], list[list[Measured]]] = {}

    def add(self, reading: Reading) -> bool:
        """Add a reading that has a value, and return whether it is the first of its measurement."""
        one = measured(reading)
        known = self._known.setdefault((reading.patient, reading.vital, one.value), [])
        found = closest(one, ((each[0], each[1:]) for each in known), reading.vital)
        if found is None:
            known.append([one])
            return True
        next(each for each in known if each[0] == found).append(one)
        return False


def closest(
    one: Measured, known: Iterable[tuple[Measured, Iterable[Measured]]], vital: str
) -> Measured | None:
    """Return the first reading of the measurement that ``one`` belongs to, or None.

    Of several measurements it is the nearest in time. ``one`` must match all readings of the
    measurement. Otherwise a second value of a device would count as the copy of a copy.
    """
    found = [
        first
        for first, others in known
        if are_one(first, one, vital) and all(are_one(other, one, vital) for other in others)
    ]
    return min(found, key=lambda first: (abs(first.at - one.at), first.at), default=None)
