"""What is kept of the last hours of a patient for the deterioration score.

Each series has one value an hour for the last 24 hours, the newest of that hour, and the mean and
spread of all its hours so far, the older ones weighing less. A value that comes late is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

KEPT_HOURS: Final = 24
"""The longest window of the features."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)


class Own(msgspec.Struct, array_like=True):
    """The person's own mean of a series and its mean squared distance, over ``count`` hours."""

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def learn(self, value: float, most: int) -> None:
        """Add the value of one hour.

        Beyond ``most`` hours the older ones weigh less (Welford's update with a bounded count).
        """
        count = min(self.count + 1, most)
        apart = value - self.mean
        self.mean += apart / count
        step = (apart * (value - self.mean) - self.variance) / count
        self.variance = max(self.variance + step, 0.0)
        self.count = count


class HourlyCourse(msgspec.Struct, array_like=True):
    """The hours of one measured series.

    ``hours`` counts from 1970 and ``steps`` are the values, both oldest first. ``taken`` is when
    the newest value was measured.
    """

    taken: datetime
    hours: list[int]
    steps: list[int]


class Hours(msgspec.Struct, array_like=True):
    """All that is kept: the courses of measured series, and the own values of all series."""

    courses: dict[str, HourlyCourse] = {}
    own: dict[str, Own] = {}


def hour_of(at: datetime) -> int:
    """Return the hour, counted from 1970 UTC."""
    return (at - EPOCH) // HOUR


def is_due(hours: Hours | None, series: str, at: datetime, every: timedelta) -> bool:
    """Return whether a value of the series measured at ``at`` is to be taken."""
    course = None if hours is None else hours.courses.get(series)
    return course is None or at - course.taken >= every or _is_next(course, at)


def _is_next(course: HourlyCourse, at: datetime) -> bool:
    """Whether ``at`` lies in a later hour than the newest value."""
    return hour_of(at) > course.hours[-1]


def take(hours: Hours, series: str, at: datetime, step: int) -> bool:
    """Take the value of a series, which is due. Return whether it is the first of its hour."""
    hour = hour_of(at)
    course = hours.courses.get(series)
    if course is None:
        hours.courses[series] = HourlyCourse(taken=at, hours=[hour], steps=[step])
        return True
    course.taken = at
    if course.hours[-1] == hour:
        course.steps[-1] = step
        return False
    course.hours.append(hour)
    course.steps.append(step)
    old = sum(each <= hour - KEPT_HOURS for each in course.hours)
    del course.hours[:old], course.steps[:old]
    return True


def forget(hours: Hours, series: str, times: Sequence[datetime]) -> None:
    """Drop the hours in which values of the series were voided.

    The own mean and spread keep them, and forget them with time.
    """
    course = hours.courses.get(series)
    if course is None:
        return
    wrong = {hour_of(at) for at in times}
    kept = [
        (hour, step)
        for hour, step in zip(course.hours, course.steps, strict=True)
        if hour not in wrong
    ]
    if not kept:
        del hours.courses[series]
        return
    course.hours = [hour for hour, _ in kept]
    course.steps = [step for _, step in kept]


def is_known(course: HourlyCourse, now: int) -> bool:
    """Return whether one of the 24 hours up to ``now`` has a value of its own."""
    return any(now - KEPT_HOURS < hour <= now for hour in course.hours)


def on_hours(course: HourlyCourse, now: int) -> list[int] | None:
    """Return the value of each of the last 24 hours, oldest first; None where none is known.

    An hour without a value has that of the hour before. The hours before the first have the first.
    Hours after ``now`` do not count: a device's clock may run ahead.
    """
    if not is_known(course, now):
        return None
    first = now - KEPT_HOURS + 1
    filled: list[int] = []
    ends = (*course.hours[1:], now + 1)
    for hour, end, step in zip(course.hours, ends, course.steps, strict=True):
        if end > first and hour <= now:
            begin = max(hour, first) if filled else first
            filled += [step] * (min(end, now + 1) - begin)
    return filled
