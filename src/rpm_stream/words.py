"""How values and units are said to people. Texts hold no ids and no dates (CONTRACT 9)."""

from __future__ import annotations

from collections.abc import Iterable

from rpm_stream.records import Reading

UNIT_WORDS = {"mm[Hg]": "mmHg", "Cel": "°C", "[degF]": "°F", "[lb_av]": "lb", "/min": "a minute"}
ABSENT_WORDS = {
    "positive-infinity": "above what the device can show",
    "negative-infinity": "below what the device can show",
}


def plain_unit(unit: str) -> str:
    """``mmHg`` of ``mm[Hg]``."""
    return UNIT_WORDS.get(unit, unit)


def plain_value(reading: Reading) -> str:
    """``oxygen saturation 88 %``"""
    name = reading.vital.replace("_", " ")
    if reading.value is None:
        return f"{name} {ABSENT_WORDS.get(reading.absent or '', 'without a value')}"
    return f"{name} {reading.value} {plain_unit(reading.unit)}"


def plain_flags(flags: Iterable[str]) -> str:
    """``poor signal, low perfusion``"""
    return ", ".join(flag.replace("_", " ") for flag in flags)
