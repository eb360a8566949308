"""A value that was stamped later than it was received, because the clock of its gateway is ahead.

Nobody can have measured it then. It is judged as of its receipt: as stamped, a calm value would be
the newest one for hours, and what is measured after it would look like something that is over. What
is published keeps the stamped time.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from rpm_stream.records import Reading

# flag of a reading whose entry is stamped over 5 minutes after its receipt
CLOCK_AHEAD = "clock_ahead"
STAMPED_AT = "stamped_at"  # attribute of the judge's copy: the time as stamped


def as_judged(reading: Reading) -> Reading:
    """The reading as of its receipt where it is stamped later and its clock is known to be
    ahead; else as it is.
    """
    if reading.measured_at <= reading.received_at or CLOCK_AHEAD not in reading.flags:
        return reading
    attributes = {**reading.attributes, STAMPED_AT: reading.measured_at.isoformat()}
    return msgspec.structs.replace(reading, measured_at=reading.received_at, attributes=attributes)


def as_stamped(reading: Reading) -> Reading:
    """The reading as it was sent: what ``as_judged`` changed is undone."""
    if CLOCK_AHEAD not in reading.flags or STAMPED_AT not in reading.attributes:
        return reading
    attributes = {name: value for name, value in reading.attributes.items() if name != STAMPED_AT}
    at = datetime.fromisoformat(reading.attributes[STAMPED_AT])
    return msgspec.structs.replace(reading, measured_at=at, attributes=attributes)
