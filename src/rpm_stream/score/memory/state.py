"""What the score stage remembers of one patient."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from rpm_stream.records.in_house import Total
from rpm_stream.records.readings import Reading
from rpm_stream.score.deterioration.hours import Hours
from rpm_stream.score.memory.days import Days
from rpm_stream.score.memory.forecasts import ForecastState
from rpm_stream.score.memory.history import VitalHistory
from rpm_stream.score.memory.recent import Recent

MOST_DISTANCES = 8
EMIT_EVERY = timedelta(minutes=5)  # how often an unchanged score of a continuous vital is written


class Calm(msgspec.Struct, array_like=True):
    """Since when a member is inside its recovery limit, and up to when readings show it."""

    since: datetime
    until: datetime


class FlagRun(msgspec.Struct, array_like=True):
    """Consecutive readings that a detector flagged."""

    since: datetime
    count: int


class Level(msgspec.Struct, array_like=True):
    """The mean of a vital over about a day: its time and its number of learned values."""

    at: datetime
    learned: int
    value: float


class Course(msgspec.Struct, array_like=True):
    """How a vital moved over days, to find a lasting change of its usual value.

    ``began`` is the beginning of the adaptive window. ``level`` is the present mean over about a
    day, and ``levels`` has one for each day. While a change has not been reported yet, ``since`` is
    when it began, ``before`` the level before it, and ``readings`` the number of values learned in
    it. ``resumed`` is the number of values learned since the detector learns a level that had been
    kept out for days.
    """

    began: datetime
    level: Level
    levels: list[Level]
    since: datetime | None = None
    before: float = 0.0
    readings: int = 0
    resumed: int = 0


class Emitted(msgspec.Struct, array_like=True):
    """The last score that was written.

    ``content`` is its summary, by which a changed score is recognised.
    """

    at: datetime
    content: str


class DeviceRun(msgspec.Struct, array_like=True):
    """Consecutive readings that show the same about a device.

    A ``count`` of 0 means that it is well. ``reported`` is true if it has been reported to a
    person.
    """

    since: datetime
    until: datetime
    count: int
    value: str = ""
    reported: bool = False


class LastValue(msgspec.Struct, array_like=True):
    """The newest value of one device."""

    value: str
    unit: str
    at: datetime


class Point(msgspec.Struct, array_like=True):
    """A value at a time, in the vital's first unit."""

    at: datetime
    number: float


class Twin(msgspec.Struct, array_like=True):
    """A second reading of a measurement.

    ``of`` has the marks of the measurement's first reading (``rules/same_measurement.py``).
    """

    of: bytes
    id: str
    device: str
    value: str
    unit: str
    measured_at: datetime
    received_at: datetime
    utc_offset: str | None
    flags: tuple[str, ...]
    attributes: dict[str, Any]
    frame: str
    index: int
    part: int


