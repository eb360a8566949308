"""Fifteen-minute summaries of continuous vitals: what one patient's windows hold, and when one is due.

A window counts how often each value text came, so an hour at 1 Hz is a few hundred bytes, and median, minimum and
maximum are found among exact numbers; converted ones are rounded when they are told (numbers.py). It is due when a
reading of its vital lies 5 minutes past its end, or by tick; a reading that comes late into a kept window makes it due
again, under the same id. What a window says depends on its readings alone, never on the tick that noticed it, so a
replay writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeAlias

import msgspec

from rpm_stream.knowledge import Knowledge
from rpm_stream.publish.codes import published_unit
from rpm_stream.publish.numbers import exact, mean, number_of, published
from rpm_stream.records import Reading, Window

SPAN_SECONDS = 900
GRACE_SECONDS = 300
KEPT_WINDOWS = 8
KEPT_BYTES = 6_000  # of one vital's values: a device that never repeats a value must not fill the state
COUNT_BYTES = 4  # of one value's count and framing in the state
Place: TypeAlias = tuple[str, str, int]  # of a window: patient, vital, start in epoch seconds


class Bin(msgspec.Struct):
    """One window in the state. ``counts``: how often each value text came, in ``unit`` (numbers.py). ``start``: epoch
    seconds.
    """

    start: int
    unit: str
    device: str | None
    utc_offset: str | None
    received_at: datetime
    counts: dict[str, int] = {}
    size: int = 0
    changed: bool = False
    sent: bool = False


class Course(msgspec.Struct):
    """The kept windows of one vital, oldest first. Windows before ``floor`` (epoch seconds) are closed for good."""

    newest: float
    floor: int = -(2**62)
    bins: list[Bin] = []


class Summaries(msgspec.Struct):
    """State of one patient: a course a vital. Encodes to msgpack and back."""

    patient: str
    courses: dict[str, Course] = {}


class Counted:
    """Windows counted from readings at hand, however many and however old: none is closed or due. First come first."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._bins: dict[Place, Bin] = {}

    def add(self, reading: Reading) -> None:
        """Count one reading; one without a value says nothing."""
        if reading.value is None:
            return
        place = place_of(reading)
        window = self._bins.get(place)
        if window is None:
            window = self._bins[place] = _opened(place[2], reading, self._knowledge)
        _count(window, reading, exact(reading.value, reading.unit, window.unit, self._knowledge))

    def window(self, place: Place) -> Window | None:
        """What the readings of a window say; ``None`` where there was none."""
        window = self._bins.get(place)
        return None if window is None else _finish(place[0], place[1], window)

    def windows(self) -> list[Window]:
        """All of them."""
        return [_finish(patient, vital, window) for (patient, vital, _), window in self._bins.items()]


