"""Starts things together: a worker's stages, or the whole service on one machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from uuid import uuid4

import structlog

from rpm_stream.app.broker.broker import Broker
from rpm_stream.app.kafka import topics
from rpm_stream.app.runtime.clock import steady
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.logs import configure_log
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.app.stages import restarts
from rpm_stream.app.stages.stage import check
from rpm_stream.app.stages.supervisor import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    STEADY_SECONDS,
    StageProcess,
    stage_command,
    supervise,
)

log = structlog.get_logger()

LOOK_SECONDS = 1.0
STARTING_SECONDS = 30.0  # after so long the stage that is waited for is printed


def stop_on_signals() -> asyncio.Event:
    """Return an event that Ctrl-C and SIGTERM set."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def stages_of(
    names: Sequence[str], environment: Mapping[str, str], broker: Broker | None = None
) -> list[StageProcess]:
    """Return the supervised children for these stages.

    A restarted stage keeps its name in its consumer group. With a secure ``broker`` each stage
    signs in as its own user.
    """
    environment = {"RPM_INSTANCE": uuid4().hex[:12], **environment}
    return [
        StageProcess(name, stage_command(name), {**environment, **_user_settings(broker, name)})
        for name in names
    ]


def _user_settings(broker: Broker | None, user: str) -> dict[str, str]:
    if broker is None or broker.secure is None:
        return {}
    return broker.secure.settings(user, broker.bootstrap)


async def run_worker(names: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run stages against any Kafka until a signal, and return the exit status.

    Raises UsageError before any starts.
    """
    settings = Settings()
    if bootstrap := environment.get("RPM_BOOTSTRAP"):
        settings = settings.model_copy(update={"bootstrap": bootstrap})
    configure_log(settings.log_level)
    stop = stop_on_signals()
    restarts.serve(settings, names)
    # here, so that a fault is reported once and not by each stage
    await check(settings, frozenset(names))
    return await supervise(stages_of(names, environment), stop)


async def keep_broker(broker: Broker, stop: asyncio.Event) -> None:
    """Start the embedded Kafka again whenever it ends, until ``stop``.

    Sets ``stop`` and raises UsageError if it cannot.
    """
    pause = FIRST_PAUSE
    began = steady()
    while not stop.is_set():
        if not broker.running:
            restarts.RESTARTS.labels(restarts.KAFKA, restarts.OTHER).inc()
            pause = (
                FIRST_PAUSE if steady() - began > STEADY_SECONDS else min(pause * 2, LONGEST_PAUSE)
            )
            log.warning("service.kafka_ended", log=str(broker.log), pause_seconds=pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
                return
            try:
                await asyncio.to_thread(broker.start)
            except UsageError:
                stop.set()
                raise
            began = steady()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_SECONDS)


async def supervise_all(stages: Sequence[StageProcess], broker: Broker, stop: asyncio.Event) -> int:
    """Keep the stages and their embedded Kafka running until ``stop``.

    Returns the exit status.
    """
    keeping = asyncio.create_task(keep_broker(broker, stop))
    status = await supervise(stages, stop)
    await keeping
    return status


async def run_up(port: int, fresh: bool, secure: bool = False) -> int:
    """Run embedded Kafka, topics and all stages until a signal. Returns the exit status."""
    settings = Settings()
    configure_log(settings.log_level)
    stop = stop_on_signals()
    with await asyncio.to_thread(
        Broker(settings.data_dir, port, fresh, secure).__enter__
    ) as broker:
        # for the requests of this process itself
        os.environ.update(_user_settings(broker, "operator"))
        await topics.apply(broker.bootstrap, settings.partitions, settings.replication)
        names = ["ingest", "judge", "feed", *(["sink"] if settings.fhir_url else [])]
        await check(settings.model_copy(update={"bootstrap": broker.bootstrap}), frozenset(names))
        restarts.serve(settings, [*names, restarts.KAFKA])
        sys.stderr.write(
            f"rpm-stream: Kafka is up at {broker.bootstrap}, {', '.join(names)} are starting\n"
        )
        stages = stages_of(names, {"RPM_BOOTSTRAP": broker.bootstrap}, broker)
        telling = asyncio.create_task(
            _tell_when_ready(stages, _addresses(settings, broker.bootstrap))
        )
        try:
            return await supervise_all(stages, broker, stop)
        finally:
            telling.cancel()


def _addresses(settings: Settings, bootstrap: str) -> str:
    metrics = (
        f"metrics from port {settings.metrics_port}" if settings.metrics_port else "no metrics"
    )
    return f"Kafka {bootstrap}, feed http://{settings.feed_host}:{settings.feed_port}, {metrics}"


async def _tell_when_ready(stages: Sequence[StageProcess], where: str) -> None:
    """Print a line once every stage does its work.

    It is not printed before, because data sent before would seem to be lost.
    """
    for stage in stages:
        while not stage.ready.is_set():
            try:
                await asyncio.wait_for(stage.ready.wait(), STARTING_SECONDS)
            except TimeoutError:
                sys.stderr.write(f"rpm-stream: still waiting for {stage.name}\n")
    sys.stderr.write(f"rpm-stream: ready: {where}. Ctrl-C ends all of it.\n")
    sys.stderr.flush()
