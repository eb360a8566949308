"""One 15-minute window: how often each value text occurred in it, and its summary.

Median, minimum and maximum are found among exact numbers. Converted numbers are rounded only when
they are published (numbers.py).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeAlias

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.publish.fhir.codes import published_unit
from rpm_stream.publish.numbers import exact, mean, number_of, published
from rpm_stream.publish.window_state import Bin
from rpm_stream.records import Reading, Window

SPAN_SECONDS = 900
COUNT_BYTES = 4  # for one value's count and framing in the state
WindowKey: TypeAlias = tuple[
    str, str, int
]  # of a window: patient, vital, start in seconds since 1970


class Counted:
    """Windows counted from any number of readings of any age. None of them is closed or due.

    The first reading of a window fixes its unit.
    """

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._bins: dict[WindowKey, Bin] = {}

    def add(self, reading: Reading) -> None:
        """Count one reading, and ignore one without a value."""
        if reading.value is None:
            return
        place = place_of(reading)
        window = self._bins.get(place)
        if window is None:
            window = self._bins[place] = opened(place[2], reading, self._knowledge)
        count_in(window, reading, exact(reading.value, reading.unit, window.unit, self._knowledge))

    def window(self, place: WindowKey) -> Window | None:
        """Return the summary of a window, or ``None`` if it has no readings."""
        window = self._bins.get(place)
        return None if window is None else finish(place[0], place[1], window)

    def windows(self) -> list[Window]:
        """Return all summaries."""
        return [
            finish(patient, vital, window) for (patient, vital, _), window in self._bins.items()
        ]


def place_of(reading: Reading) -> WindowKey:
    """Return the window of a reading."""
    return (
        reading.patient,
        reading.vital,
        int(reading.measured_at.timestamp() // SPAN_SECONDS) * SPAN_SECONDS,
    )


def count_in(window: Bin, reading: Reading, text: str) -> None:
    """Count one reading, whose value in the window's unit is ``text``."""
    window.counts[text] = window.counts.get(text, 0) + 1
    window.changed = True
    window.received_at = max(window.received_at, reading.received_at)
    if window.device != reading.device:
        window.device = None


def opened(start: int, reading: Reading, knowledge: Knowledge) -> Bin:
    """Return a window without values, whose unit its first reading fixes."""
    unit = published_unit(knowledge.vitals[reading.vital], reading.unit)
    return Bin(start, unit, reading.device, reading.utc_offset, reading.received_at)


def finish(patient: str, vital: str, window: Bin) -> Window:
    """Return the summary of a window."""
    values = sorted((number_of(text), text) for text in window.counts)
    start = datetime.fromtimestamp(window.start, UTC)
    return Window(
        patient=patient,
        vital=vital,
        start=start,
        end=start + timedelta(seconds=SPAN_SECONDS),
        unit=window.unit,
        count=sum(window.counts.values()),
        minimum=published(values[0][1]),
        maximum=published(values[-1][1]),
        median=_median(values, window.counts),
        device=window.device,
        utc_offset=window.utc_offset,
        received_at=window.received_at,
    )


def _median(values: list[tuple[Decimal, str]], counts: dict[str, int]) -> str:
    """Return the middle value, or the mean of the two middle ones.

    The mean has at most one digit more than the two values.
    """
    total = sum(counts.values())
    low, high = (_at_rank(values, counts, rank) for rank in ((total - 1) // 2, total // 2))
    return published(low) if low == high else mean(low, high)


def _at_rank(values: list[tuple[Decimal, str]], counts: dict[str, int], rank: int) -> str:
    """Return the value with ``rank`` values before it, of ascending ``values``."""
    for _, text in values:
        rank -= counts[text]
        if rank < 0:
            return text
    raise ValueError("rank beyond the counts")
