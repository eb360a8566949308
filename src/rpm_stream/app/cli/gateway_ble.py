"""``rpm-stream gateway ble``: a gateway for Bluetooth devices, on a Raspberry Pi or a laptop."""

from __future__ import annotations

from datetime import tzinfo
from pathlib import Path
from typing import Annotated

import typer

from rpm_stream.app.cli.options import Bootstrap
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.settings import Settings

ble_app = typer.Typer(invoke_without_command=True)

Radio = Annotated[
    str,
    typer.Option(
        metavar="system|CONTROLLER",
        help=(
            "The system's Bluetooth (system, or system:hci1), or a bare controller: usb:0,"
            " serial:/dev/ttyACM0, hci-socket:0."
        ),
    ),
]
Devices = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help=(
            "The devices to serve (gateway ble scan --template makes a list to fill in); default:"
            " those of the registry whose id is a Bluetooth address."
        ),
    ),
]
GatewayId = Annotated[
    str | None, typer.Option("--gateway", help="Name of this gateway; default: the machine's.")
]
Zone = Annotated[
    str | None,
    typer.Option(help="Time zone of the devices' clocks, Europe/Berlin; default: the machine's."),
]
Links = Annotated[
    int, typer.Option(min=1, max=64, help="Connections at once, as many as the controller holds.")
]
Passkey = Annotated[
    bool,
    typer.Option("--passkey", help="Ask here for the number that a device shows when it pairs."),
]
Metrics = Annotated[
    int | None, typer.Option(min=1, max=65535, help="Where /metrics listens; default: nowhere.")
]
Kafka = Annotated[
    Path | None,
    typer.Option(
        "--kafka",
        metavar="FILE",
        help=(
            "How to sign in to the broker, TOML: security_protocol, sasl_mechanism,"
            " sasl_plain_username, sasl_plain_password, ssl_cafile, ssl_certfile, ssl_keyfile."
        ),
    ),
]


@ble_app.callback()
def ble(
    context: typer.Context,
    radio: Radio = "system",
    devices: Devices = None,
    gateway: GatewayId = None,
    zone: Zone = None,
    links: Links = 7,
    passkey: Passkey = False,
    metrics_port: Metrics = None,
    kafka: Kafka = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Connect the Bluetooth devices of a home and send all their values as frames, for ever.

    The gateway finds, pairs and subscribes. It reads the stored records of devices and never
    deletes them. It sets their clocks, and connects again after every loss. Without the broker the
    frames wait on the disk. Needs the extra ble.

    Example: rpm-stream gateway ble scan

    Example: rpm-stream gateway ble scan --template > devices.toml

    Example: rpm-stream gateway ble --devices devices.toml --bootstrap kafka.example.org:9092

    Example: rpm-stream gateway ble --radio usb:0 --devices devices.toml
    """
    if context.invoked_subcommand is not None:
        return
    from rpm_stream.app.gateway.ble.commands import Serving, serve
    from rpm_stream.app.gateway.ble.options import HubOptions

    settings = Settings()
    _log(settings)
    serve(
        Serving(
            radio=radio,
            devices=devices,
            zone=_zone(zone),
            passkey=passkey,
            metrics_port=metrics_port,
            kafka=kafka,
            bootstrap=bootstrap or settings.bootstrap,
            folder=_folder(settings),
            gateway_id=_gateway_id(gateway),
            options=HubOptions(links=links),
        )
    )


@ble_app.command()
def scan(
    radio: Radio = "system",
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long to listen.")] = 10.0,
    everything: Annotated[
        bool, typer.Option("--all", help="Also devices that are not health devices.")
    ] = False,
    template: Annotated[
        bool, typer.Option("--template", help="Print a list to fill in, for --devices.")
    ] = False,
) -> None:
    """Show the Bluetooth devices nearby: address, name, kind and signal strength.

    Connects to none.

    Example: rpm-stream gateway ble scan --seconds 20

    Example: rpm-stream gateway ble scan --template > devices.toml
    """
    from rpm_stream.app.gateway.ble.commands import Looking
    from rpm_stream.app.gateway.ble.commands import scan as look

    look(radio, _folder(Settings()), Looking(seconds, everything, template))


@ble_app.command()
def status(gateway: GatewayId = None) -> None:
    """Show the devices of this machine's gateway: connection, last value, battery, signal, fault.

    Example: rpm-stream gateway ble status
    """
    from rpm_stream.app.gateway.ble.commands import status as show

    show(_folder(Settings()), _gateway_id(gateway))


def _folder(settings: Settings) -> Path:
    return settings.data_dir.expanduser() / "gateway"


def _gateway_id(name: str | None) -> str:
    from rpm_stream.app.gateway.ble.commands import own_name
    from rpm_stream.app.gateway.client import GATEWAY_ID

    found = name or own_name()
    if not GATEWAY_ID.fullmatch(found):
        raise UsageError("--gateway: 1 to 64 letters, digits, dots, underscores or hyphens")
    return found


def _zone(name: str | None) -> tzinfo | None:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"--zone: no such time zone: {name}") from None


def _log(settings: Settings) -> None:
    """Configure the log where stderr is no terminal. On a terminal the table shows the same."""
    import sys

    from rpm_stream.app.runtime.logs import configure_log

    if not sys.stderr.isatty():
        configure_log(settings.log_level, "WARNING")
