"""What is wrong with an entry of the registry, in words for the person who wrote it."""

from __future__ import annotations

from datetime import datetime

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.registry import has_unreadable_birth
from rpm_stream.records import DeviceEntry, PatientEntry, RegistryEntry
from rpm_stream.score.memory.expected import expected_faults
from rpm_stream.score.rules.discharge_weight import target_fault
from rpm_stream.score.rules.individual_limits import limit_fault


def faults(entry: RegistryEntry, knowledge: Knowledge, at: datetime | None = None) -> list[str]:
    """What is wrong with a registry entry as of ``at``, in words without names of people.

    The list is empty for a good entry.
    """
    if isinstance(entry, DeviceEntry):
        return []
    found = [
        (number, limit_fault(limit, knowledge))
        for number, limit in enumerate(entry.limits, start=1)
    ]
    faults = [f"limit {number}: {fault}" for number, fault in found if fault]
    if isinstance(entry, PatientEntry):
        faults += [f"expected_every: {fault}" for _, fault in expected_faults(entry, knowledge)]
        if (
            entry.target_weight is not None
            and (fault := target_fault(entry.target_weight, knowledge)) is not None
        ):
            faults.append(fault)
        if has_unreadable_birth(entry):
            faults.append(
                "born is not YYYY, YYYY-MM or YYYY-MM-DD, so it is not known whether this is a"
                " child"
            )
        elif has_unreadable_birth(entry, at):
            faults.append("born is in the future, so it is not known whether this is a child")
    return faults
