"""The commands ``rpm-stream gateway ble`` and ``gateway ble scan``, without their options."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import msgspec
import structlog
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.live import Live

from rpm_stream.app.gateway.ble import known as known_devices
from rpm_stream.app.gateway.ble.board import Board, Status
from rpm_stream.app.gateway.ble.from_registry import follow
from rpm_stream.app.gateway.ble.hub import Hub
from rpm_stream.app.gateway.ble.kafka_file import kafka_options
from rpm_stream.app.gateway.ble.known import Known
from rpm_stream.app.gateway.ble.known_template import health, template
from rpm_stream.app.gateway.ble.marks import Marks
from rpm_stream.app.gateway.ble.options import GatewayContext, HubOptions, SessionOptions
from rpm_stream.app.gateway.ble.radio import Radio, RadioOff, Sighting
from rpm_stream.app.gateway.ble.screen import (
    ago,
    board_table,
    in_order,
    name_of,
    near_table,
    status_table,
)
from rpm_stream.app.gateway.ble.stacks import radio_of
from rpm_stream.app.gateway.client import Gateway
from rpm_stream.app.gateway.link import GatewayOptions
from rpm_stream.app.kafka.security import security
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.logs import configure_log
from rpm_stream.records import Notification

DRAW_SECONDS = 1.0
AGAIN_SECONDS = 15.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Serving:
    """Which devices to serve, by which radio, and where the frames go."""

    radio: str
    devices: Path | None  # the allow-list; None: the registry
    bootstrap: str
    folder: Path  # for the spool, the keys and the marks
    gateway_id: str
    zone: tzinfo | None
    passkey: bool
    metrics_port: int | None
    kafka: Path | None  # the file with the broker's credentials
    options: HubOptions


@dataclass(frozen=True)
class Looking:
    """How to scan for nearby devices."""

    seconds: float
    everything: bool
    template: bool


def own_name() -> str:
    """Return a gateway id from the name of this machine, in the characters that an id may have."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:48] or "ble"


def serve(serving: Serving) -> None:
    """Run a gateway until it is stopped. Raises ``UsageError`` if it cannot start."""
    listed = None if serving.devices is None else known_devices.load(serving.devices)
    kafka = security().arguments() if serving.kafka is None else kafka_options(serving.kafka)
    if serving.kafka is not None and listed is None:
        raise UsageError(
            "--kafka: only the service itself may read the registry: give --devices too"
        )
    radio = _radio(serving.radio, serving.folder, serving.gateway_id, serving.passkey)
    try:
        asyncio.run(_serve(serving, listed, radio, kafka))
    except RadioOff as error:
        raise UsageError(str(error)) from error
    except OSError as error:  # the spool is in use or cannot be written
        raise UsageError(str(error)) from error


def _radio(name: str, folder: Path, identity: str, ask: bool) -> Radio:
    return radio_of(name, folder / f"{identity}.ble-keys.json", identity, ask)


async def _serve(
    serving: Serving, listed: Known | None, radio: Radio, kafka: dict[str, Any]
) -> None:
    options = GatewayOptions(metrics_port=serving.metrics_port, kafka=kafka)
    folder = serving.folder
    name = serving.gateway_id
    async with Gateway(serving.bootstrap, name, spool_dir=folder, options=options) as gateway:
        board = Board(options.clock, gateway.meters.registry, folder / f"{name}.ble-status.json")
        session = SessionOptions(clock=options.clock, zone=serving.zone)
        shared = GatewayContext(Marks(folder / f"{name}.ble-marks.json"), board, session)
        hub = Hub(radio, sender(gateway, serving.zone), shared, serving.options)
        work = [hub.run(), _refusals(gateway, board), _draw(board, gateway, not serving.passkey)]
        if listed is not None:
            hub.serve(listed)
        else:
            work.append(follow(serving.bootstrap, folder / f"{name}.ble-devices.json", hub.serve))
        await _until_stopped(work)
    waiting = f"; {gateway.spooled} frames wait in the spool" if gateway.spooled else ""
    sys.stderr.write(f"stopped{waiting}\n")