class ScoreState(msgspec.Struct):
    """State of the score stage for one patient.

    ``detectors`` holds sealed states (``score/detectors/codec.py``) by detector and vital.
    """

    histories: dict[str, VitalHistory] = {}
    recent: dict[str, list[Recent]] = {}  # vital -> its last readings, where a limit counts them
    latest: dict[str, Reading] = {}
    detectors: dict[str, bytes] = {}
    runs: dict[str, FlagRun] = {}
    learned_at: dict[str, datetime] = {}
    emitted: dict[str, Emitted] = {}
    # detector in shadow -> when its last vector was measured (ShadowTable.rest)
    # not in the bytes of a patient for whom nothing is in shadow
    scored_at: dict[str, datetime] | msgspec.UnsetType = msgspec.UNSET
    calm: dict[str, Calm] = {}
    breach_parts: tuple[str, ...] = ()  # parts of NEWS2 that gave points at its last breach
    # members of the group settings that were reported and are not fixed
    told_settings: list[str] = []
    # vital -> what its last reported silence began with (pipeline/silence.py)
    told_silent: dict[str, str] = {}
    # vital -> when its last reading was measured, where the reading itself was dropped
    heard: dict[str, datetime] = {}
    distances: dict[str, list[int]] = {}  # vital -> seconds between its newest readings
    # group -> up to when measured values are a person's new normal
    accepted: dict[str, datetime] = {}
    # member of a device group -> its device's faults in a row, empty for most patients
    faults: dict[str, DeviceRun] = {}
    repeats: dict[str, DeviceRun] = {}  # member of device:stuck -> equal values in a row
    courses: dict[str, Course] = {}  # vital -> how it moved over days
    # vital -> when a lasting change of it was reported, while that is news
    changed: dict[str, datetime] = {}
    # member of a group of signal quality -> its doubtful values in a row
    doubts: dict[str, DeviceRun] = {}
    # vital and device -> its newest value, and for movement vital -> its newest value
    signal: dict[str, LastValue] = {}
    usual: dict[str, list[float]] = {}  # vital -> its newest values, in the vital's first unit
    sequences: dict[str, list[str]] = {}  # vital and device -> its newest values in order, as sent
    days: dict[str, Days] = {}  # vital -> its days, for trends
    # vital that streams -> its history against this person's usual, to find a drop
    drops: dict[str, VitalHistory] = {}
    cut: dict[str, datetime] = {}  # vital -> up to when readings of it were voided
    # vital -> its values of the last minutes, where a rule looks at the rate
    points: dict[str, list[Point]] = {}
    # vital -> what its forecast keeps
    forecasts: dict[str, ForecastState] = {}
    breach_at: datetime | None = None  # when NEWS2 was last at or above its limit
    total: Total | None = None  # NEWS2 as of the newest reading that counts in it
    # the saturation of a patient on scale 2, as it counts on oxygen
    on_oxygen: VitalHistory | None = None
    # vital -> its values of the last quarter of an hour or so, minutes apart
    trail: dict[str, list[Point]] = {}
    seen: dict[str, bytes] = {}  # vital -> the marks of its newest measurements
    copies: dict[str, bytes] = {}  # vital -> the marks of second readings of these measurements
    # not in the bytes of a patient without a vital of the deterioration score
    hours: Hours | msgspec.UnsetType = msgspec.UNSET
    twins: dict[str, list[Twin]] = {}  # vital -> the newest second readings, whole


def note_distance(state: ScoreState, before: Reading | None, reading: Reading) -> None:
    """Keep the time between the newest readings of a vital."""
    if (
        before is None
        or (apart := int((reading.measured_at - before.measured_at).total_seconds())) <= 0
    ):
        return
    kept = state.distances.setdefault(reading.vital, [])
    kept.append(apart)
    del kept[:-MOST_DISTANCES]


def note_distances(state: ScoreState, before: Reading, readings: Sequence[Reading]) -> None:
    """Keep how far apart readings of one vital lie that follow each other and ``before``."""
    found: list[int] = []
    after = readings[-1].measured_at
    for reading in (*readings[-2::-1], before):
        apart = int((after - reading.measured_at).total_seconds())
        if apart > 0:
            found.append(apart)
            if len(found) == MOST_DISTANCES:
                break
        after = reading.measured_at
    if found:
        kept = state.distances.setdefault(before.vital, [])
        kept += found[::-1]
        del kept[:-MOST_DISTANCES]


def note_calm(state: ScoreState, member: str, at: datetime, calm: bool) -> None:
    """Continue, begin or end a member's time inside its recovery limit."""
    if not calm:
        state.calm.pop(member, None)
    elif (known := state.calm.get(member)) is None:
        state.calm[member] = Calm(since=at, until=at)
    elif at > known.until:
        known.until = at


def note_calm_for(state: ScoreState, member: str, since: datetime, until: datetime) -> None:
    """Carry on or begin a member's time inside its recovery limit, from one reading to a later
    one.
    """
    note_calm(state, member, since, calm=True)
    note_calm(state, member, until, calm=True)


def emits(state: ScoreState, name: str, at: datetime, content: str) -> bool:
    """Whether a score is worth a record because it changed or enough time has passed.

    Its time is noted if so.
    """
    last = state.emitted.get(name)
    if last is not None and last.content == content and last.at <= at < last.at + EMIT_EVERY:
        return False
    if last is None or at >= last.at:
        state.emitted[name] = Emitted(at=at, content=content)
    return True
