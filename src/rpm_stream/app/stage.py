"""One stage in this process: the agent, sink or feed that ``rpm-stream worker`` starts as a child."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from rpm_stream.app import metrics
from rpm_stream.app.errors import UsageError
from rpm_stream.app.names import TOPICS
from rpm_stream.app.settings import Settings
from rpm_stream.app.web.partitions import partitions_of
from rpm_stream.knowledge import KnowledgeError, load


def configure_log(level: str) -> None:
    """One JSON line an event on stderr."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format='{"level":"%(levelname)s","logger":"%(name)s","event":"%(message)s"}')
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


async def partition_counts(bootstrap: str) -> dict[str, int]:
    """Partitions of each of our topics. Raises UsageError when the broker is away or a topic is missing."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=10_000)
    try:
        await admin.start()
        counts = {topic: len(await partitions_of(admin, topic)) for topic in TOPICS}
    except (KafkaError, OSError) as error:
        raise UsageError(f"no Kafka at {bootstrap} ({type(error).__name__}): is it running? rpm-stream broker starts one") from None
    finally:
        await admin.close()
    if missing := [topic for topic, count in counts.items() if not count]:
        raise UsageError(f"the broker lacks {', '.join(missing)}: rpm-stream topics apply --bootstrap {bootstrap}")
    return counts


def run_agent(settings: Settings, stage: str) -> None:
    """Run the ingest or judge agent until SIGTERM."""
    import faust

    from rpm_stream.app.agents.ingest import ingest_app
    from rpm_stream.app.agents.judge import judge_app
    from rpm_stream.app.names import ACTIONS, ALERTS, FRAMES, READINGS

    try:
        knowledge = load(settings.knowledge)
    except KnowledgeError as error:
        raise UsageError(str(error)) from None
    counts = asyncio.run(partition_counts(settings.bootstrap))
    together = (READINGS, ACTIONS, ALERTS)
    if len({counts[topic] for topic in together}) > 1:
        raise UsageError(f"{', '.join(together)} need equally many partitions: a patient's data must lie together")
    metrics.serve(settings, stage)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    make, topic = {"ingest": (ingest_app, FRAMES), "judge": (judge_app, READINGS)}[stage]
    app = make(settings, knowledge, counts[topic])
    faust.Worker(app, loglevel="WARNING", quiet=True, redirect_stdouts=False, loop=loop).execute_from_commandline()


async def run_service(settings: Settings, stage: str) -> None:
    """Run the sink or the feed until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics.serve(settings, stage)
    if stage == "sink":
        from rpm_stream.app import sink

        await sink.run(settings, stop)
    else:
        from rpm_stream.app.web import server

        await server.run(settings, stop)
