"""Whether a reading is one of a stream."""

from __future__ import annotations

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records.readings import Reading


def is_continuous(reading: Reading, knowledge: Knowledge) -> bool:
    """Whether the reading is one of a stream, not a spot measurement.

    Readings of a stream are published in summaries (CONTRACT 6).
    """
    characteristic = knowledge.characteristics.get(reading.attributes.get("characteristic", ""))
    return (characteristic is not None and characteristic.continuous) or (
        knowledge.vitals[reading.vital].publish == "summary"
    )
