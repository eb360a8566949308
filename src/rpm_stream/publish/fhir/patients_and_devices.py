"""Patient and Device as FHIR R4 resources, from the registry or from a bare id.

They hold only what the service itself knows, because the EHR owns a person's data.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from rpm_stream.ids import fhir_id
from rpm_stream.records import DeviceEntry, PatientEntry

# Systems of the service's own ids, which distinguish its resources from those of the EHR.
IDENTIFIER_SYSTEMS = {"Patient": "urn:rpm-stream:patient", "Device": "urn:rpm-stream:device"}
_BIRTH_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")


def identifier(kind: str, text: str) -> dict[str, str]:
    """Return the identifier of a "Patient" or "Device" that our records call ``text``."""
    return {"system": IDENTIFIER_SYSTEMS[kind], "value": text}


def _resource(kind: str, text: str) -> dict[str, Any]:
    return {"resourceType": kind, "id": fhir_id(text), "identifier": [identifier(kind, text)]}


def patient_resource(entry: PatientEntry) -> dict[str, Any]:
    """Return the Patient of a registry entry: id, identifier and displayed name.

    The birth date is included if it is a date.
    """
    resource = _resource("Patient", entry.patient)
    if entry.display:
        resource["name"] = [{"text": entry.display}]
    if entry.born is not None and _is_date(entry.born):
        resource["birthDate"] = entry.born
    return resource


def device_resource(entry: DeviceEntry) -> dict[str, Any]:
    """Return the Device of a registry entry: id, identifier and model.

    The Observations show who wears it and when.
    """
    resource = _resource("Device", entry.device)
    if entry.model:
        resource["deviceName"] = [{"name": entry.model, "type": "model-name"}]
    return resource


def _is_date(text: str) -> bool:
    """Return whether ``text`` is a FHIR date: YYYY, YYYY-MM or YYYY-MM-DD of the calendar."""
    if not _BIRTH_DATE.fullmatch(text) or not text.isascii():
        return False
    try:
        date.fromisoformat(text + "-01-01"[len(text) - 4 :] if len(text) < 10 else text)
    except ValueError:
        return False
    return True