def place_of(reading: Reading) -> Place:
    """The window of a reading."""
    return reading.patient, reading.vital, int(reading.measured_at.timestamp() // SPAN_SECONDS) * SPAN_SECONDS


def add(state: Summaries, reading: Reading, knowledge: Knowledge) -> tuple[bool, list[Window]]:
    """Put one reading into its window. ``False``: it is too late (or there is no room), publish it singly.

    The list holds the windows that became due, oldest first; one that was due before comes again, with more in it.
    """
    taken, due = add_all(state, (reading,), knowledge)
    return taken[0], due


def add_all(
    state: Summaries, readings: Iterable[Reading], knowledge: Knowledge
) -> tuple[tuple[bool, ...], list[Window]]:
    """``add`` for the readings of one message; each due window comes once, with all of them in it."""
    due: list[Window] = []
    taken = tuple([_put(state, reading, knowledge, due) for reading in readings])
    for vital, course in state.courses.items():
        due += _due(state.patient, vital, course, course.newest)
    return taken, due


def take_out(
    state: Summaries, readings: Iterable[Reading], knowledge: Knowledge
) -> tuple[list[Window], list[Window], list[Reading]]:
    """Take wrong readings out again: the windows that change by it and were published, those that are in error as a
    whole (no longer kept, or nothing else in them; made of the wrong readings alone), and the readings that no window
    had taken.
    """
    lost, untaken = Counted(knowledge), []
    for reading in readings:
        course = state.courses.get(reading.vital)
        *_, start = place_of(reading)
        window = next((each for each in course.bins if each.start == start), None) if course is not None else None
        if course is None or window is None:
            lost.add(reading)
        elif not _take_out(window, reading, knowledge):
            untaken.append(reading)
        elif not window.counts:
            course.bins.remove(window)
            if window.sent:
                lost.add(reading)
    changed = [window for vital, course in state.courses.items() for window in _due(state.patient, vital, course, 0)]
    return changed, lost.windows(), untaken


def _take_out(window: Bin, reading: Reading, knowledge: Knowledge) -> bool:
    """Count one reading less; whether the window had such a value."""
    text = None if reading.value is None else exact(reading.value, reading.unit, window.unit, knowledge)
    count = 0 if text is None else window.counts.get(text, 0)
    if text is None or not count:
        return False
    window.changed = True
    if count > 1:
        window.counts[text] = count - 1
    else:
        del window.counts[text]
        window.size -= len(text) + COUNT_BYTES
    return True


def tick(state: Summaries, now: datetime) -> list[Window]:
    """The windows whose end lies 5 minutes before ``now`` and that say something not yet published."""
    at = now.timestamp()
    return [window for vital, course in state.courses.items() for window in _due(state.patient, vital, course, at)]


def close(state: Summaries) -> list[Window]:
    """At the end of a replay: every window that says something not yet published, due or not."""
    return [
        window for vital, course in state.courses.items() for window in _due(state.patient, vital, course, float("inf"))
    ]


def shed(state: Summaries, vitals: Iterable[str], most: int) -> list[Window]:
    """Close all windows of these vitals but the ``most`` newest: those that still have to speak, oldest first.

    A reading that comes for a closed one is published singly.
    """
    due: list[Window] = []
    for vital in vitals:
        course = state.courses.get(vital)
        while course is not None and len(course.bins) > most:
            _close_oldest(state.patient, vital, course, due)
    return due


def _put(state: Summaries, reading: Reading, knowledge: Knowledge, due: list[Window]) -> bool:
    """Count one reading; windows that must go to make room are appended to ``due`` if they still have to speak."""
    if reading.value is None:
        return False
    at = reading.measured_at.timestamp()
    start = int(at // SPAN_SECONDS) * SPAN_SECONDS
    course = state.courses.get(reading.vital)
    if course is None:
        course = state.courses[reading.vital] = Course(newest=at)
    if start < course.floor:
        return False
    window = _window_for(course, start, reading, knowledge)
    if window is None:
        return False
    text = exact(reading.value, reading.unit, window.unit, knowledge)
    if text not in window.counts:
        grown = window.size + len(text) + COUNT_BYTES
        if grown > KEPT_BYTES:
            return False
        window.size = grown
    _count(window, reading, text)
    course.newest = max(course.newest, at)
    _make_room(state.patient, reading.vital, course, due)
    return True


def _count(window: Bin, reading: Reading, text: str) -> None:
    window.counts[text] = window.counts.get(text, 0) + 1
    window.changed = True
    window.received_at = max(window.received_at, reading.received_at)
    if window.device != reading.device:
        window.device = None


def _opened(start: int, reading: Reading, knowledge: Knowledge) -> Bin:
    """A window without values yet: its first reading fixes the unit."""
    unit = published_unit(knowledge.vitals[reading.vital], reading.unit)
    return Bin(start, unit, reading.device, reading.utc_offset, reading.received_at)


def _window_for(course: Course, start: int, reading: Reading, knowledge: Knowledge) -> Bin | None:
    """The window that begins at ``start``, opened if need be; ``None`` where it would be the first to go."""
    place = len(course.bins)
    while place and course.bins[place - 1].start >= start:
        place -= 1
    if place < len(course.bins) and course.bins[place].start == start:
        return course.bins[place]
    if place == 0 and len(course.bins) >= KEPT_WINDOWS:
        return None
    window = _opened(start, reading, knowledge)
    course.bins.insert(place, window)
    return window


def _make_room(patient: str, vital: str, course: Course, due: list[Window]) -> None:
    """Close the oldest windows while there are too many, or too many values in them; the newest always stays."""
    size = sum(window.size for window in course.bins)
    while len(course.bins) > 1 and (len(course.bins) > KEPT_WINDOWS or size > KEPT_BYTES):
        size -= course.bins[0].size
        _close_oldest(patient, vital, course, due)


def _close_oldest(patient: str, vital: str, course: Course, due: list[Window]) -> None:
    oldest = course.bins.pop(0)
    course.floor = oldest.start + SPAN_SECONDS
    if oldest.changed:
        due.append(_finish(patient, vital, oldest))


def _due(patient: str, vital: str, course: Course, at: float) -> list[Window]:
    """Windows with something new that are due at ``at``, or were published before. Marks them as published."""
    windows = []
    for window in course.bins:
        if window.changed and (window.sent or window.start + SPAN_SECONDS + GRACE_SECONDS <= at):
            window.changed = False
            window.sent = True
            windows.append(_finish(patient, vital, window))
    return windows


def _finish(patient: str, vital: str, window: Bin) -> Window:
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
    """The middle value, or the mean of the two middle ones (at most one digit more than theirs)."""
    total = sum(counts.values())
    low, high = (_at_rank(values, counts, rank) for rank in ((total - 1) // 2, total // 2))
    return published(low) if low == high else mean(low, high)


def _at_rank(values: list[tuple[Decimal, str]], counts: dict[str, int], rank: int) -> str:
    """The value with ``rank`` values before it; ``values`` ascend."""
    for _, text in values:
        rank -= counts[text]
        if rank < 0:
            return text
    raise ValueError("rank beyond the counts")
