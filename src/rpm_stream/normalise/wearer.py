"""Find whose a value is, by the registry.

The registry decides by device and time, and by user index on a device that several people use.
Nothing is guessed. If the registry leaves more than one person, the value is refused. It can be
sent again once the registry has more information.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rpm_stream.entries import Refusal
from rpm_stream.ids import fhir_id
from rpm_stream.knowledge.registry import holders
from rpm_stream.records import Assignment, DeviceEntry, Record

# the attribute in which decoders put the user index; a text if the device does not know it
USER = "user_id"
# the flag of decoders for index 255, and of this module if a registered slot was not named
UNSURE = "user_unknown"

_UNKNOWN_DEVICE = Refusal(reason="unknown_device", detail="this device is not in the registry")
_NOBODY = Refusal(reason="unassigned", detail="the device belonged to nobody at that time")
_OTHER_SLOT = Refusal(
    reason="unassigned", detail="this user of the device is nobody in the registry at that time"
)
_TWO = Refusal(
    reason="identity_conflict", detail="the device belonged to two patients at that time"
)
_WHICH = Refusal(
    reason="identity_conflict",
    detail="several use the device, and which of them it was is not known",
)
_NAMED_OTHER = Refusal(
    reason="identity_conflict", detail="the resource's subject is not who wears the device"
)


class Claim(Record, frozen=True, kw_only=True, gc=False):
    """What a value tells of its person.

    ``user`` is the device's user index (0 to 254). ``subject`` has the ids of a resource's subject.
    """

    at: datetime
    user: int | None
    subject: tuple[str, ...]


def claim(at: datetime, attributes: dict[str, Any], subject: tuple[str, ...]) -> Claim:
    """Return the claim of a value measured at ``at``."""
    user = attributes.get(USER)
    return Claim(at=at, user=user if isinstance(user, int) else None, subject=subject)


def wearer(
    device: DeviceEntry | None, unregistered: str | None, made: Claim
) -> tuple[str | Refusal, tuple[str, ...]]:
    """Return the patient, or the refusal if there is none, and the flags for the reading.

    ``unregistered`` is the patient of an unknown device. In a CSV file it is that of the row.
    """
    if device is None:
        patient = _UNKNOWN_DEVICE if unregistered is None else _agreed(unregistered, made.subject)
        return patient, ()
    at_that_time = holders(device, made.at)
    # nearly always
    if len(at_that_time) == 1 and at_that_time[0].user is None and not made.subject:
        return at_that_time[0].patient, ()
    found = at_that_time if made.user is None else _of_slot(at_that_time, made.user)
    patients = list(dict.fromkeys(each.patient for each in found))
    if len(patients) > 1 and made.subject:
        patients = [patient for patient in patients if _is_named(patient, made.subject)]
        if not patients:
            return _NAMED_OTHER, ()
    if len(patients) == 1:
        is_unsure = (
            made.user is None and not made.subject and all(each.user is not None for each in found)
        )
        return _agreed(patients[0], made.subject), (UNSURE,) if is_unsure else ()
    if patients:
        return (_WHICH if any(each.user is not None for each in found) else _TWO), ()
    return (_OTHER_SLOT if at_that_time else _NOBODY), ()


def _of_slot(found: Sequence[Assignment], user: int) -> list[Assignment]:
    """Return the assignments with this slot, else those without a slot."""
    return [each for each in found if each.user == user] or [
        each for each in found if each.user is None
    ]


def _agreed(patient: str, subject: tuple[str, ...]) -> str | Refusal:
    """Return the wearer, or a refusal if the entry itself names another person.

    In that case the registry or the record system is wrong.
    """
    return patient if not subject or _is_named(patient, subject) else _NAMED_OTHER


def _is_named(patient: str, subject: tuple[str, ...]) -> bool:
    return not {patient, fhir_id(patient)}.isdisjoint(subject)
