"""The last readings of a vital one by one, for limits that count them: "3 of the last 4".

Segments (history.py) know how long a run lasted, not where each reading lay; this knows the newest
readings exactly. A reading that is older than all of them counts with those that it meets, and is
forgotten again.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta

import msgspec

from rpm_stream.records import Of

MOST = 48  # four times the most that a limit may count


class Recent(msgspec.Struct, array_like=True):
    """One reading: when, and which limits it was beyond."""

    at: datetime
    broken: tuple[str, ...]


def enter(recent: list[Recent], at: datetime, broken: tuple[str, ...]) -> int:
    """Enter a reading at its measured time; its place."""
    place = bisect_right(recent, at, key=lambda one: one.at)
    recent.insert(place, Recent(at, broken))
    return place


def forget(recent: list[Recent]) -> None:
    """Keep the newest."""
    del recent[:-MOST]


def among_last(recent: list[Recent], place: int, limit: str, of: Of) -> bool:
    """Whether the reading at ``place`` is one of ``of.last`` in a row of which ``of.count`` were
    beyond ``limit``.
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
