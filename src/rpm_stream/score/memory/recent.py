"""The last readings of a vital one by one, for limits that count them: "3 of the last 4".

Segments (``history.py``) hold how long a run lasted, but not where each reading lies. The newest
readings are kept here exactly. A reading that is older than all of them is counted with those that
are there, and then dropped again.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta

import msgspec

from rpm_stream.records.registry import Of

MOST = 48  # four times the most that a limit may count


class Recent(msgspec.Struct, array_like=True):
    """One reading: when it was measured, and which limits it was beyond."""

    at: datetime
    broken: tuple[str, ...]


def enter(recent: list[Recent], at: datetime, broken: tuple[str, ...]) -> int:
    """Enter a reading at its measured time, and return its place."""
    place = bisect_right(recent, at, key=lambda one: one.at)
    recent.insert(place, Recent(at, broken))
    return place


def forget(recent: list[Recent]) -> None:
    """Keep the newest readings only."""
    del recent[:-MOST]


def among_last(recent: list[Recent], place: int, limit: str, of: Of) -> bool:
    """Whether enough of the last readings around ``place`` were beyond ``limit``.

    The reading at ``place`` must be one of ``of.last`` readings in a row of which ``of.count`` were
    beyond.
    """
    for end in range(place, min(place + of.last, len(recent))):
        if limit not in recent[end].broken:
            continue
        oldest = recent[end].at - timedelta(minutes=of.within)
        first = max(0, end + 1 - of.last)
        window = [one for one in recent[first : end + 1] if one.at >= oldest]
        if (
            recent[place].at >= window[0].at
            and sum(limit in one.broken for one in window) >= of.count
        ):
            return True
    return False
