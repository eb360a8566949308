"""Readings whose time stamp is later than their receipt, because the gateway's clock is ahead.

Such a value cannot have been measured at its stamped time. The judge uses the time of receipt
instead. With the stamped time, a calm value would stay the newest one for hours, and a value
measured after it would look like something that is over. Published records keep the stamped time.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from rpm_stream.records.readings import Reading

# set on a reading whose entry is stamped more than 5 minutes after its receipt
CLOCK_AHEAD = "clock_ahead"
STAMPED_AT = "stamped_at"  # attribute of the judge's copy: the stamped time


def as_judged(reading: Reading) -> Reading:
    """Return the reading as the judge uses it.

    The time becomes that of the receipt if the reading is stamped later and its clock is known to
    be ahead. Every other reading is returned unchanged.
    """
    if reading.measured_at <= reading.received_at or CLOCK_AHEAD not in reading.flags:
        return reading
    attributes = {**reading.attributes, STAMPED_AT: reading.measured_at.isoformat()}
    return msgspec.structs.replace(reading, measured_at=reading.received_at, attributes=attributes)


def as_stamped(reading: Reading) -> Reading:
    """Return the reading as it was sent, with the change of ``as_judged`` undone."""
    if CLOCK_AHEAD not in reading.flags or STAMPED_AT not in reading.attributes:
        return reading
    attributes = {name: value for name, value in reading.attributes.items() if name != STAMPED_AT}
    at = datetime.fromisoformat(reading.attributes[STAMPED_AT])
    return msgspec.structs.replace(reading, measured_at=at, attributes=attributes)
