"""What is known of a patient's oxygen at a time: from check-ins, and from the registry.

A wearable does not tell it. A check-in reports it, and the registry does where no check-in has
(CONTRACT 10). On scale 2 the limits of oxygen saturation depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import PatientEntry
from rpm_stream.score.memory.history import Segment, VitalHistory
from rpm_stream.score.rules.oxygen_scale import OxygenScale, has_scale_2

TICK = timedelta(microseconds=1)
# an answer about oxygen counts from so long before it (CONTRACT 10)
ANSWER_BEFORE = timedelta(minutes=60)


class Oxygen:
    """What a patient breathes, bound to the knowledge table."""

    def __init__(self, knowledge: Knowledge) -> None:
        news2 = knowledge.news2
        self._vitals = tuple(vital for row in news2.oxygen() for vital in row.vitals)
        self._fresh_for = timedelta(hours=news2.fresh_for_hours)
        self._most = news2.max_oxygen

    def scale(
        self, patient: PatientEntry, histories: Mapping[str, VitalHistory], at: datetime
    ) -> OxygenScale:
        """The scale of oxygen saturation as of ``at``."""
        if not has_scale_2(patient):
            return "1"
        points = self.points(patient, histories, at)
        return "2 unknown" if points is None else "2 on oxygen" if points else "2 on air"

    def points(
        self, patient: PatientEntry, histories: Mapping[str, VitalHistory], at: datetime
    ) -> int | None:
        """Points of "air or oxygen" as of ``at``, or None where nothing is known (CONTRACT 10).

        The last answer before ``at`` counts for at most 12 hours, else the registry. Answers within
        an hour before it contradict it, and so do answers in the hour after ``at``. More points
        count then.
        """
        return most_points(*self.sources(patient, histories, at))

    def is_still_on_oxygen(
        self, patient: PatientEntry, histories: Mapping[str, VitalHistory], at: datetime
    ) -> bool:
        """Whether a patient who was on oxygen before ``at`` still counts as on it.

        An answer that has aged is still the last known one. Only a newer answer ends it, or a
        registry with air where there was never an answer.
        """
        registered, answer = self.sources(patient, histories, at)
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
            for vital in self._vitals
            for segment in (histories[vital].segments if vital in histories else ())
            for moment in {segment.start, min(max(at, segment.start), segment.end), segment.end}
        ]

    def sources(
        self, patient: PatientEntry, histories: Mapping[str, VitalHistory], at: datetime
    ) -> tuple[int | None, Segment | None]:
        """The registry's points, where it counts, and the answer that counts.

        That is the newest of the answers with most points.
        """
        answers = self._answers(histories, at)
        before = max((moment for moment, _ in answers if moment <= at), default=None)
        counted = [each for each in answers if at < each[0] <= at + ANSWER_BEFORE]
        registry = None
        if before is not None and at - before <= self._fresh_for:
            counted += [each for each in answers if before - ANSWER_BEFORE <= each[0] <= at]
        elif patient.on_oxygen is not None:
            registry = self._most if patient.on_oxygen else 0
        newest = max(counted, key=lambda each: (each[1].points or 0, each[0]), default=None)
        return registry, None if newest is None else newest[1]

    def reach(
        self, patient: PatientEntry, histories: Mapping[str, VitalHistory], at: datetime
    ) -> tuple[datetime | None, datetime | None]:
        """The time around ``at`` in which oxygen has the same points. None means without end."""
        times = {
            moment
            for vital in self._vitals
            for segment in (histories[vital].segments if vital in histories else ())
            for end in (segment.start, segment.end)
            for moment in (end - ANSWER_BEFORE, end, end + ANSWER_BEFORE, end + self._fresh_for)
        }
        here = self.points(patient, histories, at)
        since = until = None
        for moment in sorted((each for each in times if each <= at), reverse=True):
            if self.points(patient, histories, moment - TICK) != here:
                since = moment
                break
        for moment in sorted(each for each in times if each > at):
            if self.points(patient, histories, moment) != here:
                until = moment
                break
        return since, until


def most_points(registered: int | None, answer: Segment | None) -> int | None:
    """Return the points of whichever says more, or None where neither is known."""
    given = (registered, answer.points if answer is not None else None)
    return max((points for points in given if points is not None), default=None)
