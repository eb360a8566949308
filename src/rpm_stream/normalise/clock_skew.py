"""Estimate how far a device's clock is from its gateway's, without changing any time.

Each value with the device's own time gives one difference to the time when the gateway got it. A
record that is read from memory is late by its age, and ages differ. A wrong clock is wrong by the
same each time. So the clock counts as wrong only if the newest differences agree.
"""

from __future__ import annotations

from statistics import median

from rpm_stream.normalise.device_memory import DeviceMemory
from rpm_stream.normalise.placement import Placed

KEPT = 9
LEAST = 5
# differences agree within so many seconds: the clock's minute, and the time of a transfer
APART = 60
RUNS = 4
IN_STEP = 1  # seconds: a running clock keeps its distance, and records read from a memory do not
SKEWED = 300  # seconds: as far as device time may be ahead (CONTRACT 3)

CLOCK_SKEW = "clock_skew"  # a flag
SKEW_SECONDS = "clock_skew_seconds"  # an attribute


def noted(differences: list[int], behind: int) -> list[int]:
    """Return the newest differences with one more."""
    return [*differences, behind][-KEPT:]


def skew(differences: list[int]) -> int | None:
    """Return the seconds that the device's clock is behind the gateway's (ahead: negative).

    Returns None if that is not certain, or too small to matter.

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
    """Return whether the newest values came as they were measured, by a clock far behind.

    >>> runs_behind([0, 0, 86400, 86401, 86400, 86400])
    True
    >>> runs_behind([4000, 3940, 3880, 3820]), runs_behind([0] * 9)
    (False, False)
    """
    newest = differences[-RUNS:]
    return len(newest) == RUNS and min(newest) > SKEWED and max(newest) - min(newest) <= IN_STEP


def note_clock(memory: DeviceMemory, placed: Placed, is_refused: bool) -> None:
    """Remember, once for each entry, how far the device's clock is off and what it has shown.

    With ``is_refused`` the value is too old, and still shows its device's clock.
    """
    if placed.behind is None or placed.shown is None:
        return
    if placed.by_device:
        memory.counted = max(memory.counted or placed.shown, placed.shown)
    if is_refused and memory.stored == placed.shown:
        return  # a single record that is sent again and again shows no running clock
    if is_refused:
        memory.stored = placed.shown
    memory.behind = noted(memory.behind, placed.behind)
