"""Who wears what, and whose limits: the content of ``rpm.registry`` as a lookup, valid at the time of a reading."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime

import msgspec

from rpm_stream.records import DeviceEntry, PatientEntry


class RegistryError(Exception):
    """A line is no registry entry; the text says why, without the entry's content."""


_device = msgspec.json.Decoder(DeviceEntry)
_patient = msgspec.json.Decoder(PatientEntry)
_probe = msgspec.json.Decoder(dict[str, msgspec.Raw])


def plain_fault(error: msgspec.MsgspecError | RecursionError) -> str:
    """What is wrong with a message and where, without the value, which msgspec repeats where it knows all that may be.

    >>> plain_fault(msgspec.ValidationError("Invalid enum value 'Ada' - at `$.priority`"))
    'Invalid enum value - at `$.priority`'
    """
    return re.sub(r"(Invalid (?:enum )?value) .*?(?= - at `\$|$)", r"\1", str(error), flags=re.DOTALL)


def parse_entry(value: bytes) -> DeviceEntry | PatientEntry:
    """A message value of ``rpm.registry``. Raises RegistryError."""
    try:
        keys = _probe.decode(value)
        if "key" in keys and "value" in keys:  # a dump of the topic with its keys
            value = bytes(keys["value"])
            keys = _probe.decode(value)
        return _device.decode(value) if "device" in keys else _patient.decode(value)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RegistryError(plain_fault(error)) from None


def entry_key(entry: DeviceEntry | PatientEntry) -> str:
    """The Kafka key of an entry."""
    return f"device/{entry.device}" if isinstance(entry, DeviceEntry) else f"patient/{entry.patient}"


class Registry:
    """Devices and patients by id. Changed only by whole entries, as the compacted topic is."""

    def __init__(self, entries: Iterable[DeviceEntry | PatientEntry] = ()) -> None:
        self.devices: dict[str, DeviceEntry] = {}
        self.patients: dict[str, PatientEntry] = {}
        for entry in entries:
            self.put(entry)

    def put(self, entry: DeviceEntry | PatientEntry) -> None:
        """Take an entry in place of the one of the same key."""
        if isinstance(entry, DeviceEntry):
            self.devices[entry.device] = entry
        else:
            self.patients[entry.patient] = entry

    def remove(self, key: str) -> None:
        """Apply a tombstone of ``device/<id>`` or ``patient/<id>``."""
        kind, _, name = key.partition("/")
        (self.devices if kind == "device" else self.patients).pop(name, None)

    def patient(self, patient: str) -> PatientEntry:
        """The entry, or that of an unregistered patient: an adult with the shipped limits."""
        return self.patients.get(patient) or PatientEntry(patient=patient)


def wearers(device: DeviceEntry, at: datetime) -> list[str]:
    """The patients to whom ``device`` belonged at ``at``: several where the registry contradicts itself."""
    found = [
        assignment.patient
        for assignment in device.assignments
        if (assignment.from_ is None or assignment.from_ <= at) and (assignment.until is None or at < assignment.until)
    ]
    return found if len(found) < 2 else list(dict.fromkeys(found))


def wearer(device: DeviceEntry, at: datetime) -> str | None:
    """The patient to whom ``device`` belonged at ``at``; the first where the registry names several."""
    return next(iter(wearers(device, at)), None)


def years_old(entry: PatientEntry, at: datetime) -> int | None:
    """Whole years at ``at``; None when ``born`` (YYYY, YYYY-MM or YYYY-MM-DD) is unknown or unreadable."""
    if not entry.born:
        return None
    try:
        born = date.fromisoformat((entry.born + "-01-01"[len(entry.born) - 4 :])[:10])
    except ValueError:
        return None
    return at.year - born.year - ((at.month, at.day) < (born.month, born.day))
