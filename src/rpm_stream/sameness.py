"""When two readings are one measurement that came twice: a cuff's value by Bluetooth, and the same
by its maker's app.

Equal are vital, number, unit and time (CONTRACT 10). Two devices that tell of one measurement may
disagree about the second: an app keeps whole minutes, and a glucose sensor's two ways stamp at
different moments. There less than a minute apart is one, where one time stands on a full minute or
the vital is the sensor's. The values of one payload are never the same: a device that sends two
beats has measured two.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from rpm_stream.ahead import as_stamped
from rpm_stream.records import Reading

# vitals whose sensor is commonly read by two ways, at any second
BY_TWO_WAYS = frozenset({"glucose_interstitial"})
DEVICE_TIME = "device_time"  # attribute: what a device's clock showed, where that did not count
MINUTE = 60_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Measured(NamedTuple):
    """What tells one reading of a vital from another: when (microseconds since 1970), and checksums
    of number and unit, device, and entry.
    """

    at: int
    said: int
    device: int
    entry: int


def measured(reading: Reading) -> Measured:
    """The marks of a reading that has a value."""
    assert reading.value is not None
    origin = reading.origin
    device = device_mark(reading.device)
    at = microseconds(as_stamped(reading).measured_at)
    entry = crc32(origin.frame.encode("utf-8", "surrogatepass"), device ^ origin.index)
    # past its constructor, that costs a tenth of a microsecond: for each value of a vital that
    # streams
    return tuple.__new__(Measured, (at, _said(reading.value, reading.unit), device, entry))


def microseconds(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def are_one(one: Measured, other: Measured, vital: str) -> bool:
    """Whether two readings of one patient and vital are one measurement."""
    if one.said != other.said or one.entry == other.entry:
        return False
    if one.at == other.at:
        return True
    if one.device == other.device or abs(one.at - other.at) >= MINUTE:
        return False
    return vital in BY_TWO_WAYS or not one.at % MINUTE or not other.at % MINUTE


def ignored_time(reading: Reading) -> str | None:
    """What the device's clock showed, where that does not count.

    Two readings of one such time are no row.
    """
    if "device_time_ignored" not in reading.flags:
        return None
    shown = reading.attributes.get(DEVICE_TIME)
    return shown if isinstance(shown, str) else None


def plain_number(value: str) -> str:
    """One text for each number.

    >>> plain_number("072.50"), plain_number("72.5"), plain_number("-0.0")
    ('72.5', '72.5', '0')
    """
    whole, _, fraction = value.removeprefix("-").partition(".")
    whole = whole.lstrip("0") or "0"
    fraction = fraction.rstrip("0")
    number = f"{whole}.{fraction}" if fraction else whole
    return f"-{number}" if value.startswith("-") and number != "0" else number


@lru_cache(maxsize=4096)
def _said(value: str, unit: str) -> int:
    return crc32(f"{plain_number(value)} {unit}".encode(errors="surrogatepass"))


@lru_cache(maxsize=4096)
def device_mark(device: str) -> int:
    """The checksum of a device's id."""
    return crc32(device.encode(errors="surrogatepass"))


class Measurements:
    """Measurements of readings at hand, however many: the first reading of each, and what else
    told of it.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, int], list[list[Measured]]] = {}

    def add(self, reading: Reading) -> bool:
        """Enter a reading that has a value; whether it is the first of its measurement."""
        one = measured(reading)
        known = self._known.setdefault((reading.patient, reading.vital, one.said), [])
        found = closest(one, ((each[0], each[1:]) for each in known), reading.vital)
        if found is None:
            known.append([one])
            return True
        next(each for each in known if each[0] == found).append(one)
        return False


def closest(
    one: Measured, known: Iterable[tuple[Measured, Iterable[Measured]]], vital: str
) -> Measured | None:
    """The first reading of the measurement that ``one`` tells of too: of several the nearest in
    time. It must be one with all that told of it, so that no second value of a device is taken for
    the copy of a copy.
    """
    found = [
        first
        for first, others in known
        if are_one(first, one, vital) and all(are_one(other, one, vital) for other in others)
    ]
    return min(found, key=lambda first: (abs(first.at - one.at), first.at), default=None)
