"""Fifteen-minute summaries of continuous vitals: a patient's windows, and when one is due.

A window (windows.py) counts how often each value text occurred, so an hour at 1 Hz is a few hundred
bytes. It is due when a reading of its vital lies 5 minutes past its end, or by tick. A late reading
in a kept window makes it due again under the same id. The content of a summary depends only on its
readings, never on the tick that noticed it, so a replay writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.publish.numbers import exact
from rpm_stream.publish.window_state import Bin, Summaries, VitalWindows
from rpm_stream.publish.windows import (
    COUNT_BYTES,
    SPAN_SECONDS,
    Counted,
    count_in,
    finish,
    opened,
    place_of,
)
from rpm_stream.records import Reading, Window

GRACE_SECONDS = 300
KEPT_WINDOWS = 8
# for the values of one vital: a device that never repeats a value must not fill the state
KEPT_BYTES = 6_000


def add(state: Summaries, reading: Reading, knowledge: Knowledge) -> tuple[bool, list[Window]]:
    """Put one reading into its window.

    Returns ``False`` if it is too late or there is no room, and the caller publishes it singly. The
    list has the windows that became due, oldest first. A window that was due before comes again
    with the added reading.
    """
    taken, due = add_all(state, (reading,), knowledge)
    return taken[0], due


def add_all(
    state: Summaries, readings: Iterable[Reading], knowledge: Knowledge
) -> tuple[tuple[bool, ...], list[Window]]:
    """Call ``add`` for the readings of one message.

    Each due window comes once, with all of them in it.
    """
    due: list[Window] = []
    taken = tuple([_put(state, reading, knowledge, due) for reading in readings])
    for vital, course in state.courses.items():
        due += _due(state.patient, vital, course, course.newest)
    return taken, due


def note_again(state: Summaries, reading: Reading, knowledge: Knowledge) -> None:
    """Note that a counted value came again as the same measurement.

    It is not counted. If one of the two is taken back, the other keeps the place.
    """
    window = _kept(state, reading)
    if window is not None and reading.value is not None:
        text = exact(reading.value, reading.unit, window.unit, knowledge)
        if text in window.counts:
            window.size += 0 if text in window.again else len(text) + COUNT_BYTES
            window.again[text] = window.again.get(text, 0) + 1


def drop_again(state: Summaries, reading: Reading, knowledge: Knowledge) -> bool:
    """Undo ``note_again`` for a reading that is wrong or to be counted by itself.

    Returns whether there was one with its value.
    """
    window = _kept(state, reading)
    if window is None or reading.value is None:
        return False
    return _drop(window, window.again, exact(reading.value, reading.unit, window.unit, knowledge))


def _kept(state: Summaries, reading: Reading) -> Bin | None:
    course = state.courses.get(reading.vital)
    (*_, start) = place_of(reading)
    return (
        next((each for each in course.bins if each.start == start), None)
        if course is not None
        else None
    )


def _drop(window: Bin, counts: dict[str, int], text: str) -> bool:
    """Count one less, and return whether there was one."""
    count = counts.get(text, 0)
    if count > 1:
        counts[text] = count - 1
    elif count:
        del counts[text]
        window.size -= len(text) + COUNT_BYTES
    return bool(count)


def take_out(
    state: Summaries, readings: Iterable[Reading], knowledge: Knowledge
) -> tuple[list[Window], list[Window], list[Reading]]:
    """Take wrong readings out again.

    Returns three lists. The first has published windows that change. The second has windows that
    are in error as a whole, made of the wrong readings alone: those no longer kept and those
    without any other content. The third has the readings that no window had taken.
    """
    lost = Counted(knowledge)
    untaken = []
    for reading in readings:
        window = _kept(state, reading)
        if window is None:
            lost.add(reading)
        elif not _take_out(window, reading, knowledge):
            untaken.append(reading)
        elif not window.counts:
            state.courses[reading.vital].bins.remove(window)
            if window.sent:
                lost.add(reading)
    changed = [
        window
        for vital, course in state.courses.items()
        for window in _due(state.patient, vital, course, 0)
    ]
    return changed, lost.windows(), untaken


def _take_out(window: Bin, reading: Reading, knowledge: Knowledge) -> bool:
    """Count one reading less, and return whether the window had its value.

    If a value came again as the same measurement, that copy is removed first.
    """
    text = (
        None
        if reading.value is None
        else exact(reading.value, reading.unit, window.unit, knowledge)
    )
    if text is None:
        return False
    if _drop(window, window.again, text):
        return True
    if not _drop(window, window.counts, text):
        return False
    window.changed = True
    return True


def tick(state: Summaries, now: datetime) -> list[Window]:
    """Return unpublished windows whose end is at least 5 minutes before ``now``."""
    at = now.timestamp()
    return [
        window
        for vital, course in state.courses.items()
        for window in _due(state.patient, vital, course, at)
    ]


def close(state: Summaries) -> list[Window]:
    """Return every unpublished window at the end of a replay, due or not."""
    return [
        window
        for vital, course in state.courses.items()
        for window in _due(state.patient, vital, course, float("inf"))
    ]


def shed(state: Summaries, vitals: Iterable[str], most: int) -> list[Window]:
    """Close all windows of these vitals except for the ``most`` newest.

    Returns the unpublished ones, oldest first. A later reading for a closed window is published
    singly.
    """
    due: list[Window] = []
    for vital in vitals:
        course = state.courses.get(vital)
        while course is not None and len(course.bins) > most:
            _close_oldest(state.patient, vital, course, due)
    return due


def _put(state: Summaries, reading: Reading, knowledge: Knowledge, due: list[Window]) -> bool:
    """Count one reading, and return whether its window had room.

    Windows that must close to make room are appended to ``due`` if they are unpublished.
    """
    if reading.value is None:
        return False
    at = reading.measured_at.timestamp()
    start = int(at // SPAN_SECONDS) * SPAN_SECONDS
    course = state.courses.get(reading.vital)
    if course is None:
        course = state.courses[reading.vital] = VitalWindows(newest=at)
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
    count_in(window, reading, text)
    course.newest = max(course.newest, at)
    _close_excess(state.patient, reading.vital, course, due)
    return True


def _window_for(
    course: VitalWindows, start: int, reading: Reading, knowledge: Knowledge
) -> Bin | None:
    """Return the window that begins at ``start``, opened if needed.

    Returns ``None`` if it would be the first to close.
    """
    place = len(course.bins)
    while place and course.bins[place - 1].start >= start:
        place -= 1
    if place < len(course.bins) and course.bins[place].start == start:
        return course.bins[place]
    if place == 0 and len(course.bins) >= KEPT_WINDOWS:
        return None
    window = opened(start, reading, knowledge)
    course.bins.insert(place, window)
    return window


def _close_excess(patient: str, vital: str, course: VitalWindows, due: list[Window]) -> None:
    """Close the oldest windows while there are too many, or too many values in them.

    The newest window always stays.
    """
    size = sum(window.size for window in course.bins)
    while len(course.bins) > 1 and (len(course.bins) > KEPT_WINDOWS or size > KEPT_BYTES):
        size -= course.bins[0].size
        _close_oldest(patient, vital, course, due)


def _close_oldest(patient: str, vital: str, course: VitalWindows, due: list[Window]) -> None:
    oldest = course.bins.pop(0)
    course.floor = oldest.start + SPAN_SECONDS
    if oldest.changed:
        due.append(finish(patient, vital, oldest))


def _due(patient: str, vital: str, course: VitalWindows, at: float) -> list[Window]:
    """Return windows with something new that are due at ``at``, or were published before.

    Marks them as published.
    """
    windows = []
    for window in course.bins:
        if window.changed and (window.sent or window.start + SPAN_SECONDS + GRACE_SECONDS <= at):
            window.changed = False
            window.sent = True
            windows.append(finish(patient, vital, window))
    return windows
