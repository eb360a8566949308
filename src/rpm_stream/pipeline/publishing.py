"""Which Observations one message of readings gives (CONTRACT 6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rpm_stream.knowledge import Knowledge
from rpm_stream.publish import fhir, summaries
from rpm_stream.publish.fhir import Published
from rpm_stream.publish.summaries import Summaries
from rpm_stream.records import Reading


def publish(
    windows: Summaries, readings: Sequence[Reading], evidence: Iterable[Reading], knowledge: Knowledge
) -> tuple[Published, ...]:
    """Every reading in one Observation, one summary, or none by policy; evidence singly besides."""
    policies = [(reading, fhir.publishes(reading, knowledge)) for reading in readings]
    summed = [reading for reading, policy in policies if policy == "summary"]
    taken, closed = summaries.add_all(windows, summed, knowledge)
    single = [reading for reading, policy in policies if policy == "single"]
    single += [reading for reading, was_taken in zip(summed, taken, strict=True) if not was_taken]
    shown = {reading.id for reading in single}
    single += [
        reading for reading in evidence if reading.id not in shown and fhir.publishes(reading, knowledge) == "summary"
    ]
    return (*fhir.singles(single, knowledge), *(fhir.summary(window, knowledge) for window in closed))
