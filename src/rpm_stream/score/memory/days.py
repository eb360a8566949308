"""Values of a vital over weeks: a value every few hours of each day of UTC, as whole steps.

The median of a day counts. The first value of a slot stays, so a stream gives as many values as a
person who measures now and then. A late reading takes its place in its own day. 30 days of one
vital take less than 1 KB.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from statistics import median, pstdev

import msgspec

STEPS = 10  # steps in a vital's resolution
# names of rules
AVERAGE = "trend.average"
DISCHARGE = "trend.discharge"
JOINED = "trend.joined"
DROP = "trend.drop"


class Risen(msgspec.Struct, array_like=True):
    """Why a rule about a rise holds on a day, in the vital's first unit.

    ``rule`` is the rule that compares. ``bound`` is the level from which the rule holds. ``fast``
    is above ``slow``: the mean of the last days above that of the days before, or the day above the
    weight at discharge. ``fast`` is None where only the rule of thumb holds: a rise ``up`` within
    ``within`` days. ``beside`` is what gives the rise more weight, in words. The priority is then
    that of another rule.
    """

    rule: str
    bound: float
    fast: float | None = None
    slow: float = 0.0
    up: float = 0.0
    within: int = 0
    beside: str = ""


class Days(msgspec.Struct, array_like=True):
    """The days of a vital: day (ordinal) -> slot -> value in steps.

    ``usual`` is the last computed median with its days. ``risen`` is why a rule holds on the newest
    day. It is reported again with every reading as long as the days show it, because the reading
    would otherwise count as a return to normal. ``old_words`` is the same in a state of an older
    release: the words and the rule.
    """

    days: dict[int, dict[int, int]] = {}
    usual: tuple[int, int, float | None] | None = None
    old_words: tuple[str, str] | None = None
    risen: Risen | None = None

    @property
    def is_reported(self) -> bool:
        """Whether a rule holds on the newest day."""
        return self.risen is not None or self.old_words is not None

    def forget_reported(self) -> None:
        """Note that no rule holds on the newest day any more."""
        self.old_words = self.risen = None


def day_of(at: datetime) -> int:
    """The day of UTC."""
    return at.toordinal()


class DayTable:
    """How the days of one vital are kept and read, with numbers in its first unit."""

    def __init__(self, resolution: float, slot_hours: int, kept_days: int) -> None:
        self._step = resolution / STEPS
        self._slot_hours = slot_hours
        self._kept = kept_days

    def enter(self, kept: Days, at: datetime, number: float) -> bool:
        """Keep a value if its slot is free, and return whether it was."""
        day = day_of(at)
        slot = at.hour // self._slot_hours
        slots = kept.days.get(day)
        if slots is None:
            newest = max(kept.days, default=day)
            if day <= newest - self._kept:
                return False
            slots = kept.days[day] = {}
            for old in [each for each in kept.days if each <= max(newest, day) - self._kept]:
                del kept.days[old]
        elif slot in slots:
            return False
        slots[slot] = round(number / self._step)
        kept.usual = None
        return True

    def taken_until(self, kept: Days, at: datetime) -> datetime:
        """The end of the slot of ``at``, where a value has it; ``at`` where it is free."""
        slot = at.hour // self._slot_hours
        if slot not in kept.days.get(day_of(at), {}):
            return at
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + timedelta(hours=min(24, (slot + 1) * self._slot_hours))

    def forget(self, kept: Days, at: datetime, number: float) -> None:
        """Remove a value if it is the one of its slot.

        Another value that is as large counts as the same.
        """
        day = day_of(at)
        slot = at.hour // self._slot_hours
        slots = kept.days.get(day, {})
        if slots.get(slot) != round(number / self._step):
            return
        del slots[slot]
        if not slots:
            del kept.days[day]
        kept.usual = None
        kept.forget_reported()

    def medians(self, kept: Days, first: int, last: int) -> list[float]:
        """The median of each day from ``first`` to ``last`` that has a value."""
        return [
            median(kept.days[day].values()) * self._step
            for day in range(first, last + 1)
            if day in kept.days
        ]

    def usual(self, kept: Days, day: int, first: int, least: int) -> float | None:
        """The median of the days from ``first`` to before ``day``.

        None if fewer than ``least`` days have a value.
        """
        if kept.usual is None or kept.usual[:2] != (first, day):
            found = self.medians(kept, first, day - 1)
            kept.usual = (first, day, median(found) if len(found) >= least else None)
        return kept.usual[2]


def spread(numbers: list[float]) -> float:
    """Standard deviation of the days about their mean."""
    return pstdev(numbers)
