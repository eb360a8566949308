"""How values and units are said to people. Texts hold no ids and no dates (CONTRACT 9)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

from rpm_stream.records import Direction, Reading

UNIT_WORDS = {"mm[Hg]": "mmHg", "Cel": "°C", "[degF]": "°F", "[lb_av]": "lb", "/min": "a minute"}
MOST_DECIMALS = 3  # of a number that was converted
ABSENT_WORDS = {
    "positive-infinity": "above what the device can show",
    "negative-infinity": "below what the device can show",
}


def plain_unit(unit: str) -> str:
    """``mmHg`` of ``mm[Hg]``."""
    return UNIT_WORDS.get(unit, unit)


def plain_number(number: Decimal, decimals: int, beside: Decimal | None = None) -> str:
    """A converted number with ``decimals``; with more, 3 at most, where it would read like ``beside``.

    >>> plain_number(Decimal("13.8768"), 1), plain_number(Decimal("13.8768"), 1, Decimal("13.9"))
    ('13.9', '13.88')
    """
    said = number.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    if said == beside and said != number and decimals < MOST_DECIMALS:
        return plain_number(number, decimals + 1, beside)
    return f"{said:f}"


def decimals_of(value: Decimal) -> int:
    """How many decimal places a number is written with."""
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def plain_value(reading: Reading) -> str:
    """``oxygen saturation 88 %``"""
    name = reading.vital.replace("_", " ")
    if reading.value is None:
        return f"{name} {ABSENT_WORDS.get(reading.absent or '', 'without a value')}"
    return f"{name} {reading.value} {plain_unit(reading.unit)}"


def plain_list(names: Iterable[str]) -> str:
    """``pulse, breathing and temperature``"""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def plain_flags(flags: Iterable[str]) -> str:
    """``poor signal, low perfusion``"""
    return ", ".join(flag.replace("_", " ") for flag in flags)


# --- what people decide about an alert, as its history has it: written by alert, read again by publish ---------------

SERVICE = "rpm-stream"  # who, when no person did it
_ASSIGNED = "assigned to "
_SNOOZED = re.compile(r"snoozed for ([0-9]+) minutes(?:, (low|high) values only)?(?:: |$)")


def assigned_words(to: str) -> str:
    """``assigned to dr-7``; a colon ends what is said, so the name has none. Empty where no name is left."""
    name = " ".join(to.replace(":", " ").split())
    return _ASSIGNED + name if name else ""


def assigned_in(reason: str) -> str | None:
    """The name in a step's words, None where they assign nothing."""
    return reason.removeprefix(_ASSIGNED).partition(": ")[0] if reason.startswith(_ASSIGNED) else None


def snoozed_words(minutes: int, direction: Direction | None) -> str:
    """``snoozed for 60 minutes, low values only``"""
    return f"snoozed for {minutes} minutes{f', {direction} values only' if direction else ''}"


def snoozed_in(reason: str) -> tuple[int, Direction | None] | None:
    """For how many minutes, and for which side alone; None where the step's words snooze nothing."""
    found = _SNOOZED.match(reason)
    if found is None:
        return None
    sides: dict[str | None, Direction] = {"low": "low", "high": "high"}
    return int(found[1]), sides.get(found[2])
