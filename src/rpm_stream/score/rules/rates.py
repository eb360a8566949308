"""Rates over minutes: glucose that falls so fast that it will be low before long.

The slope is the median of the slopes of all pairs of values in the window (Theil and Sen), so one
wrong value does not move it. Where too few values are known, the trend that the sensor itself sends
counts. Late values take their place in the window.

Where the forecast of the vital suspects pressure on the sensor (``predicted_glucose.py``, which
runs before), a fall is reported as such, at the priority of that rule.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import combinations
from statistics import median

import msgspec

from rpm_stream.knowledge.trends import Falling
from rpm_stream.records import Finding, Key, PatientEntry, Reading
from rpm_stream.score.baseline.learning import Numbers
from rpm_stream.score.baseline.wording import UsualWords
from rpm_stream.score.forecast.pressure import OR_PRESSURE, PRESSED_WORDS, was_pressed
from rpm_stream.score.memory.column import FOREVER
from rpm_stream.score.memory.member_names import member_name
from rpm_stream.score.memory.state import Point, ScoreState, note_calm
from rpm_stream.score.rules.moment import Moment
from rpm_stream.score.rules.protocol import MomentRule, RuleTables
from rpm_stream.score.rules.stretch import Stretch

MOST_POINTS = 24  # a window of one value a minute, and late ones
# Only the newest values of a denser sensor count, because pairs grow with the square.
MOST_IN_WINDOW = 8
RULE = "rate.falling"
PRESSURE_RULE = "predicted.pressure"


class Rates(MomentRule):
    """The rules over minutes, bound to the tables."""

    kind = "rate"
    source = ("trends.toml",)
    words = "A value that moves fast"

    def __init__(self, shared: RuleTables) -> None:
        knowledge = shared.knowledge
        self.calm_for = timedelta(minutes=knowledge.limits.recovery_minutes)
        self._knowledge = knowledge
        self._numbers = Numbers(knowledge)
        self._words = UsualWords(knowledge)
        self._falling = {row.vital: row for row in knowledge.trends.falling}

    def look(self, state: ScoreState, moment: Moment) -> None:
        """Add a finding where the vital falls fast."""
        moment.findings += self._found(state, moment.judged, moment.late)

    def calm_until(self, state: ScoreState, stretch: Stretch) -> datetime:
        """To its end where no vital has such a rule."""
        return FOREVER if self._falling.keys().isdisjoint(stretch.columns) else stretch.begin

    def forget(self, state: ScoreState, entry: PatientEntry, wrong: Sequence[Reading]) -> None:
        """Remove voided readings from the values of the last minutes."""
        vital = wrong[0].vital
        times = {reading.measured_at for reading in wrong}
        if vital in state.points:
            state.points[vital] = [point for point in state.points[vital] if point.at not in times]

    def _found(
        self, state: ScoreState, readings: Sequence[Reading], late: Collection[str]
    ) -> Iterator[Finding]:
        for reading in readings:
            row = self._falling.get(reading.vital)
            if row is None or reading.value is None:
                continue
            number = self._numbers.of(reading)
            slope = self._slope(_window(state, row, reading.measured_at, number), row, reading)
            ahead = number + slope * row.ahead_minutes
            falls = (
                slope <= -float(row.per_minute)
                and float(row.to) <= number
                and ahead < float(row.to)
            )
            if reading.id not in late:
                note_calm(
                    state,
                    member_name("rate", Key(vital=reading.vital)),
                    reading.measured_at,
                    ahead >= float(row.to),
                )
            if falls:
                finding = self._finding(row, reading, slope, reading.id in late)
                yield self._doubted(finding) if self._is_pressed(state, reading) else finding

    def _is_pressed(self, state: ScoreState, reading: Reading) -> bool:
        table = self._knowledge.glucose_forecast
        kept = state.forecasts.get(reading.vital)
        if kept is not None and kept.device != reading.device:
            return False  # another sensor that falls too speaks against pressure
        return was_pressed(table.pressure, kept, int(reading.measured_at.timestamp()))

    def _doubted(self, finding: Finding) -> Finding:
        """Return the finding as one that may be pressure on the sensor."""
        return msgspec.structs.replace(
            finding,
            priority=self._knowledge.priorities.of(PRESSURE_RULE),
            title=finding.title + OR_PRESSURE,
            why=finding.why + PRESSED_WORDS,
        )

    def _slope(self, window: list[Point], row: Falling, reading: Reading) -> float:
        """The slope in units a minute.

        It is negative where the vital falls, and 0 where nothing is known.
        """
        span = timedelta(minutes=row.least_minutes)
        if len(window) >= row.least_values and window[-1].at - window[0].at >= span:
            return median(
                (after.number - before.number) / ((after.at - before.at) / timedelta(minutes=1))
                for before, after in combinations(window[-MOST_IN_WINDOW:], 2)
            )
        try:
            sent = float(Decimal(reading.attributes.get(row.attribute) or "0"))
        except (InvalidOperation, TypeError):  # the sensor sent NaN or infinity: it has no trend
            return 0.0
        return sent

    def _finding(self, row: Falling, reading: Reading, slope: float, is_late: bool) -> Finding:
        vital = self._knowledge.vitals[row.vital]
        key = Key(vital=row.vital)
        minutes = max(1, round((self._numbers.of(reading) - float(row.to)) / -slope))
        scale = self._words.scale(reading)
        fall = f"{self._words.difference(scale.finer(), reading, -slope)}{scale.written}"
        low = f"{self._words.number(scale, reading, float(row.to))}{scale.written}"
        return Finding(
            kind="rate",
            key=key,
            member=member_name("rate", key),
            rule=f"{RULE}.{row.vital}@{self._knowledge.trends.version}",
            group=vital.group,
            priority=self._knowledge.priorities.of(RULE),
            title=f"{vital.display} falling fast",
            why=f"{self._words.shown(reading)}, falling {fall} a minute: {low} in about {minutes} "
            f"{'minute' if minutes == 1 else 'minutes'} (trend)",
            evidence=(reading,),
            vital=reading.vital,
            measured_at=reading.measured_at,
            late=is_late,
            direction="low",
        )


def _window(state: ScoreState, row: Falling, at: datetime, number: float) -> list[Point]:
    """Enter a value at its time, and return the values of the window that ends with it.

    There is one value an instant.
    """
    points = state.points.setdefault(row.vital, [])
    place = bisect_right(points, at, key=lambda point: point.at)
    if place and points[place - 1].at == at:
        place -= 1
        points[place] = Point(at, number)
    else:
        points.insert(place, Point(at, number))
    window = [
        point
        for point in points[: place + 1]
        if at - point.at <= timedelta(minutes=row.window_minutes)
    ]
    newest = points[-1].at
    state.points[row.vital] = [
        point
        for point in points[-MOST_POINTS:]
        if newest - point.at <= timedelta(minutes=2 * row.window_minutes)
    ]
    return window
