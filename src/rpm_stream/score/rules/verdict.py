"""The verdict of the limits on one reading: the limits that it is beyond, and the side not back."""

from __future__ import annotations

from decimal import Decimal

from rpm_stream.records import Direction, Key, Of, Priority, Record
from rpm_stream.score.memory.history import PlacingLevel

Side = Direction
WORD: dict[Side, str] = {"low": "below", "high": "above"}


class Breach(Record, frozen=True, kw_only=True):
    """One limit that a reading is beyond.

    ``limit`` names it in the history. ``key`` and ``member`` are its place in an episode. ``bound``
    in ``unit`` is the number that the reading is beyond, as the limit is written. For a band it is
    the edge towards the normal.

    ``first`` is the priority of a single such reading. ``repeated`` is that of a second in a row,
    or of one together with ``partner``, the (vital, limit) that the same measurement gives.
    ``minutes`` and ``of`` are how long it must last before it counts at all.
    """

    limit: str
    key: Key
    member: str
    side: Side
    bound: Decimal
    unit: str
    first: Priority
    repeated: Priority | None = None
    partner: tuple[str, str] | None = None
    minutes: int = 0
    of: Of | None = None
    beyond_query: bool = False
    rule: str
    title: str
    why: str


class Verdict(Record, frozen=True, kw_only=True):
    """The verdict of the limits on one reading.

    ``counted`` is true if one of the limits counts the last readings. ``side`` is the one that is
    not inside its recovery limits, None where both are. ``banded`` has the sides on which the bands
    of a chart are the only limits.
    """

    level: PlacingLevel
    side: Side | None = None
    banded: tuple[Side, ...] = ()
    points: int | None
    counted: bool = False
    breaches: tuple[Breach, ...] = ()
    broken: tuple[str, ...] = ()
