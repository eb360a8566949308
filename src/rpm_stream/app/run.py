"""Starting things together: a worker's stages, or the whole service on one machine."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Mapping, Sequence
from uuid import uuid4

import structlog

from rpm_stream.app import topics
from rpm_stream.app.broker import Broker
from rpm_stream.app.errors import UsageError
from rpm_stream.app.logs import configure_log
from rpm_stream.app.settings import Settings
from rpm_stream.app.stage import check
from rpm_stream.app.supervisor import Stage, stage_command, supervise

log = structlog.get_logger()

LOOK_SECONDS = 1.0


def stop_on_signals() -> asyncio.Event:
    """An event that Ctrl-C and SIGTERM set."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def stages_of(names: Sequence[str], environment: Mapping[str, str]) -> list[Stage]:
    """The supervised children for these stages; each comes back under its own name in its consumer group."""
    environment = {"RPM_INSTANCE": uuid4().hex[:12], **environment}
    return [Stage(name, stage_command(name), environment) for name in names]


async def run_worker(names: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run stages against any Kafka until a signal. Returns the exit status. Raises UsageError before any starts."""
    settings = Settings()
    if bootstrap := environment.get("RPM_BOOTSTRAP"):
        settings = settings.model_copy(update={"bootstrap": bootstrap})
    configure_log(settings.log_level)
    stop = stop_on_signals()
    await check(settings, frozenset(names))  # here, so that it is said once and not by each stage
    return await supervise(stages_of(names, environment), stop)


async def keep_broker(broker: Broker, stop: asyncio.Event) -> None:
    """Start the embedded Kafka again when it ends, until ``stop``; sets ``stop`` and raises UsageError if it cannot."""
    while not stop.is_set():
        if not broker.running:
            log.warning("Kafka ended, starting it again", log=str(broker.log))
            try:
                await asyncio.to_thread(broker.start)
            except UsageError:
                stop.set()
                raise
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_SECONDS)


async def supervise_all(stages: Sequence[Stage], broker: Broker, stop: asyncio.Event) -> int:
    """Keep the stages and their embedded Kafka running until ``stop``. Returns the exit status."""
    keeping = asyncio.create_task(keep_broker(broker, stop))
    status = await supervise(stages, stop)
    await keeping
    return status


async def run_up(port: int, fresh: bool) -> int:
    """Embedded Kafka, topics, all stages, until a signal. Returns the exit status."""
    settings = Settings()
    configure_log(settings.log_level)
    stop = stop_on_signals()
    with await asyncio.to_thread(Broker(settings.data_dir, port, fresh).__enter__) as broker:
        await topics.apply(broker.bootstrap, settings.partitions, settings.replication)
        names = ["ingest", "judge", "feed", *(["sink"] if settings.fhir_url else [])]
        await check(settings.model_copy(update={"bootstrap": broker.bootstrap}), frozenset(names))
        sys.stderr.write(
            f"Kafka {broker.bootstrap}, feed http://{settings.feed_host}:{settings.feed_port}, "
            f"metrics from port {settings.metrics_port}. Ctrl-C ends all of it.\n"
        )
        return await supervise_all(stages_of(names, {"RPM_BOOTSTRAP": broker.bootstrap}), broker, stop)
