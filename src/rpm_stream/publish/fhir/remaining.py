"""Count from the topics what stays correct in windows from which readings are taken back.

The judge keeps only the newest windows. A command that takes back readings of an older window has
read the topics, and sends the rest of the window to the judge.
"""

from __future__ import annotations

from collections.abc import Iterable

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.publish.fhir.observation import publishes
from rpm_stream.publish.windows import SPAN_SECONDS, Counted, WindowKey, place_of
from rpm_stream.records import Reading, Window
from rpm_stream.sameness import MINUTE, Measurements

NEAR_SECONDS = MINUTE // 1_000_000


class Remaining:
    """The remaining content of the windows of ``wrong``, of all devices of the wearer.

    Each reading counts once. Fill it with what rpm.readings holds, then with adopted readings, as
    the first reading of a window fixes its unit. A measurement that came twice is counted once. If
    its first reading is wrong, the other one counts. ``voided`` has the ids of readings that were
    taken back before. The memory used is bounded by these windows, as only their ids and counts are
    kept.
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
        """The patients of the windows."""
        return frozenset(patient for patient, *_ in self._places)

    def add(self, readings: Iterable[Reading]) -> None:
        """Count the readings of one message as the judge would.

        A reading counts if it is in one of the windows, correct, and not counted yet.
        """
        near = [reading for reading in readings if self._is_near(place_of(reading), reading)]
        for reading in sorted(near, key=lambda each: (each.measured_at, each.id)):
            if reading.id not in self._passed and publishes(reading, self._knowledge) == "summary":
                self._passed.add(reading.id)
                if self._measurements.add(reading) and place_of(reading) in self._places:
                    self._counted.add(reading)

    def _is_near(self, place: WindowKey, reading: Reading) -> bool:
        """Return whether a reading is in one of the windows, or close to one.

        A close reading may be the same measurement as one inside.
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
        """Return the windows of some of the wrong readings, as they are without all wrong ones.

        An empty window is left out.
        """
        places = dict.fromkeys(place_of(reading) for reading in wrong)
        return tuple(
            window for place in places if (window := self._counted.window(place)) is not None
        )