async def _until_stopped(work: Sequence[Any]) -> None:
    """Run all of ``work`` until one fails or the process receives SIGTERM."""
    tasks = [asyncio.ensure_future(one) for one in work]
    stopped = asyncio.Event()
    with suppress(NotImplementedError):  # Windows has Ctrl-C only
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    end = asyncio.ensure_future(stopped.wait())
    try:
        done, _ = await asyncio.wait([*tasks, end], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in [*tasks, end]:
            task.cancel()
        await asyncio.gather(*tasks, end, return_exceptions=True)


def sender(gateway: Gateway, zone: tzinfo | None) -> Any:
    """Return ``Gateway.send`` with the offset of the devices' clocks in each frame.

    The offset is computed for each frame, so it is right after a change of summer time.
    """

    async def send(device: str, *, notifications: Sequence[Notification]) -> None:
        gateway.utc_offset = offset_text(datetime.now(UTC), zone)
        await gateway.send(device, notifications=notifications)

    return send


def offset_text(at: datetime, zone: tzinfo | None) -> str:
    """Return the offset of ``zone`` from UTC at a moment, such as ``+02:00``."""
    minutes = int((at.astimezone(zone).utcoffset() or timedelta()).total_seconds() // 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


async def _refusals(gateway: Gateway, board: Board) -> None:
    """Count the service's rejects. An error of the broker must not end the gateway."""
    while True:
        try:
            async for reject in gateway.rejects():
                board.refused[reject.reason] += 1
        except (KafkaError, OSError) as error:
            _log.warning("ble.rejects_unread", kind=type(error).__name__)
        await asyncio.sleep(AGAIN_SECONDS)


async def _draw(board: Board, gateway: Gateway, wanted: bool) -> None:
    """Draw the table on a terminal each second. Elsewhere do nothing."""
    console = Console(stderr=True)
    if not wanted or not console.is_terminal:
        await asyncio.Event().wait()
    try:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            configure_log("ERROR")  # errors appear above the table, which shows everything else
            while True:
                live.update(board_table(board, gateway.spooled), refresh=True)
                await asyncio.sleep(DRAW_SECONDS)
    finally:
        configure_log("WARNING")


def status(folder: Path, gateway_id: str) -> None:
    """Print the state of the devices of the gateway on this machine.

    A terminal gets a table. A program gets the JSON of the status file.
    """
    path = folder / f"{gateway_id}.ble-status.json"
    try:
        text = path.read_bytes()
        status = msgspec.json.decode(text, type=Status)
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"no gateway {gateway_id} has run here ({path})") from error
    if sys.stdout.isatty():
        age = (datetime.now(UTC) - status.at).total_seconds()
        Console().print(status_table(status, f"as it was {ago(age).replace('now', 'just now')}"))
    else:
        sys.stdout.buffer.write(text + b"\n")
        sys.stdout.buffer.flush()


# --- scan -----------------------------------------------------------------------------------------


def scan(radio: str, folder: Path, looking: Looking) -> None:
    """Print the devices that are near.

    A terminal gets a table and a program gets JSON Lines. With ``looking.template`` the output is
    an allow-list for a file.
    """
    try:
        found = asyncio.run(_near(_radio(radio, folder, own_name(), False), looking.seconds))
    except RadioOff as error:
        raise UsageError(str(error)) from error
    near = list(found.values())
    if looking.template:
        sys.stdout.write(template(near))
        return
    shown = [each for each in near if looking.everything or health(each)]
    if sys.stdout.isatty():
        Console().print(near_table(shown))
    else:
        for each in in_order(shown):
            sys.stdout.buffer.write(msgspec.json.encode(_as_line(each)) + b"\n")
        sys.stdout.buffer.flush()
    others = len(near) - len(shown)
    if not near:
        sys.stderr.write(
            "nothing advertises here: is the device awake, and not connected to a phone?\n"
        )
    elif not shown or others:
        sys.stderr.write(f"{len(shown)} health devices, {others} others (--all shows them)\n")


def _as_line(each: Sighting) -> dict[str, Any]:
    services = sorted(each.services)
    return {
        "address": each.address,
        "name": name_of(each),
        "is": health(each),
        "services": services,
        "rssi": each.rssi,
    }


async def _near(radio: Radio, seconds: float) -> dict[str, Sighting]:
    """Return each device once, by address, with all that it advertised.

    A name often comes in another packet than the services.
    """
    found: dict[str, Sighting] = {}
    async with radio:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), aclosing(radio.sightings()) as sightings:
                async for each in sightings:
                    before = found.get(each.address, each)
                    services = before.services | each.services
                    found[each.address] = Sighting(
                        each.address, each.name or before.name, services, each.rssi
                    )
    return found
