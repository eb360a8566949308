"""``rpm-stream broker``: the embedded Kafka, and the users and keys of a secure one."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rpm_stream.app.kafka.access import Role
from rpm_stream.app.runtime.errors import BrokerAway, UsageError
from rpm_stream.app.runtime.settings import Settings

if TYPE_CHECKING:
    from rpm_stream.app.broker.broker import Broker
    from rpm_stream.app.broker.secure import Secure

POLL_SECONDS = 0.5

broker_app = typer.Typer(invoke_without_command=True)
user_app = typer.Typer(
    help="Users of a secure broker, besides those of the roles.", no_args_is_help=True
)
broker_app.add_typer(user_app, name="user")

Folder = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the keys; default: secure in the broker's folder.", file_okay=False
    ),
]
Certificates = Annotated[
    str | None,
    typer.Option(
        help="Where the broker accepts certificates, host:port; default: the embedded one's."
    ),
]


@broker_app.callback()
def broker(
    context: typer.Context,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = 9092,
    fresh: Annotated[bool, typer.Option("--fresh", help="Drop the data of earlier runs.")] = False,
    secure: Annotated[
        bool,
        typer.Option("--secure", help="TLS, and a user for each role with only its rights."),
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder for the data (in its subfolder kafka).", file_okay=False),
    ] = None,
) -> None:
    """Run an embedded Kafka for demos, development and tests, until Ctrl-C.

    Prints one JSON line when it is ready. The first run fetches 44 MB of jars into the user's
    cache.

    Example: rpm-stream broker --port 9092
    """
    if context.invoked_subcommand is not None:
        return
    # Both signals stop it in the same way, also while it starts. A shell may have started this
    # process with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        from rpm_stream.app.broker.broker import Broker

        with Broker(data_dir or Settings().data_dir, port, fresh, secure) as running:
            _serve(running)
    except KeyboardInterrupt:
        return


@broker_app.command()
def keys(
    bootstrap: Annotated[str, typer.Option(help="What clients will connect to, host:port.")],
    host: Annotated[
        list[str], typer.Option(help="A name or address of the broker; repeat it for more.")
    ],
    seen_at: Annotated[
        Path, typer.Option(help="Path at which the broker finds the folder 'broker' of the keys.")
    ],
    folder: Folder = None,
    listener: Annotated[
        list[str] | None,
        typer.Option(help="A listener of the broker that accepts passwords (default: CLIENTS)."),
    ] = None,
) -> None:
    """Make the files of a secure Kafka.

    They are an authority, a certificate, properties, and a password for each role. Files that exist
    stay. A certificate that expires soon is renewed. The folder 'broker' is readable by its group.

    Example: rpm-stream broker keys --folder keys --host kafka --bootstrap kafka:9092 --seen-at
    /mnt/shared/config
    """
    made = _secure(folder, tuple(host))
    made.prepare()
    made.write_settings(bootstrap)
    made.write_broker_properties(seen_at, tuple(listener or ["CLIENTS"]))
    _say({"keys": str(made.root), "users": sorted(made.users())})


@broker_app.command()
def access(folder: Folder = None, certificates: Certificates = None) -> None:
    """Create the users of the roles on a Kafka with these keys, each with the rights of its role.

    Example: rpm-stream broker access --folder keys --certificates kafka:9093
    """
    made = _secure(folder)
    asyncio.run(made.apply(certificates or made.certificates()))
    _say({"users": {name: role.value for name, role in sorted(made.users().items())}})


@user_app.command()
def add(
    name: Annotated[str, typer.Argument(help="The user's name; for a gateway its id.")],
    role: Annotated[Role, typer.Option(help="The role whose rights it gets.")] = Role.GATEWAY,
    certificate: Annotated[
        bool, typer.Option("--certificate", help="Make a client certificate too.")
    ] = False,
    folder: Folder = None,
    certificates: Certificates = None,
) -> None:
    """Add a user with the rights of a role, and print the folder of its password and settings.

    Example: rpm-stream broker user add gateway-7 --role gateway
    """
    made = _secure(folder)
    made.add(name, role, certificate)
    try:
        asyncio.run(made.apply(certificates or made.certificates()))
    except BrokerAway:
        sys.stderr.write(
            "rpm-stream: no broker answers: the user can sign in from its next start on\n"
        )
    _say({"user": name, "role": role.value, "folder": str(made.folder.user(name))})


@user_app.command()
def remove(
    name: Annotated[str, typer.Argument(help="A user that was added.")],
    folder: Folder = None,
    certificates: Certificates = None,
) -> None:
    """Remove a user's password and rights. The broker must run.

    Example: rpm-stream broker user remove gateway-7
    """
    made = _secure(folder)
    asyncio.run(made.remove(name, certificates or made.certificates()))
    _say({"removed": name})


def _secure(folder: Path | None, hosts: tuple[str, ...] = ()) -> Secure:
    from rpm_stream.app.broker.secure import LOCAL, Secure

    return Secure(
        folder or Settings().data_dir.expanduser().resolve() / "kafka" / "secure", hosts or LOCAL
    )


def _say(line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _serve(running: Broker) -> None:
    line = {"ready": running.bootstrap, "log": str(running.log)}
    if running.secure is not None:
        line["users"] = str(running.secure.folder.users)
        sys.stderr.write(
            "rpm-stream: secure. For a command: set -a; ."
            f" {running.secure.folder.user(Role.OPERATOR)}/kafka.env\n"
        )
    _say(line)
    while running.running:
        time.sleep(POLL_SECONDS)
    raise UsageError(f"Kafka ended unexpectedly (log: {running.log})")
