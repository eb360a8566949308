"""The radio gateway's terminal tables: nearby devices and served devices."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich.table import Table

from rpm_stream.app.gateway.ble.board import Board, DeviceRow, Presence, Status
from rpm_stream.app.gateway.ble.known_template import health
from rpm_stream.app.gateway.ble.radio import Sighting
from rpm_stream.text import cleaned

COLOURS = {
    Presence.connected: "green",
    Presence.connecting: "yellow",
    Presence.away: "dim",
    Presence.unpaired: "red",
}
WEAK_BATTERY = 15  # percent; a lower value is red
WEAK_SIGNAL = -85  # dBm; a lower value is red


def name_of(sighting: Sighting) -> str:
    """Return the device's own name, safe for a terminal."""
    return cleaned(sighting.name or "").strip()


def near_table(sightings: Iterable[Sighting]) -> Table:
    """Return a table of nearby devices: health devices first, each group strongest first."""
    table = Table(box=None, pad_edge=False)
    for title in ("ADDRESS", "NAME", "WHAT IT IS"):
        table.add_column(title, overflow="fold")
    table.add_column("SIGNAL", justify="right")
    for each in in_order(sightings):
        signal = "" if each.rssi is None else f"{each.rssi} dBm"
        table.add_row(each.address, name_of(each), ", ".join(health(each)), signal)
    return table


def in_order(sightings: Iterable[Sighting]) -> list[Sighting]:
    """Sort health devices first, each group strongest first."""
    return sorted(
        sightings, key=lambda each: (not health(each), -(each.rssi or -127), each.address)
    )


def board_table(board: Board, spooled: int) -> Table:
    """Return a table of the served devices, with the number of frames that wait for the broker."""
    caption = (
        "everything is with the broker" if not spooled else f"{spooled} frames wait for the broker"
    )
    status = Status(
        board.clock(), list(board.rows.values()), board.radio_fault, dict(board.refused)
    )
    return status_table(status, caption)


def status_table(status: Status, caption: str) -> Table:
    """Return a table of the devices at ``status.at``."""
    if status.radio_fault is not None:
        caption = f"the radio is off: {status.radio_fault}; {caption}"
    if status.refused:
        refusals = ", ".join(
            f"{count} {reason}" for reason, count in sorted(status.refused.items())
        )
        caption = f"{caption}; refused by the service: {refusals}"
    table = Table(box=None, pad_edge=False, caption=caption, caption_justify="left")
    for title in ("DEVICE", "STATE", "LAST VALUE", "VALUES", "BATTERY", "SIGNAL", "FAULT"):
        table.add_column(
            title, justify="right" if title in {"VALUES", "BATTERY", "SIGNAL"} else "left"
        )
    for row in sorted(status.devices, key=lambda row: row.device):
        table.add_row(*_cells(row, status.at))
    return table


def _cells(row: DeviceRow, now: datetime) -> list[str]:
    battery = "" if row.battery is None else f"{row.battery} %"
    signal = "" if row.rssi is None else f"{row.rssi} dBm"
    return [
        row.device,
        f"[{COLOURS[row.presence]}]{row.presence.value}[/]",
        "" if row.heard_at is None else ago((now - row.heard_at).total_seconds()),
        str(row.values),
        f"[red]{battery}[/]" if row.battery is not None and row.battery < WEAK_BATTERY else battery,
        f"[red]{signal}[/]" if row.rssi is not None and row.rssi < WEAK_SIGNAL else signal,
        row.fault or "",
    ]


def ago(seconds: float) -> str:
    """Return a time span in words.

    >>> ago(0.4), ago(75), ago(7300)
    ('now', '1 min ago', '2 h ago')
    """
    if seconds < 2:
        return "now"
    if seconds < 60:
        return f"{seconds:.0f} s ago"
    return f"{seconds // 60:.0f} min ago" if seconds < 3600 else f"{seconds // 3600:.0f} h ago"
