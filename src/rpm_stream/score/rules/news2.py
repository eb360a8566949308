"""NEWS2 as a range: the points of the known parts, and what the missing ones could add (RCP 2017).

Consciousness and oxygen do not come from a wearable. A check-in reports them, and for oxygen the
registry does where no check-in has. Where neither does, they are missing and widen the range. A
part counts while it is fresh. The score does not apply under 16 years or in pregnancy.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.registry import has_unreadable_birth, years_old
from rpm_stream.records import PatientEntry, Reading, Record
from rpm_stream.score.memory.history import Segment, VitalHistory, as_of
from rpm_stream.score.rules.oxygen_scale import SATURATION, OxygenScale, has_scale_2

OXYGEN = "oxygen"
TICK = timedelta(microseconds=1)
# an answer about oxygen counts from so long before it (CONTRACT 10)
ANSWER_BEFORE = timedelta(minutes=60)


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


class News2Chart:
    """The chart, bound to the knowledge table."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self.news2 = knowledge.news2
        self._parameters = self.news2.parameters()
        self._of_vital = {vital: row for row in self._parameters.values() for vital in row.vitals}
        self._oxygen = tuple(vital for row in self.news2.oxygen() for vital in row.vitals)
        self._of_vital |= {vital: row for row in self.news2.oxygen() for vital in row.vitals}
        self._worst = {
            name: max(points for _, points in row.rows) for name, row in self._parameters.items()
        }
        self.fresh_for = timedelta(hours=self.news2.fresh_for_hours)
        self.vitals = tuple(self._of_vital)

    def knows(self, vital: str) -> bool:
        """Whether the chart scores the vital."""
        return vital in self._of_vital

    def has_bands(self, vital: str) -> bool:
        """Whether points of the vital alone are worth an alert.

        Oxygen is a treatment, so its points are not.
        """
        return vital not in self._oxygen

    def exempt(self, patient: PatientEntry, at: datetime) -> str:
        """Why the chart does not apply, empty where it does.

        A patient of unknown age counts as an adult.
        """
        if patient.pregnant:
            return "pregnant"
        if has_unreadable_birth(patient, at):
            return "the date of birth cannot be read, or lies ahead"
        years = years_old(patient, at) if patient.born else None
        is_child = years is not None and years < self.news2.adult_from_years
        return f"under {self.news2.adult_from_years}" if is_child else ""

    def scale(
        self, patient: PatientEntry, histories: Mapping[str, VitalHistory], at: datetime
    ) -> OxygenScale:
        """The scale of oxygen saturation as of ``at``."""
        if not has_scale_2(patient):
            return "1"
        points = self.oxygen_points(patient, histories, at)
        return "2 unknown" if points is None else "2 on oxygen" if points else "2 on air"

    def oxygen_points(
        self, patient: PatientEntry, histories: Mapping[str, VitalHistory], at: datetime
    ) -> int | None:
        """Points of "air or oxygen" as of ``at``, or None where nothing is known (CONTRACT 10).

        The last answer before ``at`` counts for at most 12 hours, else the registry. Answers within
        an hour before it contradict it, and so do answers in the hour after ``at``. More points
        count then.
        """
        return _most_points(*self._oxygen_sources(patient, histories, at))

    def is_still_on_oxygen(
        self, patient: PatientEntry, histories: Mapping[str, VitalHistory], at: datetime
    ) -> bool:
        """Whether a patient who was on oxygen before ``at`` still counts as on it.

        An answer that has aged is still the last known one. Only a newer answer ends it, or a
        registry with air where there was never an answer.
        """
        registered, answer = self._oxygen_sources(patient, histories, at)
        if registered or answer is not None:
            return bool(registered or (answer is not None and answer.points))
        answers = [each for each in self._answers(histories, at) if each[0] <= at]
        last = max((moment for moment, _ in answers), default=None)
        if last is None:
            return registered is None
        return any(segment.points for moment, segment in answers if moment >= last - ANSWER_BEFORE)

    def _answers(
        self, histories: Mapping[str, VitalHistory], at: datetime
    ) -> list[tuple[datetime, Segment]]:
        """The answers about oxygen with their times.

        Of a run of equal answers these are the first, the last and the one at ``at``.
        """
        return [
            (moment, segment)
            for vital in self._oxygen
            for segment in (histories[vital].segments if vital in histories else ())
            for moment in {segment.start, min(max(at, segment.start), segment.end), segment.end}
        ]

    def _oxygen_sources(
        self, patient: PatientEntry, histories: Mapping[str, VitalHistory], at: datetime
    ) -> tuple[int | None, Segment | None]:
        """The registry's points, where it counts, and the answer that counts.

        That is the newest of the answers with most points.
        """
        answers = self._answers(histories, at)
        before = max((moment for moment, _ in answers if moment <= at), default=None)
        counted = [each for each in answers if at < each[0] <= at + ANSWER_BEFORE]
        registry = None
        if before is not None and at - before <= self.fresh_for:
            counted += [each for each in answers if before - ANSWER_BEFORE <= each[0] <= at]
        elif patient.on_oxygen is not None:
            registry = self.news2.max_oxygen if patient.on_oxygen else 0
        newest = max(counted, key=lambda each: (each[1].points or 0, each[0]), default=None)
        return registry, None if newest is None else newest[1]

    def reach(
        self, patient: PatientEntry, histories: Mapping[str, VitalHistory], at: datetime
    ) -> tuple[datetime | None, datetime | None]:
        """The time around ``at`` in which oxygen has the same points. None means without end."""
        times = {
            moment
            for vital in self._oxygen
            for segment in (histories[vital].segments if vital in histories else ())
            for end in (segment.start, segment.end)
            for moment in (end - ANSWER_BEFORE, end, end + ANSWER_BEFORE, end + self.fresh_for)
        }
        here = self.oxygen_points(patient, histories, at)
        since = until = None
        for moment in sorted((each for each in times if each <= at), reverse=True):
            if self.oxygen_points(patient, histories, moment - TICK) != here:
                since = moment
                break
        for moment in sorted(each for each in times if each > at):
            if self.oxygen_points(patient, histories, moment) != here:
                until = moment
                break
        return since, until

    def points(self, vital: str, value: Decimal, unit: str, scale: OxygenScale) -> int | None:
        """Points of one value, rounded half up to the chart's step.

        None for a vital that is not on the chart.
        """
        found = self._row(vital, value, unit, scale)
        return None if found is None else found[1]

    def _row(
        self, vital: str, value: Decimal, unit: str, scale: OxygenScale
    ) -> tuple[int, int] | None:
        """Index of the chart's row that holds the value, and its points."""
        parameter = self._of_vital.get(vital)
        if parameter is None:
            return None
        number = self._knowledge.convert(value, unit, parameter.unit).quantize(
            parameter.step, ROUND_HALF_UP
        )
        for index, (upto, points) in enumerate(parameter.on(scale)[0]):
            if not upto or number <= Decimal(upto):
                return index, points
        raise AssertionError("the chart's last row has no upper end")

    def score(self, histories: Histories, at: datetime, patient: PatientEntry) -> News2Score | None:
        """The score as of ``at``, or None where it does not apply or nothing is known."""
        if self.exempt(patient, at):
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
        registered, answer = self._oxygen_sources(patient, histories.vitals, at)
        oxygen = _most_points(registered, answer)
        if oxygen is None:
            add += self.news2.max_oxygen
            missing.append(OXYGEN)
        else:
            parts[OXYGEN] = oxygen
            if answer is not None:
                known[OXYGEN] = (oxygen, answer)
        measured_at = min(known[SATURATION][1].end, at) if SATURATION in known else at
        scale = self.scale(patient, histories.vitals, measured_at)
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
            is_scale_past=scale != self.scale(patient, histories.vitals, at),
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
        scale = self.scale(patient, histories.vitals, min(segment.end, at))
        on_air = segment.points or 0
        on_oxygen = self._on_oxygen(segment, histories)
        if scale == "2 unknown":
            return min(on_air, on_oxygen), max(on_air, on_oxygen)
        points = on_oxygen if scale == "2 on oxygen" else on_air
        return points, points

    def minimum_on_oxygen(
        self, score: News2Score, histories: Histories, at: datetime, patient: PatientEntry
    ) -> int:
        """The lowest score if the patient were on oxygen at that moment."""
        parts = {**score.points, OXYGEN: self.news2.max_oxygen}
        segment = self._newest(histories.vitals, self._parameters[SATURATION].vitals, at)
        if segment is not None and SATURATION in parts and has_scale_2(patient):
            parts[SATURATION] = self._on_oxygen(segment, histories)
        return sum(parts.values())

    def _on_oxygen(self, segment: Segment, histories: Histories) -> int:
        """The points that the saturation of a segment has on oxygen."""
        history = histories.on_oxygen
        beside = None if history is None else as_of(history, segment.end, self.fresh_for)
        if beside is not None and beside.points is not None:
            return beside.points
        reading = segment.reading
        if reading is None or reading.value is None:
            return segment.points or 0
        return self.points(reading.vital, Decimal(reading.value), reading.unit, "2 on oxygen") or 0

    def _newest(
        self, histories: Mapping[str, VitalHistory], vitals: tuple[str, ...], at: datetime
    ) -> Segment | None:
        found = [
            as_of(histories[vital], at, self.fresh_for) for vital in vitals if vital in histories
        ]
        segments = [segment for segment in found if segment is not None]
        return max(segments, key=lambda segment: min(segment.end, at), default=None)

    def later_changes(self, histories: Mapping[str, VitalHistory], at: datetime) -> list[datetime]:
        """Moments within the fresh time after ``at`` at which a part changed.

        A late reading may matter there.
        """
        until = at + self.fresh_for
        return sorted(
            {
                segment.start
                for vital in self.vitals
                if vital in histories
                for segment in histories[vital].segments
                if at < segment.start <= until
            }
        )


def _most_points(registered: int | None, answer: Segment | None) -> int | None:
    given = (registered, answer.points if answer is not None else None)
    return max((points for points in given if points is not None), default=None)
