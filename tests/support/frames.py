"""What is sent, for tests: frames and their measurements, registry entries and single readings.

Times are minutes after START.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from rpm_stream.knowledge.registry import Registry, parse_entry
from rpm_stream.records import Reading
from support.readings import reading_at

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
UNITS = {
    "heart_rate": "/min",
    "pulse_rate": "/min",
    "respiratory_rate": "/min",
    "oxygen_saturation": "%",
    "systolic": "mm[Hg]",
    "diastolic": "mm[Hg]",
    "body_temperature": "Cel",
    "glucose": "mg/dL",
    "glucose_interstitial": "mg/dL",
    "weight": "kg",
    "battery": "%",
    "cadence": "/min",
    "mean_arterial": "mm[Hg]",
    "perfusion_index": "%",
}

Record = dict[str, Any]


def stamp(minutes: float) -> str:
    """Return the time so many minutes after START, as RFC 3339."""
    return (START + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def registry_of(entries: Iterable[Record]) -> Registry:
    return Registry(parse_entry(msgspec.json.encode(entry)) for entry in entries)


def worn(patient: str = "p", device: str = "d", **fields: Any) -> Record:
    """Return a registry entry that gives the device to the patient, without begin or end."""
    return {"v": 1, "device": device, "assignments": [{"patient": patient}], **fields}


def frame(entries: Sequence[Record], minutes: float, seq: int = 0, **fields: Any) -> Record:
    """Return a frame of device ``d``: measurements, or notifications if an entry has a payload."""
    kind = "notifications" if "payload" in entries[0] else "measurements"
    given = {
        "v": 1,
        "frame": f"f{seq}",
        "gateway": "g",
        "device": "d",
        "seq": seq,
        "boot": "b",
        "sent_at": stamp(minutes),
        kind: list(entries),
    }
    return {**given, **fields}


def measurement(minutes: float, vital: str, value: str, unit: str | None = None) -> Record:
    return {"at": stamp(minutes), "vital": vital, "value": value, "unit": unit or UNITS[vital]}


def notified(
    characteristic: str, payloads: Iterable[tuple[float, str]], **fields: Any
) -> list[Record]:
    """Return a frame for each payload, which a device sent so many minutes after START."""
    return [
        frame(
            [{"at": stamp(at), "characteristic": characteristic, "payload": payload}],
            at,
            seq=number,
            **fields,
        )
        for number, (at, payload) in enumerate(payloads)
    ]


def sent(
    device: str, seq: int, minutes: float, *values: tuple[str, str], at: float | None = None
) -> Record:
    """Return a frame of values measured at ``minutes`` and sent ``at`` (without it: then)."""
    entries = [measurement(minutes, vital, value) for vital, value in values]
    return frame(
        entries, minutes if at is None else at, seq=seq, device=device, frame=f"{device}-{seq}"
    )


def reading_of(
    vital: str, value: str | None, unit: str, minutes: float = 0, **fields: Any
) -> Reading:
    """Return one reading of the patient ``p``, as the pipeline would give it."""
    at = START + timedelta(minutes=minutes)
    return reading_at(at, vital, value, **{"id": f"r-{vital}-{minutes}", "unit": unit, **fields})
