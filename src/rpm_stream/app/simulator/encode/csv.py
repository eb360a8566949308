"""CSV to frames, as a gateway would have sent them.

``CARRIERS`` lists which vitals go into which characteristic. A value goes into GATT bytes if a
characteristic keeps all of its digits. Otherwise it goes as a measurement of an app. Examples are a
heart rate of ``65.0``, because 2A37 has whole numbers, and a glucose of ``246.0`` mg/dL, because an
SFLOAT ends at 2047. No value is rounded or left out. This module is pure: rows in, frames out.

2A5E always holds a pulse and 2A35 always a mean pressure. If the file has none, it is NaN. The
service then stores a reading without a value, as it does for such a device.
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


class FileRow(NamedTuple):
    """One row of the file.

    ``at`` is in UTC. ``line`` counts from 1 and includes the header. ``absent`` is true for a text
    that explains why there is no number (a meter's LO, a clinic's placeholder). Such a text goes
    unchanged into a measurement.
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
    """Two patients used one device at overlapping times, so no assignment fits the readings."""


RowsOfVitals: TypeAlias = Mapping[str, FileRow]
WriteRows: TypeAlias = Callable[[RowsOfVitals, int], bytes]
"""Writes the rows of one moment (by vital) with the device's sequence number as bytes.

Raises ``ValueError`` if that is not possible exactly.
"""


class Carrier(NamedTuple):
    """A characteristic, the vitals that it needs, the optional ones, and its writer."""

    characteristic: str
    needs: tuple[str, ...]
    takes: tuple[str, ...]
    write: WriteRows


def _unit(rows: Iterable[FileRow], *allowed: str) -> Any:
    """Return the one unit of all ``rows``.

    Raises ``ValueError`` for two units, and for a unit that is not allowed.
    """
    units = {row.unit for row in rows}
    if len(units) != 1 or not units <= set(allowed):
        raise ValueError(f"the unit must be {' or '.join(allowed)}")
    return units.pop()


def _whole(row: FileRow) -> int:
    if not WHOLE.fullmatch(row.value):
        raise ValueError(f"{row.value} is not a whole number")
    return int(row.value)


def _heart_rate(rows: RowsOfVitals, _: int) -> bytes:
    row = rows["heart_rate"]
    _unit([row], "/min")
    if _whole(row) == 0:  # in a payload a rate of 0 means "no reading"
        raise ValueError("a payload cannot hold a heart rate of 0")
    return gatt.heart_rate(gatt.HeartRate(rate=_whole(row)))


def _spot(rows: RowsOfVitals, _: int) -> bytes:
    saturation = rows["oxygen_saturation"]
    pulse = rows.get("pulse_rate")
    _unit([saturation], "%")
    if pulse is None:
        return gatt.spot(gatt.Spot(oxygen_saturation=saturation.value))
    _unit([pulse], "/min")
    return gatt.spot(gatt.Spot(oxygen_saturation=saturation.value, pulse_rate=pulse.value))


def _blood_pressure(rows: RowsOfVitals, _: int) -> bytes:
    mean = rows.get("mean_arterial")
    return gatt.blood_pressure(
        gatt.BloodPressure(
            systolic=rows["systolic"].value,
            diastolic=rows["diastolic"].value,
            mean_arterial="NaN" if mean is None else mean.value,
            unit=_unit(rows.values(), "mm[Hg]", "kPa"),
        )
    )


def _temperature(rows: RowsOfVitals, _: int) -> bytes:
    row = rows["body_temperature"]
    return gatt.temperature(gatt.Temperature(value=row.value, unit=_unit([row], "Cel", "[degF]")))


def _glucose(rows: RowsOfVitals, number: int) -> bytes:
    row = rows["glucose"]
    unit = cast(Literal["mg/dL", "mmol/L"], _unit([row], "mg/dL", "mmol/L"))
    # The base time is local to the device, and the frame has the offset +00:00.
    return gatt.glucose(gatt.Glucose(sequence=number, base_time=row.at, value=row.value, unit=unit))


def _weight(rows: RowsOfVitals, _: int) -> bytes:
    row = rows["weight"]
    return gatt.weight(gatt.Weight(value=row.value, unit=_unit([row], "kg", "[lb_av]")))


def _battery(rows: RowsOfVitals, _: int) -> bytes:
    _unit(rows.values(), "%")
    return gatt.battery(_whole(rows["battery"]))


# 2AA7 is not here: its time is an offset from a session start, which a file does not have.
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
    """An encoder's state of one device: its counters, and who wore it from when to when."""

    def __init__(self, first: datetime) -> None:
        # taken from the data, so that the same file gives the same frames
        self.boot = first.strftime("%Y%m%dT%H%M%SZ")
        self.seq = 0
        self.number = 0  # 2A18's sequence number: 0 to 65535, then 0 again
        self.stints: list[tuple[str, datetime, datetime]] = []

    def worn(self, patient: str, at: datetime) -> None:
        """Note a reading. It extends the patient's stint or begins a new one."""
        if self.stints and self.stints[-1][0] == patient:
            _, first, last = self.stints[-1]
            self.stints[-1] = (patient, min(first, at), max(last, at))
        else:
            self.stints.append((patient, at, at))


class Encoder:
    """Encodes rows as frames, and then returns the registry entries that the frames need."""

    def __init__(self) -> None:
        self._devices: dict[str, _Device] = {}

    def frames(self, rows: Iterable[FileRow]) -> Iterator[Frame]:
        """Yield the frames of ``rows``.

        Consecutive rows of one patient, device and time become a frame of GATT bytes, a frame of
        measurements, or both. ``sent_at`` and ``received_at`` are the time of measurement. The
        offset from UTC is +00:00.
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
        """Return each device with its patients.

        Each patient has the device from the first reading until the next patient's first. Raises
        ``SharedDevice`` if the readings of two patients overlap in time.
        """
        return [
            DeviceEntry(device=name, assignments=_assignments(state.stints), utc_offset="+00:00")
            for name, state in self._devices.items()
        ]


def _entries(rows: list[FileRow], state: _Device) -> tuple[list[Notification], list[Measurement]]:
    """Return the entries for the rows of one moment, each row in exactly one entry."""
    left = list(rows)
    notifications = []
    for carrier in CARRIERS:
        taken = {
            row.vital: row
            for row in reversed(left)
            if not row.absent and row.vital in carrier.needs + carrier.takes
        }
        if not taken.keys() >= set(carrier.needs):
            continue
        try:
            payload = carrier.write(taken, state.number)
        except ValueError:
            continue  # not exactly representable: a measurement keeps the digits
        if carrier.characteristic == "2A18":
            state.number = (state.number + 1) % 65536
        notifications.append(
            Notification(
                at=rows[0].at, characteristic=carrier.characteristic, payload=payload.hex()
            )
        )
        left = [row for row in left if not any(row is carried for carried in taken.values())]
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
        utc_offset="+00:00",
        received_at=at,
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
