"""Human-readable text for values and units, without ids and dates (CONTRACT 9)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

from rpm_stream.records.base import CLEAN, LimitValue
from rpm_stream.records.readings import Reading

UNIT_WORDS = {"mm[Hg]": "mmHg", "Cel": "°C", "[degF]": "°F", "[lb_av]": "lb", "/min": "a minute"}
UNIT_WORDS |= {"[in_i]": "in", "[ft_i]": "ft", "1": ""}
MOST_DECIMALS = 3  # of a converted number
MOST_SENT = 64  # characters of a name in a message
MOST_GIVEN = 50  # characters of a number in a setting
ABSENT_WORDS = {
    "positive-infinity": "above what the device can show",
    "negative-infinity": "below what the device can show",
}


_CLEAN = re.compile(CLEAN)
# An annotation of UCUM is text for readers and not part of the unit.
_ANNOTATION = re.compile(r"\{[^}]*\}")


def is_clean(name: str) -> bool:
    """Return whether a record may hold the name: no control character and no line end."""
    return _CLEAN.search(name) is not None


def cleaned(name: str) -> str:
    """Return the name with a space for each character that a record may not hold."""
    return (
        name if is_clean(name) else "".join(letter if is_clean(letter) else " " for letter in name)
    )


def as_sent(name: str) -> str:
    r"""Return a name in quotes for the text of a reject, cut and without control characters.

    >>> as_sent("Puls"), as_sent("a\nb")
    ("'Puls'", "'a b'")
    """
    kept = cleaned(name[:MOST_SENT])
    return f"'{kept}…'" if len(name) > MOST_SENT else f"'{kept}'"


def plain_unit(unit: str) -> str:
    """Return ``mmHg`` for ``mm[Hg]``, ``a minute`` for ``{beats}/min``, nothing for ``{score}``."""
    bare = _ANNOTATION.sub("", unit)
    return UNIT_WORDS.get(bare, bare)


def with_unit(value: object, unit: str) -> str:
    """Return ``88 %``, or the value alone if the unit has no word."""
    return f"{value} {plain_unit(unit)}".rstrip()


def plain_number(number: Decimal, decimals: int, beside: Decimal | None = None) -> str:
    """Return a converted number with ``decimals`` decimal places.

    It has more places, at most 3, if it would otherwise read like ``beside``.

    >>> plain_number(Decimal("13.8768"), 1), plain_number(Decimal("13.8768"), 1, Decimal("13.9"))
    ('13.9', '13.88')
    """
    shown = number.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    if shown == beside and shown != number and decimals < MOST_DECIMALS:
        return plain_number(number, decimals + 1, beside)
    return f"{shown:f}"


def plain_given(number: LimitValue) -> str:
    """Return a number from a setting, cut if it is longer than any number of this package."""
    shown = str(number)
    return shown if len(shown) <= MOST_GIVEN else f"{shown[:MOST_GIVEN]}…"


def decimals_of(value: Decimal) -> int:
    """Return how many decimal places a number is written with."""
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def plain_value(reading: Reading) -> str:
    """Return ``oxygen saturation 88 %``."""
    name = reading.vital.replace("_", " ")
    if reading.value is None:
        return f"{name} {ABSENT_WORDS.get(reading.absent or '', 'without a value')}"
    return f"{name} {with_unit(reading.value, reading.unit)}"


def plain_list(names: Iterable[str]) -> str:
    """Return ``pulse, breathing and temperature``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def plain_flags(flags: Iterable[str]) -> str:
    """Return ``poor signal, low perfusion``."""
    return ", ".join(flag.replace("_", " ") for flag in flags)


SERVICE = "rpm-stream"  # the actor of a step that no person made
DEVICE = "device"  # the family of the groups ``device:<kind>``
# families of alerts that are not about values of the patient
NOT_OF_VALUES = (DEVICE, "settings")


def is_of_values(group: str) -> bool:
    """Return whether an alert is about values of the patient.

    Only such an alert reports the current values. An alert of another family has no value that can
    return to normal, so a person ends it, also where its priority is high.
    """
    return _family(group) not in NOT_OF_VALUES


def is_of_devices(group: str) -> bool:
    """Return whether an alert is about a device."""
    return _family(group) == DEVICE


def _family(group: str) -> str:
    """Return ``device`` for ``device:battery``.

    This is the one place that parses a group's text, whose form the topics fix.
    """
    return group.partition(":")[0]
