"""What the tables say of one reading: whether it is one of a stream, and its number."""

from __future__ import annotations

from decimal import Decimal

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records.readings import Reading
from rpm_stream.records.terms import Direction


def is_continuous(reading: Reading, knowledge: Knowledge) -> bool:
    """Whether the reading is one of a stream, not a spot measurement.

    Readings of a stream are published in summaries (CONTRACT 6).
    """
    characteristic = knowledge.characteristics.get(reading.attributes.get("characteristic", ""))
    return (characteristic is not None and characteristic.continuous) or (
        knowledge.vitals[reading.vital].publish == "summary"
    )


def number_of(knowledge: Knowledge, reading: Reading, side: Direction | None = None) -> Decimal:
    """The value in its vital's first unit, infinite where the device shows LO or HI."""
    if reading.value is None:
        is_low = reading.absent == "negative-infinity" or side == "low"
        return Decimal("-Infinity") if is_low else Decimal("Infinity")
    return knowledge.convert(
        Decimal(reading.value), reading.unit, knowledge.vitals[reading.vital].unit
    )
