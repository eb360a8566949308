"""What is right in the windows out of which readings are taken back, counted from the topics.

The judge keeps the newest windows only. Who takes readings of an older one back has read the
topics, and tells it.
"""

from __future__ import annotations

from collections.abc import Iterable

from rpm_stream.knowledge import Knowledge
from rpm_stream.publish.fhir.observation import publishes
from rpm_stream.publish.windows import SPAN_SECONDS, Counted, Place, place_of
from rpm_stream.records import Reading, Window
from rpm_stream.sameness import MINUTE, Measurements

NEAR_SECONDS = MINUTE // 1_000_000


class Remaining:
    """What else is in the windows of ``wrong``: of every device of the wearer, each reading once.

    Fill it with what rpm.readings holds, then with what was adopted: the first reading of a window
    fixes its unit. A measurement that came twice is counted once, and where its first reading is
    wrong by the other. ``voided``: ids of what was taken back before. It remembers ids and counts
    of these windows, whatever comes.
    """

    def __init__(
        self, wrong: Iterable[Reading], voided: Iterable[str], knowledge: Knowledge
    ) -> None:
        self._knowledge = knowledge
        summed = [reading for reading in wrong if publishes(reading, knowledge) == "summary"]
        self._places = {place_of(reading) for reading in summed}
        self._passed = {*voided, *(reading.id for reading in summed)}
        self._counted = Counted(knowledge)
        self._measurements = Measurements()

    @property
    def patients(self) -> frozenset[str]:
        """Whose windows they are."""
        return frozenset(patient for patient, *_ in self._places)

    def add(self, readings: Iterable[Reading]) -> None:
        """Count those of one message that are in one of the windows, right, and not counted yet,
        as the judge would.
        """
        near = [reading for reading in readings if self._is_near(place_of(reading), reading)]
        for reading in sorted(near, key=lambda each: (each.measured_at, each.id)):
            if reading.id not in self._passed and publishes(reading, self._knowledge) == "summary":
                self._passed.add(reading.id)
                if self._measurements.add(reading) and place_of(reading) in self._places:
                    self._counted.add(reading)

    def _is_near(self, place: Place, reading: Reading) -> bool:
        """In one of the windows, or so close to it that something in it may be the same
        measurement.
        """
        patient, vital, start = place
        passed = reading.measured_at.timestamp() - start
        beside = (
            -SPAN_SECONDS
            if passed < NEAR_SECONDS
            else SPAN_SECONDS
            if passed > SPAN_SECONDS - NEAR_SECONDS
            else 0
        )
        return place in self._places or (patient, vital, start + beside) in self._places

    def of(self, wrong: Iterable[Reading]) -> tuple[Window, ...]:
        """The windows of some of the wrong readings as they are without all of them; none for an
        empty one.
        """
        places = dict.fromkeys(place_of(reading) for reading in wrong)
        return tuple(
            window for place in places if (window := self._counted.window(place)) is not None
        )
