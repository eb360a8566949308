"""One stage in this process: an agent, the sink or the feed, a child of ``rpm-stream worker``."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import structlog

from rpm_stream.app.kafka.broker_time import BrokerTime
from rpm_stream.app.kafka.layout import ALL, Layout, layout_of, watch_counts
from rpm_stream.app.kafka.names import FRAMES, READINGS
from rpm_stream.app.kafka.preflight import partition_counts
from rpm_stream.app.kafka.state_topic import make_state_topic
from rpm_stream.app.runtime import metrics
from rpm_stream.app.runtime.clock import Clock
from rpm_stream.app.runtime.end import guarded
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.logs import configure_log
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.knowledge import Knowledge, KnowledgeError, load

log = structlog.get_logger()

if TYPE_CHECKING:
    from rpm_stream.app.engine.application import BatchApp


def knowledge_of(settings: Settings) -> Knowledge:
    """Return the tables that the settings name. Raises UsageError."""
    try:
        return load(settings.knowledge)
    except KnowledgeError as error:
        raise UsageError(f"RPM_KNOWLEDGE: {error}") from None


async def check(settings: Settings, stages: frozenset[str] = ALL) -> tuple[Knowledge, Layout]:
    """Return the tables and the layout of the topics.

    Raises UsageError for a fault that keeps a stage of ``stages`` from starting.
    """
    knowledge = knowledge_of(settings)
    await partition_counts(settings.bootstrap)  # raises with the names of missing topics
    return knowledge, await layout_of(settings.bootstrap, stages)


def _begin(settings: Settings, stage: str) -> None:
    """Start the metrics, and let the libraries log.

    A failure in them now passes, or ends this process, which is then started again.
    """
    metrics.serve(settings, stage)
    configure_log(settings.log_level, libraries=settings.log_level)


def _app(
    stage: str, settings: Settings, knowledge: Knowledge, layout: Layout, clock: Clock
) -> tuple[BatchApp, str]:
    """Return the stage's application, and the topic whose partitions its state follows.

    Imports only the modules of the stage.
    """
    counts = layout.counts
    if stage == "ingest":
        from rpm_stream.app.agents.ingest import ingest_app

        return ingest_app(settings, knowledge, layout, clock), FRAMES
    from rpm_stream.app.agents.judge import judge_app

    return judge_app(settings, knowledge, counts[READINGS], clock), READINGS


def run_agent(settings: Settings, stage: str) -> None:
    """Run the ingest or judge agent until SIGTERM.

    Raises UsageError for a wrong setting or without a broker.
    """
    import faust

    knowledge, layout = asyncio.run(check(settings, frozenset({stage})))
    _begin(settings, stage)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    clock = Clock.of(settings)
    broker_time = BrokerTime(settings, clock, stage)
    loop.run_until_complete(_first_look(broker_time, stage))
    app, topic = _app(stage, settings, knowledge, layout, clock)
    app.task(lambda: guarded(broker_time.run, "following the broker's clock"))
    for table in app.tables.values():
        loop.run_until_complete(
            make_state_topic(settings, table.changelog_topic, layout.counts[topic])
        )
    app.task(lambda: _watching(settings, stage, layout))
    worker = faust.Worker(
        app, override_logging=False, quiet=True, redirect_stdouts=False, loop=loop
    )
    worker.spinner = None  # it writes a terminal's escape codes to stdout
    worker.execute_from_commandline()


async def _first_look(broker_time: BrokerTime, stage: str) -> None:
    """Begin on the broker's time, or on this host's where the broker does not give it.

    No patient goes unjudged for want of the broker's time.
    """
    await broker_time.try_to_begin()
    if not broker_time.known.is_set():
        log.error(
            "clock.broker_time_unknown",
            stage=stage,
            hint="where Kafka checks rights, a stage needs Describe, Create and Write on rpm-clock",
        )


async def run_service(settings: Settings, stage: str) -> None:
    """Run the sink or the feed until SIGTERM or SIGINT.

    Raises UsageError as ``run_agent``, or for a missing extra.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if stage == "sink":
        from rpm_stream.app.ehr import sink

        if settings.fhir_url is None:
            raise UsageError("the sink needs RPM_FHIR_URL, the base address of a FHIR R4 server")
        _, layout = await check(settings, frozenset({stage}))
        _begin(settings, stage)
        broker_time = BrokerTime(settings, Clock.of(settings), stage)
        following = asyncio.create_task(guarded(broker_time.run, "following the broker's clock"))
        try:
            await _watched(settings, stage, layout, sink.run(settings, stop))
        finally:
            following.cancel()
    else:
        try:
            from rpm_stream.app.feed import server  # the extra [web] is optional
        except ModuleNotFoundError as error:
            raise UsageError(
                f"the feed needs {error.name}, of the web extra: pip install 'rpm-stream[web]'"
            ) from None

        _, layout = await check(settings, frozenset({stage}))
        _begin(settings, stage)
        await _watched(settings, stage, layout, server.run(settings, stop))


async def _watching(settings: Settings, stage: str, layout: Layout) -> None:
    await guarded(
        lambda: watch_counts(settings.bootstrap, stage, layout.counts), "watching the partitions"
    )


async def _watched(
    settings: Settings, stage: str, layout: Layout, serving: Coroutine[Any, Any, None]
) -> None:
    """Serve, and end when the topics change."""
    watching = asyncio.create_task(_watching(settings, stage, layout))
    try:
        await serving
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
