"""A fall that looks like pressure on the sensor: sudden, at night, after a steady hour."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from rpm_stream.knowledge.forecasts import PressureTable
from rpm_stream.records import Reading
from rpm_stream.score.forecast.glucose import Outlook
from rpm_stream.score.memory.forecasts import ForecastState

OR_PRESSURE: Final = ", or pressure on the sensor"
PRESSED_WORDS: Final = "; a sudden fall after a steady hour at night, as of a body on the sensor"
"""What is added to title and ``why`` of a finding."""

UNKNOWN: Final = "offset_unknown"
"""The flag of a reading of which the local time is not known."""

KNOWN_SECONDS: Final = 3540
"""So much of the trace must be known to call an hour steady."""


def is_pressed(
    table: PressureTable, kept: ForecastState, reading: Reading, outlook: Outlook
) -> bool:
    """Return whether the sensor may be pressed, now or a short while ago, and note when."""
    at = kept.times[-1]
    over_10 = outlook.over[1]
    over_30 = outlook.over[4]
    over_60 = outlook.over[6]
    if (
        over_10 <= -table.by
        and abs(over_30 - over_10) <= table.steady_20
        and abs(over_60 - over_10) <= table.steady_50
        and outlook.known_seconds >= KNOWN_SECONDS
        and _is_night(reading, table)
    ):
        kept.pressed_at = at
    return was_pressed(table, kept, at)


def was_pressed(table: PressureTable, kept: ForecastState | None, at: int) -> bool:
    """Return whether the followed sensor may have been pressed shortly before a time."""
    return kept is not None and 0 <= at - kept.pressed_at <= table.hold_minutes * 60


def _is_night(reading: Reading, table: PressureTable) -> bool:
    """Return whether it is night where the person is. Where that is unknown, it is not."""
    if reading.utc_offset is None or UNKNOWN in reading.flags:
        return False
    hour = (reading.measured_at + _offset(reading.utc_offset)).hour
    if table.from_hour > table.to_hour:
        return hour >= table.from_hour or hour < table.to_hour
    return table.from_hour <= hour < table.to_hour


def _offset(written: str) -> timedelta:
    """Return the distance of local time from UTC."""
    if written == "Z":
        return timedelta(0)
    offset = timedelta(hours=int(written[1:3]), minutes=int(written[4:6]))
    return -offset if written[0] == "-" else offset
