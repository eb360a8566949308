"""How often the registry expects a vital of a patient: the usable entries, and the faults.

A vital that is in no table is left out, and so is an interval that is too long to wait for. The
others hold.
"""

from __future__ import annotations

from collections.abc import Iterator

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records.registry import PatientEntry

MOST_DAYS = 366
MOST_MINUTES = MOST_DAYS * 24 * 60


def expected_of(entry: PatientEntry, knowledge: Knowledge) -> dict[str, int]:
    """Minutes by vital, for those that can be used."""
    wrong = {vital for vital, _ in expected_faults(entry, knowledge)}
    return {vital: minutes for vital, minutes in entry.expected_every.items() if vital not in wrong}


def expected_faults(entry: PatientEntry, knowledge: Knowledge) -> Iterator[tuple[str, str]]:
    """Yield each vital whose ``expected_every`` cannot be used, and why, in words."""
    for vital, minutes in entry.expected_every.items():
        if vital not in knowledge.vitals:
            yield vital, f"there is no vital {vital!r}"
        elif minutes > MOST_MINUTES:
            yield (
                vital,
                (
                    f"{vital} is expected less often than every {MOST_MINUTES} minutes ({MOST_DAYS}"
                    " days)"
                ),
            )
