"""CSV to frames: what a gateway would have sent, as GATT octets wherever a characteristic keeps the
value's digits.

``CARRIERS`` is the one list of what goes into which characteristic. A value that none carries
exactly (a heart rate of ``65.0``: 2A37 has whole numbers; a glucose of ``246.0`` mg/dL: an SFLOAT
ends at 2047) goes as a measurement of an app. Nothing is rounded, nothing is left out. Pure: rows
in, frames out.

2A5E always holds a pulse and 2A35 always a mean pressure: where the file has none it is NaN, and
the service notes a reading without value, as it does for such a device.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from rpm_stream.app.gateway.wire import chunks, frame_id
from rpm_stream.app.simulator.encode import gatt as gatt
from rpm_stream.errors import RpmStreamError
from rpm_stream.records import Assignment, DeviceEntry, Frame, Measurement, Notification

GATEWAY = "csv"
WHOLE = re.compile(r"0|[1-9][0-9]{0,4}")


class Row(NamedTuple):
    """One row of the file. ``at`` in UTC; ``line`` counts from 1, the header included. ``absent``:
    the value is a text that says why there is no number (LO of a meter, a clinic's placeholder): it
    goes as it stands, in a measurement.
    """

    patient: str
    at: datetime
    vital: str
    value: str
    unit: str
    device: str
    line: int
    absent: bool = False


class SharedDevice(RpmStreamError, ValueError):
    """One device, two patients, at overlapping times: no assignment says whose the readings are."""


Said: TypeAlias = Mapping[str, Row]
Write: TypeAlias = Callable[[Said, int], bytes]
"""The rows of one instant by vital, and the device's running number, as octets; ``ValueError``
if not exactly.
"""


class Carrier(NamedTuple):
    """A characteristic, the vitals that it needs, those that it takes along, and its writer."""

    characteristic: str
    needs: tuple[str, ...]
    takes: tuple[str, ...]
    write: Write


def _unit(rows: Iterable[Row], *allowed: str) -> Any:
    """The one unit of all ``rows``; ``ValueError`` if there are two or the wire knows it not."""
    units = {row.unit for row in rows}
    if len(units) != 1 or not units <= set(allowed):
        raise ValueError(f"the wire has {' and '.join(allowed)}")
    return units.pop()


def _whole(row: Row) -> int:
    if not WHOLE.fullmatch(row.value):
        raise ValueError(f"{row.value} is no whole number")
    return int(row.value)


def _heart_rate(said: Said, _: int) -> bytes:
    row = said["heart_rate"]
    _unit([row], "/min")
    if _whole(row) == 0:  # on the wire a rate of 0 says "no reading"
        raise ValueError("0 is no heart rate on the wire")
    return gatt.heart_rate(gatt.HeartRate(rate=_whole(row)))


def _spot(said: Said, _: int) -> bytes:
    saturation = said["oxygen_saturation"]
    pulse = said.get("pulse_rate")
    _unit([saturation], "%")
    if pulse is None:
        return gatt.spot(gatt.Spot(oxygen_saturation=saturation.value))
    _unit([pulse], "/min")
    return gatt.spot(gatt.Spot(oxygen_saturation=saturation.value, pulse_rate=pulse.value))


def _blood_pressure(said: Said, _: int) -> bytes:
    mean = said.get("mean_arterial")
    return gatt.blood_pressure(
        gatt.BloodPressure(
            systolic=said["systolic"].value,
            diastolic=said["diastolic"].value,
            mean_arterial="NaN" if mean is None else mean.value,
            unit=_unit(said.values(), "mm[Hg]", "kPa"),
        )
    )


def _temperature(said: Said, _: int) -> bytes:
    row = said["body_temperature"]
    return gatt.temperature(gatt.Temperature(value=row.value, unit=_unit([row], "Cel", "[degF]")))


def _glucose(said: Said, number: int) -> bytes:
    row = said["glucose"]
    unit = cast(Literal["mg/dL", "mmol/L"], _unit([row], "mg/dL", "mmol/L"))
    # The base time is local to the device; the frame says that it lives at +00:00.
    return gatt.glucose(gatt.Glucose(sequence=number, base_time=row.at, value=row.value, unit=unit))


def _weight(said: Said, _: int) -> bytes:
    row = said["weight"]
    return gatt.weight(gatt.Weight(value=row.value, unit=_unit([row], "kg", "[lb_av]")))


def _battery(said: Said, _: int) -> bytes:
    _unit(said.values(), "%")
    return gatt.battery(_whole(said["battery"]))


# 2AA7 is not here: its time is an offset from a session start that a file does not tell.
CARRIERS: tuple[Carrier, ...] = (
    Carrier("2A37", ("heart_rate",), (), _heart_rate),
    Carrier("2A5E", ("oxygen_saturation",), ("pulse_rate",), _spot),
    Carrier("2A35", ("systolic", "diastolic"), ("mean_arterial",), _blood_pressure),
    Carrier("2A1C", ("body_temperature",), (), _temperature),
    Carrier("2A18", ("glucose",), (), _glucose),
    Carrier("2A9D", ("weight",), (), _weight),
    Carrier("2A19", ("battery",), (), _battery),
)


class _Device:
    """What an encoder remembers of one device: its counters, and who wore it from when to when."""

    def __init__(self, first: datetime) -> None:
        # from the data: the same file gives the same frames
        self.boot = first.strftime("%Y%m%dT%H%M%SZ")
        self.seq = 0
        self.number = 0  # 2A18's sequence number, 0 to 65535 and round again
        self.stints: list[tuple[str, datetime, datetime]] = []

    def worn(self, patient: str, at: datetime) -> None:
        """Note a reading: it prolongs the patient's stint or begins one."""
        if self.stints and self.stints[-1][0] == patient:
            _, first, last = self.stints[-1]
            self.stints[-1] = (patient, min(first, at), max(last, at))
        else:
            self.stints.append((patient, at, at))


class Encoder:
    """Rows to frames, and afterwards to the registry entries that they need."""

    def __init__(self) -> None:
        self._devices: dict[str, _Device] = {}

    def frames(self, rows: Iterable[Row]) -> Iterator[Frame]:
        """Consecutive rows of one (patient, device, time) become a frame of octets and one of
        measurements, as needed.

        ``sent_at`` and ``received_at`` are the time of measurement; the offset from UTC is +00:00.
        """
        for (patient, device, at), group in groupby(
            rows, key=lambda row: (row.patient, row.device, row.at)
        ):
            state = self._devices.setdefault(device, _Device(at))
            state.worn(patient, at)
            notifications, measurements = _entries(list(group), state)
            for kind, entries in (("notifications", notifications), ("measurements", measurements)):
                for chunk in chunks(entries):
                    yield _frame(device, state, at, {kind: chunk})
                    state.seq += 1

    def registry(self) -> list[DeviceEntry]:
        """Each device with its patients, each from the first reading until the next patient's
        first.

        Raises ``SharedDevice`` where the readings of two patients overlap in time.
        """
        return [
            DeviceEntry(device=name, assignments=_assignments(state.stints), utc_offset="+00:00")
            for name, state in self._devices.items()
        ]


def _entries(rows: list[Row], state: _Device) -> tuple[list[Notification], list[Measurement]]:
    """The rows of one instant, each in exactly one entry."""
    left = list(rows)
    notifications = []
    for carrier in CARRIERS:
        said = {
            row.vital: row
            for row in reversed(left)
            if not row.absent and row.vital in carrier.needs + carrier.takes
        }
        if not said.keys() >= set(carrier.needs):
            continue
        try:
            payload = carrier.write(said, state.number)
        except ValueError:
            continue  # not exactly representable: a measurement keeps the digits
        if carrier.characteristic == "2A18":
            state.number = (state.number + 1) % 65536
        notifications.append(
            Notification(
                at=rows[0].at, characteristic=carrier.characteristic, payload=payload.hex()
            )
        )
        left = [row for row in left if not any(row is carried for carried in said.values())]
    return notifications, [
        Measurement(at=row.at, vital=row.vital, value=row.value, unit=row.unit) for row in left
    ]


def _frame(device: str, state: _Device, at: datetime, entries: dict[str, Any]) -> Frame:
    return Frame(
        v=1,
        frame=frame_id(GATEWAY, device, state.boot, state.seq),
        gateway=GATEWAY,
        device=device,
        seq=state.seq,
        boot=state.boot,
        sent_at=at,
        received_at=at,
        utc_offset="+00:00",
        **entries,
    )


def _assignments(stints: list[tuple[str, datetime, datetime]]) -> tuple[Assignment, ...]:
    ordered = sorted(stints, key=lambda stint: stint[1])
    assignments = []
    for place, (patient, first, last) in enumerate(ordered):
        until = ordered[place + 1][1] if place + 1 < len(ordered) else None
        if until is not None and last >= until:
            raise SharedDevice("two patients' readings of one device overlap in time")
        assignments.append(Assignment(patient=patient, from_=first.astimezone(UTC), until=until))
    return tuple(assignments)
