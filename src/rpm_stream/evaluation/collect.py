"""What the replay of one patient's readings gives, the alert stage included, to a ``Stay``.

Every detector has one series under its own name, so that a new detector needs no code here. A
detector of single vitals has the highest value over the vitals. NEWS2 has ``score_min``, the points
of its known parts. An hour has the last value up to its end, for ``CARRIED`` hours at most.

``STATIC`` is a line to compare with: what fixed limits on single values would give. It is the
highest part of NEWS2, and among equals the number of parts with points.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from rpm_stream.evaluation.stays import CARRIED, ShownEvent, Stay, StayLabel, hour_of
from rpm_stream.records import Alert, Event, Priority, Score

if TYPE_CHECKING:
    from rpm_stream.pipeline.replay import LineType, ReplayLine

NEEDED: tuple[LineType, ...] = ("score", "alert")
NEWS2 = "news2"
STATIC = "static"
RED_POINTS = 3  # of one part of NEWS2 (RCP 2017)
MOST_PARTS = 10  # more than NEWS2 has, so that a count of parts never weighs as much as a point
TOLD: frozenset[Event] = frozenset({"opened", "raised", "returned"})
WATCHED: frozenset[Priority] = frozenset({"medium", "high"})

_score = msgspec.json.Decoder(Score)
_alert = msgspec.json.Decoder(Alert)
Slots = list[float]


def collect(label: StayLabel, lines: Iterable[ReplayLine]) -> Stay:
    """Return the stay of one patient.

    ``lines`` are all lines of its replay of the ``NEEDED`` types, in their order.
    """
    made = _Collector(label)
    for line in lines:
        made.take(line)
    return made.stay()


def static_score(contributions: Iterable[float]) -> float:
    """Return the highest part of NEWS2, and in tenths how many parts have points.

    >>> static_score([0.0, 3.0, 1.0])
    3.2
    >>> static_score([])
    0.0
    """
    points = list(contributions)
    return max(points, default=0.0) + sum(each > 0 for each in points) / MOST_PARTS


def carried(slots: Slots, most: int = CARRIED) -> Slots:
    """Return the slots with each value carried into the empty ones after it.

    A value counts ``most`` hours, its own included.

    >>> carried([math.nan, 2.0, math.nan, math.nan], most=2)
    [nan, 2.0, 2.0, nan]
    """
    filled: Slots = []
    last = math.nan
    age = 0
    for value in slots:
        age += 1
        if not math.isnan(value):
            last = value
            age = 0
        filled.append(last if age < most else math.nan)
    return filled


class _Collector:
    """Takes the lines of one patient's replay in their order."""

    def __init__(self, label: StayLabel) -> None:
        self._label = label
        self._values: dict[str, dict[str, Slots]] = {}  # by detector and vital
        self._red: Slots = self._empty()
        self._events: list[ShownEvent] = []
        self._known: dict[str, set[object]] = {}  # alert -> the steps of its last record
        self._watched: set[str] = set()  # alerts in the list, medium or high
        self._changes: dict[int, bool] = {}  # hour -> whether such an alert was left at its end

    def take(self, line: ReplayLine) -> None:
        """Take one line."""
        if line.type == "score":
            self._score(_score.decode(line.record))
        elif line.type == "alert":
            self._alert(_alert.decode(line.record))

    def stay(self) -> Stay:
        """Return what was taken."""
        series = {
            name: tuple(_highest([carried(slots) for slots in by_vital.values()]))
            for name, by_vital in sorted(self._values.items())
        }
        return Stay(
            label=self._label,
            series=series,
            events=tuple(self._events),
            listed=tuple(self._listed()),
            red=tuple(value == 1.0 for value in self._red),
            red_known=tuple(value == 1.0 for value in carried(self._red)),
        )

    def _empty(self) -> Slots:
        return [math.nan] * self._label.hours

    def _score(self, score: Score) -> None:
        hour = hour_of(score.measured_at)
        if not 0 <= hour < self._label.hours:
            return
        if score.detector == NEWS2:
            self._put(NEWS2, "", hour, score.score_min)
            self._put(STATIC, "", hour, static_score(score.contributions.values()))
            self._red[hour] = float(RED_POINTS in score.contributions.values())
        else:
            self._put(score.detector, score.vital or "", hour, score.score)

    def _put(self, name: str, vital: str, hour: int, value: float) -> None:
        by_vital = self._values.setdefault(name, {})
        by_vital.setdefault(vital, self._empty())[hour] = value

    def _alert(self, alert: Alert) -> None:
        # A record repeats its whole history. A full state may cut the words of a step.
        steps = {(step.at, step.event, step.priority): step for step in alert.history}
        known = self._known.get(alert.id, set())
        fresh = [step for key, step in steps.items() if key not in known and step.event in TOLD]
        self._known[alert.id] = {*steps}
        if fresh:
            newest = fresh[-1]
            returned = newest.event == "returned"
            self._events.append(
                ShownEvent(
                    hour=hour_of(newest.at),
                    priority=alert.priority,
                    rule=alert.rule,
                    returned=returned,
                )
            )
        listed = alert.state != "resolved" and not alert.over and alert.priority in WATCHED
        (self._watched.add if listed else self._watched.discard)(alert.id)
        self._changes[max(hour_of(alert.updated_at), 0)] = bool(self._watched)

    def _listed(self) -> Iterator[bool]:
        now = False
        for hour in range(self._label.hours):
            now = self._changes.get(hour, now)
            yield now


def _highest(rows: list[Slots]) -> Iterator[float]:
    """Yield the highest value of each hour, NaN where no row has one."""
    for values in zip(*rows, strict=True):
        yield max((value for value in values if not math.isnan(value)), default=math.nan)
