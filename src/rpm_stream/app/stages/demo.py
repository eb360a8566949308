"""The demo: the whole service on a broker of its own, and a simulated ward in fast time.

Nothing of it is kept.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys
import tempfile
from pathlib import Path

import structlog
from rich.console import Console
from rich.panel import Panel

from rpm_stream.app.broker.broker import Broker
from rpm_stream.app.gateway import Gateway
from rpm_stream.app.gateway.link import AT_FULL_SPEED
from rpm_stream.app.kafka import topics
from rpm_stream.app.runtime.clock import Clock
from rpm_stream.app.runtime.logs import configure_log
from rpm_stream.app.runtime.metrics import STAGES
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.app.simulator.replay import WardPlan, register, run_ward
from rpm_stream.app.simulator.simulate import all_registry
from rpm_stream.app.stages.run import stages_of, stop_on_signals, supervise_all

console = Console(stderr=True)
log = structlog.get_logger()


def free_ports(wanted: int, count: int) -> int:
    """Return the first port, from ``wanted`` on, of a run of ``count`` free ports."""
    for first in range(wanted, wanted + 500):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    return wanted  # the stage will report which port is taken


async def run_demo(patients: int, speed: float, port: int) -> int:
    """Run until a signal. Returns the exit status."""
    settings = Settings()
    configure_log("WARNING")
    stop = stop_on_signals()
    with (
        tempfile.TemporaryDirectory(prefix="rpm-stream-demo-") as folder,
        await asyncio.to_thread(Broker(Path(folder), port, fresh=True).__enter__) as broker,
    ):
        if stop.is_set():
            return 0
        await topics.apply(broker.bootstrap, settings.partitions, 1)
        clock = Clock(speed)
        plan = WardPlan(start=clock.now(), patients=patients, speed=speed)
        await register(broker.bootstrap, all_registry(plan.people()))
        environment = _environment(settings, broker.bootstrap, folder, clock)
        _tell(environment, patients, speed)
        stages = stages_of(["ingest", "judge", "feed"], environment)
        service = asyncio.create_task(supervise_all(stages, broker, stop))
        playing = asyncio.create_task(_play(broker.bootstrap, Path(folder), patients, clock))
        await asyncio.wait([service, playing], return_when=asyncio.FIRST_COMPLETED)
        playing.cancel()
        [ended] = await asyncio.gather(playing, return_exceptions=True)
        if isinstance(ended, Exception):
            log.error("demo.ward_ended", error=type(ended).__name__)
        return await service


async def _play(bootstrap: str, folder: Path, patients: int, clock: Clock) -> None:
    """Run the ward until it is cancelled. When its stories end, the service goes on."""
    async with Gateway(
        bootstrap, "demo", spool_dir=folder / "spool", options=AT_FULL_SPEED
    ) as gateway:
        await run_ward(gateway, WardPlan(start=clock.now(), patients=patients, speed=clock.speed))
        await asyncio.Event().wait()


def _environment(settings: Settings, bootstrap: str, folder: str, clock: Clock) -> dict[str, str]:
    token = settings.token.get_secret_value() if settings.token else secrets.token_hex(8)
    return {
        "RPM_BOOTSTRAP": bootstrap,
        "RPM_DATA_DIR": folder,
        "RPM_TIME": "recorded",
        "RPM_TIME_SPEED": str(clock.speed),
        "RPM_TIME_ANCHOR": clock.anchor.isoformat(),
        "RPM_TOKEN": token,
        "RPM_FEED_PORT": str(free_ports(settings.feed_port, 1)),
        "RPM_METRICS_PORT": str(free_ports(settings.metrics_port, len(STAGES))),
        "RPM_LOG_LEVEL": "ERROR",
    }


def _tell(environment: dict[str, str], patients: int, speed: float) -> None:
    """Print the address of the feed and suggestions of what to look at."""
    metrics = int(environment["RPM_METRICS_PORT"])
    counters = (
        f"  • the counters: http://127.0.0.1:{metrics}/metrics (ingest), :{metrics + 1} (judge),"
        f" :{metrics + 3} (feed)\n"
    )
    lines = (
        f"[bold]Open http://127.0.0.1:{environment['RPM_FEED_PORT']}/[/bold]   token:"
        f" [bold]{environment['RPM_TOKEN']}[/bold]\n\n{patients} simulated people, an hour passes"
        f" in {3600 / speed:.0f} seconds. The first red alert comes within about a minute.\nThen"
        " look at\n  • the alert's own words, and its chart: click on it; acknowledge it\n"
        f"{counters if metrics else ''}"
        "  • what a kill does: pkill -9 -f 'rpm_stream stage judge', and"
        ' watch "judged up to" come back\n  • the frames themselves: rpm-stream gateway simulate'
        f" --story copd --to stdout | head -3\nKafka: {environment['RPM_BOOTSTRAP']}. Ctrl-C ends"
        " all of it; nothing is kept."
    )
    console.print(Panel(lines, title="rpm-stream demo", expand=False))
    sys.stderr.flush()
