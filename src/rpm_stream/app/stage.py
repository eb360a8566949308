"""One stage in this process: the agent, sink or feed that ``rpm-stream worker`` starts as a child."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from rpm_stream.app import metrics
from rpm_stream.app.broker_time import BrokerTime
from rpm_stream.app.clock import Clock
from rpm_stream.app.errors import UsageError
from rpm_stream.app.logs import configure_log
from rpm_stream.app.names import ACTIONS, ALERTS, FRAMES, READINGS
from rpm_stream.app.reach import partition_counts
from rpm_stream.app.settings import Settings
from rpm_stream.app.state_topic import make_state_topic
from rpm_stream.knowledge import Knowledge, KnowledgeError, load

if TYPE_CHECKING:
    from rpm_stream.app.engine.application import BatchApp

TOGETHER = (READINGS, ALERTS)  # what the judge reads and writes of a patient, each in the patient's partition


def knowledge_of(settings: Settings) -> Knowledge:
    """The tables that the settings name. Raises UsageError."""
    try:
        return load(settings.knowledge)
    except KnowledgeError as error:
        raise UsageError(f"RPM_KNOWLEDGE: {error}") from None


async def check(settings: Settings) -> tuple[Knowledge, dict[str, int]]:
    """The tables and the partitions of each topic. Raises UsageError for what no stage could start with."""
    knowledge = knowledge_of(settings)
    counts = await partition_counts(settings.bootstrap)
    if len({counts[topic] for topic in TOGETHER}) > 1:
        raise UsageError(f"{', '.join(TOGETHER)} need equally many partitions: a patient's data must lie together")
    return knowledge, counts


def _begin(settings: Settings, stage: str) -> None:
    """From here on the libraries may be heard: what they meet now passes, or ends this process to be started again."""
    metrics.serve(settings, stage)
    configure_log(settings.log_level, libraries=settings.log_level)


def _app(
    stage: str, settings: Settings, knowledge: Knowledge, counts: dict[str, int], clock: Clock
) -> tuple[BatchApp, str]:
    """The stage's application, and the topic whose partitions its state follows. Loads no more than the stage needs."""
    if stage == "ingest":
        from rpm_stream.app.agents.ingest import ingest_app

        return ingest_app(settings, knowledge, counts[FRAMES], counts[ACTIONS], clock), FRAMES
    from rpm_stream.app.agents.judge import judge_app

    return judge_app(settings, knowledge, counts[READINGS], clock), READINGS


def run_agent(settings: Settings, stage: str) -> None:
    """Run the ingest or judge agent until SIGTERM. Raises UsageError for a wrong setting or without a broker."""
    import faust

    from rpm_stream.app.engine.end import guarded

    knowledge, counts = asyncio.run(check(settings))
    _begin(settings, stage)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    clock = Clock.of(settings)
    broker_time = BrokerTime(settings, clock, stage)
    loop.run_until_complete(broker_time.begin())
    app, topic = _app(stage, settings, knowledge, counts, clock)
    app.task(lambda: guarded(broker_time.run, "following the broker's clock"))
    for table in app.tables.values():
        loop.run_until_complete(make_state_topic(settings, table.changelog_topic, counts[topic]))
    worker = faust.Worker(app, override_logging=False, quiet=True, redirect_stdouts=False, loop=loop)
    worker.spinner = None  # it writes a terminal's escape codes to stdout
    worker.execute_from_commandline()


async def run_service(settings: Settings, stage: str) -> None:
    """Run the sink or the feed until SIGTERM or SIGINT. Raises UsageError as ``run_agent``, or for a missing extra."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if stage == "sink":
        from rpm_stream.app import sink

        if settings.fhir_url is None:
            raise UsageError("the sink needs RPM_FHIR_URL, the base address of a FHIR R4 server")
        await check(settings)
        _begin(settings, stage)
        following = asyncio.create_task(BrokerTime(settings, Clock.of(settings), stage).run())
        try:
            await sink.run(settings, stop)
        finally:
            following.cancel()
    else:
        try:
            from rpm_stream.app.web import server  # the extra [web] is optional
        except ModuleNotFoundError as error:
            raise UsageError(f"the feed needs {error.name}, of the web extra: pip install 'rpm-stream[web]'") from None

        await check(settings)
        _begin(settings, stage)
        await server.run(settings, stop)
