"""``rpm-stream feed``: the clinician's list, in a browser."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer

from rpm_stream.app.cli.options import Bootstrap
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.logs import configure_log
from rpm_stream.app.runtime.settings import Settings

Host = Annotated[str | None, typer.Option(help="Where to listen; default: RPM_FEED_HOST.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Port; default: RPM_FEED_PORT.")]


def feed(bootstrap: Bootstrap = None, host: Host = None, port: Port = None) -> None:
    """Serve the alert feed until interrupted.

    The token comes from RPM_TOKEN. Without it a new token is made and printed.

    Example: rpm-stream feed --bootstrap 127.0.0.1:9092 --port 8088
    """
    given = {"bootstrap": bootstrap, "feed_host": host, "feed_port": port}
    settings = Settings().model_copy(
        update={key: value for key, value in given.items() if value is not None}
    )
    configure_log(settings.log_level)
    try:
        from rpm_stream.app.feed import server  # the extra [web] is optional
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the feed needs {error.name}, of the web extra: pip install 'rpm-stream[web]'"
        ) from None

    async def until_stopped() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await server.run(settings, stop)

    asyncio.run(until_stopped())
