"""How far a device's clock is from its gateway's: a running estimate that says so and moves no
time.

Each value that carries the device's own time gives one difference to the time at which the gateway
got it. A record that is read from memory is late by its age, and ages differ; a clock that is wrong
is wrong by the same each time. So the clock is called wrong only where the newest differences
agree.
"""

from __future__ import annotations

from statistics import median

from rpm_stream.normalise.device_memory import DeviceMemory
from rpm_stream.normalise.placement import Placed

KEPT = 9
LEAST = 5
# seconds within which differences agree: the clock's minute, and the time that a transfer takes
APART = 60
RUNS = 4
IN_STEP = 1  # seconds: a clock that runs keeps its distance; records read out of a memory do not
SKEWED = 300  # seconds: as much as device time may be ahead (CONTRACT 3)

CLOCK_SKEW = "clock_skew"  # a flag
SKEW_SECONDS = "clock_skew_seconds"  # an attribute


def noted(differences: list[int], behind: int) -> list[int]:
    """The newest differences, with one more."""
    return [*differences, behind][-KEPT:]


def skew(differences: list[int]) -> int | None:
    """Seconds that the device's clock is behind the gateway's (ahead: negative), where that is sure
    and matters.

    >>> skew([3601, 3602, 3600, 3600, 3603]), skew([3600, 90, 7200, 3600, 3600])
    (3601, None)
    >>> skew([3, 4, 3, 4, 3])
    """
    if len(differences) < LEAST:
        return None
    middle = int(median(differences))
    if abs(middle) <= SKEWED or any(abs(each - middle) > APART for each in differences):
        return None
    return middle


def runs_behind(differences: list[int]) -> bool:
    """Whether the newest values came as they were measured, by a clock that shows times long past.

    >>> runs_behind([0, 0, 86400, 86401, 86400, 86400])
    True
    >>> runs_behind([4000, 3940, 3880, 3820]), runs_behind([0] * 9)
    (False, False)
    """
    newest = differences[-RUNS:]
    return len(newest) == RUNS and min(newest) > SKEWED and max(newest) - min(newest) <= IN_STEP


def note_clock(memory: DeviceMemory, placed: Placed, is_refused: bool) -> None:
    """Keep, once an entry, how far the device's clock is off and what it has shown.

    ``is_refused``: the value is too old, and tells of its device's clock all the same.
    """
    if placed.behind is None or placed.shown is None:
        return
    if placed.by_device:
        memory.counted = max(memory.counted or placed.shown, placed.shown)
    if is_refused and memory.stored == placed.shown:
        return  # one record that comes again and again is no clock that runs
    if is_refused:
        memory.stored = placed.shown
    memory.behind = noted(memory.behind, placed.behind)
