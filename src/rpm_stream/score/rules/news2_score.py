"""NEWS2 as a range: the points of the known parts, and what the missing ones could add (RCP 2017).

Consciousness and oxygen do not come from a wearable. A check-in reports them, and for oxygen the
registry does where no check-in has. Where neither does, they are missing and widen the range. A
part counts while it is fresh. The score does not apply under 16 years or in pregnancy.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import msgspec

from rpm_stream.records import PatientEntry, Reading, Record
from rpm_stream.score.memory.history import Segment, VitalHistory, as_of
from rpm_stream.score.rules.news2 import News2Chart
from rpm_stream.score.rules.oxygen import Oxygen, most_points
from rpm_stream.score.rules.oxygen_scale import SATURATION, OxygenScale, has_scale_2

OXYGEN = "oxygen"


class News2Score(Record, frozen=True, kw_only=True):
    """The score at one moment.

    ``points`` holds the known parts, and ``readings`` the reading of each measured part. ``until``
    is when the newest reading of each part was measured. ``scale`` is that of the oxygen saturation
    when it was measured. ``is_scale_past`` is true if the scale at the moment is another one.
    """

    score_min: int
    score_max: int
    points: dict[str, int]
    missing: tuple[str, ...]
    readings: dict[str, Reading]
    until: dict[str, datetime]
    scale: OxygenScale
    is_scale_past: bool = False


class Histories(msgspec.Struct, frozen=True):
    """The input of the score: the history of each vital.

    On scale 2 ``on_oxygen`` is the history of the saturation with the points that it has on oxygen.
    """

    vitals: Mapping[str, VitalHistory]
    on_oxygen: VitalHistory | None = None


class News2Scorer:
    """Adds up the chart's points, bound to the chart and to what is known of oxygen."""

    def __init__(self, chart: News2Chart, oxygen: Oxygen) -> None:
        self._chart = chart
        self._oxygen = oxygen
        self._parameters = chart.news2.parameters()
        self._most_oxygen = chart.news2.max_oxygen
        self._fresh_for = chart.fresh_for
        self._worst = {
            name: max(points for _, points in row.rows) for name, row in self._parameters.items()
        }

    def score(self, histories: Histories, at: datetime, patient: PatientEntry) -> News2Score | None:
        """The score as of ``at``, or None where it does not apply or nothing is known."""
        if self._chart.exempt(patient, at):
            return None
        known = self._measured(histories.vitals, at)
        if not known:
            return None
        add = 0
        if has_scale_2(patient) and SATURATION in known:
            least, most = self._on_scale_2(known[SATURATION][1], at, histories, patient)
            known[SATURATION] = (least, known[SATURATION][1])
            add += most - least
        add += sum(self._worst[name] for name in self._parameters if name not in known)
        missing = [name for name in self._parameters if name not in known]
        parts = {name: points for name, (points, _) in known.items()}
        registered, answer = self._oxygen.sources(patient, histories.vitals, at)
        oxygen = most_points(registered, answer)
        if oxygen is None:
            add += self._most_oxygen
            missing.append(OXYGEN)
        else:
            parts[OXYGEN] = oxygen
            if answer is not None:
                known[OXYGEN] = (oxygen, answer)
        measured_at = min(known[SATURATION][1].end, at) if SATURATION in known else at
        scale = self._oxygen.scale(patient, histories.vitals, measured_at)
        return News2Score(
            score_min=sum(parts.values()),
            score_max=sum(parts.values()) + add,
            points=parts,
            missing=tuple(missing),
            readings={
                name: segment.reading
                for name, (_, segment) in known.items()
                if segment.reading is not None
            },
            until={name: min(segment.end, at) for name, (_, segment) in known.items()},
            scale=scale,
            is_scale_past=scale != self._oxygen.scale(patient, histories.vitals, at),
        )

    def _measured(
        self, histories: Mapping[str, VitalHistory], at: datetime
    ) -> dict[str, tuple[int, Segment]]:
        """The points of each part that is known at ``at``, and where they come from."""
        known: dict[str, tuple[int, Segment]] = {}
        for name, parameter in self._parameters.items():
            segment = self._newest(histories, parameter.vitals, at)
            if segment is not None and segment.points is not None:
                known[name] = (segment.points, segment)
        return known

    def _on_scale_2(
        self, segment: Segment, at: datetime, histories: Histories, patient: PatientEntry
    ) -> tuple[int, int]:
        """The fewest and the most points of a saturation.

        They follow from what is now known of the oxygen at the time of its measurement.
        """
        scale = self._oxygen.scale(patient, histories.vitals, min(segment.end, at))
        on_air = segment.points or 0
        on_oxygen = self._on_oxygen(segment, at, histories)
        if scale == "2 unknown":
            return min(on_air, on_oxygen), max(on_air, on_oxygen)
        points = on_oxygen if scale == "2 on oxygen" else on_air
        return points, points

    def minimum_on_oxygen(
        self, score: News2Score, histories: Histories, at: datetime, patient: PatientEntry
    ) -> int:
        """The lowest score if the patient were on oxygen at that moment."""
        parts = {**score.points, OXYGEN: self._most_oxygen}
        segment = self._newest(histories.vitals, self._parameters[SATURATION].vitals, at)
        if segment is not None and SATURATION in parts and has_scale_2(patient):
            parts[SATURATION] = self._on_oxygen(segment, at, histories)
        return sum(parts.values())

    def _on_oxygen(self, segment: Segment, at: datetime, histories: Histories) -> int:
        """The points that the newest saturation of a segment, not after ``at``, has on oxygen."""
        history = histories.on_oxygen
        end = min(segment.end, at)
        beside = None if history is None else as_of(history, end, self._fresh_for)
        if beside is not None and beside.points is not None:
            return beside.points
        reading = segment.reading
        if reading is None or reading.value is None:
            return segment.points or 0
        return (
            self._chart.points(reading.vital, Decimal(reading.value), reading.unit, "2 on oxygen")
            or 0
        )

    def _newest(
        self, histories: Mapping[str, VitalHistory], vitals: tuple[str, ...], at: datetime
    ) -> Segment | None:
        found = [
            as_of(histories[vital], at, self._fresh_for) for vital in vitals if vital in histories
        ]
        segments = [segment for segment in found if segment is not None]
        return max(segments, key=lambda segment: min(segment.end, at), default=None)

    def later_changes(self, histories: Mapping[str, VitalHistory], at: datetime) -> list[datetime]:
        """Moments within the fresh time after ``at`` at which a part changed.

        A late reading may matter there.
        """
        until = at + self._fresh_for
        return sorted(
            {
                segment.start
                for vital in self._chart.vitals
                if vital in histories
                for segment in histories[vital].segments
                if at < segment.start <= until
            }
        )
