"""Choose the Observations for one message of readings (CONTRACT 6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rpm_stream.ahead import as_stamped
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.publish.fhir import observation as fhir
from rpm_stream.publish.fhir import summaries
from rpm_stream.publish.fhir.observation import Published
from rpm_stream.publish.window_state import Summaries
from rpm_stream.records import Reading


def publish(
    windows: Summaries,
    readings: Sequence[Reading],
    evidence: Iterable[Reading],
    knowledge: Knowledge,
    also_seen: Sequence[Reading] = (),
) -> tuple[Published, ...]:
    """Return the Observations of one message.

    Every reading is in one Observation, in one summary, or in none by policy. Evidence is also
    published singly. A reading of ``also_seen`` is the same measurement as another one and is
    published as evidence only.
    """
    again = {reading.id for reading in also_seen}
    policies = [
        (reading, fhir.publishes(reading, knowledge))
        for reading in readings
        if reading.id not in again
    ]
    summed = [reading for reading, policy in policies if policy == "summary"]
    taken, closed = summaries.add_all(windows, summed, knowledge)
    for reading in map(as_stamped, also_seen):
        summaries.note_again(windows, reading, knowledge)
    single = [reading for reading, policy in policies if policy == "single"]
    single += [reading for reading, was_taken in zip(summed, taken, strict=True) if not was_taken]
    shown = {reading.id for reading in single}
    for reading in map(as_stamped, evidence):
        policy = fhir.publishes(reading, knowledge)
        if reading.id not in shown and (
            policy == "summary" or (reading.id in again and policy == "single")
        ):
            single.append(reading)
    return (
        *fhir.singles(single, knowledge),
        *(fhir.summary(window, knowledge) for window in closed),
    )
