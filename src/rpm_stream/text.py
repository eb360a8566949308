"""How values and units are said to people. Texts hold no ids and no dates (CONTRACT 9)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

from rpm_stream.records import CLEAN, LimitValue, Reading

UNIT_WORDS = {"mm[Hg]": "mmHg", "Cel": "°C", "[degF]": "°F", "[lb_av]": "lb", "/min": "a minute"}
UNIT_WORDS |= {"[in_i]": "in", "[ft_i]": "ft", "1": ""}
MOST_DECIMALS = 3  # of a number that was converted
MOST_SENT = 64  # characters of a name that somebody has sent
MOST_GIVEN = 50  # characters of a number that somebody has set
ABSENT_WORDS = {
    "positive-infinity": "above what the device can show",
    "negative-infinity": "below what the device can show",
}


_CLEAN = re.compile(CLEAN)
# of UCUM: words for people who know the code, which are no unit
_ANNOTATION = re.compile(r"\{[^}]*\}")


def is_clean(name: str) -> bool:
    """Whether a name may stand in a record: it has no control character, and nothing that ends a
    line.
    """
    return _CLEAN.search(name) is not None


def cleaned(name: str) -> str:
    """The name with a space for each character that may not stand in a record."""
    return (
        name if is_clean(name) else "".join(letter if is_clean(letter) else " " for letter in name)
    )


def as_sent(name: str) -> str:
    """A name in quotes as somebody sent it, for the text of a reject: cut, and without control
    characters.

    >>> as_sent("Puls"), as_sent("a\\nb")
    ("'Puls'", "'a b'")
    """
    kept = cleaned(name[:MOST_SENT])
    return f"'{kept}…'" if len(name) > MOST_SENT else f"'{kept}'"


def plain_unit(unit: str) -> str:
    """``mmHg`` of ``mm[Hg]``, ``a minute`` of ``{beats}/min``, nothing of ``{score}``."""
    bare = _ANNOTATION.sub("", unit)
    return UNIT_WORDS.get(bare, bare)


def with_unit(value: object, unit: str) -> str:
    """``88 %``; of a unit that has no word the value alone."""
    return f"{value} {plain_unit(unit)}".rstrip()


def plain_number(number: Decimal, decimals: int, beside: Decimal | None = None) -> str:
    """A converted number with ``decimals``; with more, 3 at most, where it would read like
    ``beside``.

    >>> plain_number(Decimal("13.8768"), 1), plain_number(Decimal("13.8768"), 1, Decimal("13.9"))
    ('13.9', '13.88')
    """
    said = number.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    if said == beside and said != number and decimals < MOST_DECIMALS:
        return plain_number(number, decimals + 1, beside)
    return f"{said:f}"


def plain_given(number: LimitValue) -> str:
    """A number as somebody has set it, cut where no number of ours is so long."""
    said = str(number)
    return said if len(said) <= MOST_GIVEN else f"{said[:MOST_GIVEN]}…"


def decimals_of(value: Decimal) -> int:
    """How many decimal places a number is written with."""
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def plain_value(reading: Reading) -> str:
    """``oxygen saturation 88 %``"""
    name = reading.vital.replace("_", " ")
    if reading.value is None:
        return f"{name} {ABSENT_WORDS.get(reading.absent or '', 'without a value')}"
    return f"{name} {with_unit(reading.value, reading.unit)}"


def plain_list(names: Iterable[str]) -> str:
    """``pulse, breathing and temperature``"""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def plain_flags(flags: Iterable[str]) -> str:
    """``poor signal, low perfusion``"""
    return ", ".join(flag.replace("_", " ") for flag in flags)


SERVICE = "rpm-stream"  # who, when no person did it
DEVICE = "device"  # the family of the groups ``device:<kind>``
# families of the alerts that are not about values of the patient
NOT_OF_VALUES = (DEVICE, "settings")


def is_of_values(group: str) -> bool:
    """Whether an alert is about values of the patient: only of these is told what is so now.

    Of the others no value is ever back: a person ends them, also where they are high.
    """
    return _family(group) not in NOT_OF_VALUES


def is_of_devices(group: str) -> bool:
    """Whether an alert is about a device."""
    return _family(group) == DEVICE


def _family(group: str) -> str:
    """``device`` of ``device:battery``: the one place where a group's text is read, as the
    topics fix it.
    """
    return group.partition(":")[0]
