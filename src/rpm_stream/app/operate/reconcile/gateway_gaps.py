"""The gaps in what gateways counted: frames that were sent and never came."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from sqlite3 import Connection

from rpm_stream.app.operate.reconcile.balance import gaps
from rpm_stream.app.operate.reconcile.lines import Gap
from rpm_stream.app.operate.reconcile.queries import (
    BLIND,
    COUNTED,
    LOST,
    NEWEST,
    OLDEST,
    TAKE_BLIND,
)


def find_gaps(db: Connection) -> Iterator[Gap]:
    """Yield each gap, and add its frames to ``temp.lost``, from which an hour gets their number."""
    db.executescript(BLIND)
    for sender, rows in groupby(db.execute(COUNTED), key=lambda row: row[:3]):
        for first, last in gaps(row[3] for row in rows):
            unreadable = _unreadable(db, sender, first, last)
            frames = last - first + 1 - unreadable
            if not frames:
                continue
            db.execute(LOST, (frames, *sender, last + 1))
            yield Gap(
                gateway=sender[0],
                device=sender[1],
                boot=sender[2],
                first=first,
                last=last,
                frames=frames,
                unreadable=unreadable,
            )


def _unreadable(db: Connection, sender: tuple[str, str, str], first: int, last: int) -> int:
    """Return how many frames without a readable number came within a hole.

    They came between the hole's neighbours. Each of them counts for one hole only.
    """
    before = db.execute(NEWEST, (*sender, first - 1)).fetchone()
    after = db.execute(OLDEST, (*sender, last + 1)).fetchone()
    if before[0] != after[0]:
        return 0
    between = (sender[1], before[0], before[1], after[1], last - first + 1)
    return db.execute(TAKE_BLIND, between).rowcount
