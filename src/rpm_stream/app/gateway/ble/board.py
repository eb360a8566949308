"""The state of each device, for the operator's screen, a status file and Prometheus.

The metrics do not name devices.
"""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Callable, Iterable
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge

from rpm_stream.app.gateway.ble.small_files import replace_or_log


class Presence(StrEnum):
    """Where a device is, in words for a person."""

    away = "away"
    connecting = "connecting"
    connected = "connected"
    unpaired = "not paired"  # the device or a person refused


class DeviceRow(msgspec.Struct):
    """The state of one device.

    Values from the device are old once the link is lost. ``heard_at`` is the time of the last one.
    """

    device: str
    model: str | None = None
    presence: Presence = Presence.away
    since: datetime | None = None
    heard_at: datetime | None = None
    values: int = 0
    connections: int = 0
    battery: int | None = None  # percent
    rssi: int | None = None  # dBm
    fault: str | None = None  # error of the last attempt


class Status(msgspec.Struct):
    """The content of the status file: the state of all devices."""

    at: datetime
    devices: list[DeviceRow]
    radio_fault: str | None = None
    refused: dict[str, int] = {}


class RadioMeters:
    """The Prometheus metrics of one gateway's radio. They have no label for a device."""

    def __init__(
        self, registry: CollectorRegistry, rows: Callable[[], Iterable[DeviceRow]]
    ) -> None:
        _add_gauges(registry, rows)
        counter = partial(Counter, registry=registry)
        self.values = counter(
            "rpm_gateway_ble_values", "Notifications and indications that arrived"
        )
        self.connections = counter("rpm_gateway_ble_connections", "Connections that were made")
        self.failures = counter(
            "rpm_gateway_ble_failures", "Connections not made, or ended by an error"
        )
        self.resubscriptions = counter(
            "rpm_gateway_ble_resubscriptions", "Streams that went silent and were subscribed anew"
        )
        self.resets = counter("rpm_gateway_ble_resets", "Times that the adapter was reset")
        self.dropped = counter(
            "rpm_gateway_ble_dropped_values", "Values that found no room while the disk was full"
        )


def _add_gauges(registry: CollectorRegistry, rows: Callable[[], Iterable[DeviceRow]]) -> None:
    """Register what Prometheus reads from the rows at each scrape."""

    def connected() -> list[DeviceRow]:
        return [row for row in rows() if row.presence is Presence.connected]

    gauge = partial(Gauge, registry=registry)
    gauge("rpm_gateway_ble_devices", "Devices that this gateway is to serve").set_function(
        lambda: float(len(list(rows())))
    )
    gauge("rpm_gateway_ble_connected_devices", "Devices that are connected").set_function(
        lambda: float(len(connected()))
    )
    gauge(
        "rpm_gateway_ble_lowest_battery_percent", "Of all devices that tell; 100 where none does"
    ).set_function(lambda: _lowest((row.battery for row in rows()), 100.0))
    gauge(
        "rpm_gateway_ble_weakest_signal_dbm", "Of the connected devices; 0 where none tells"
    ).set_function(lambda: _lowest((row.rssi for row in connected()), 0.0))


def _lowest(values: Iterable[int | None], without: float) -> float:
    return float(min((value for value in values if value is not None), default=without))


class Board:
    """The rows of all devices, by device id."""

    def __init__(
        self, clock: Callable[[], datetime], registry: CollectorRegistry, path: Path | None = None
    ) -> None:
        """Use ``path`` as the status file that other programs read. None: no file."""
        self.rows: dict[str, DeviceRow] = {}
        self.radio_fault: str | None = None
        self.refused: Counted[str] = Counted()  # the service's rejects by reason
        self.meters = RadioMeters(registry, lambda: list(self.rows.values()))
        self.clock = clock
        self._path = path

    def row(self, device: str, model: str | None = None) -> DeviceRow:
        """Return the row of a device. The first call creates it."""
        row = self.rows.get(device)
        if row is None:
            row = self.rows[device] = DeviceRow(device, model, since=self.clock())
        return row

    def moved(self, device: str, presence: Presence, fault: str | None = None) -> None:
        """Note that a device came or went."""
        row = self.row(device)
        if row.presence is not presence:
            row.presence = presence
            row.since = self.clock()
        row.fault = fault
        if presence is not Presence.connected:
            row.rssi = None

    def heard(self, device: str) -> None:
        """Note that a value arrived."""
        row = self.row(device)
        row.values += 1
        row.heard_at = self.clock()
        self.meters.values.inc()

    def write(self) -> None:
        """Write the status file as JSON."""
        if self._path is not None:
            status = Status(
                self.clock(), list(self.rows.values()), self.radio_fault, dict(self.refused)
            )
            replace_or_log(self._path, msgspec.json.encode(status), sync=False)
