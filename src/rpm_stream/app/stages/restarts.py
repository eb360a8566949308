"""Counts how often the supervisor started a stage again, in the supervisor's own process.

A stage that dies before Prometheus has read its metrics leaves none of its own. The supervisor
lives on, so a crash loop shows, however short each life is.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from rpm_stream.app.runtime.end import EXIT_AWAY, EXIT_CRASHED, EXIT_STATE, EXIT_STUCK
from rpm_stream.app.runtime.metrics import STAGES
from rpm_stream.app.runtime.metrics_server import listen
from rpm_stream.app.runtime.settings import Settings

KAFKA = "kafka"  # the embedded one
PORTS_AFTER = 100  # distance from the stage's port to the port of its supervisor
KILLED = "killed"
OTHER = "other"
KNOWN = tuple(map(str, (0, 1, 2, EXIT_STATE, EXIT_AWAY, EXIT_CRASHED, EXIT_STUCK)))
EXITS = (*KNOWN, KILLED, OTHER)

REGISTRY = CollectorRegistry()  # without the metrics of the stages
ProcessCollector(registry=REGISTRY)
RESTARTS = Counter(
    "rpm_stage_restarts",
    "Times that a stage ended by itself, by its exit status",
    ["stage", "exit"],
    registry=REGISTRY,
)
RUNNING = Gauge(
    "rpm_stage_running",
    "1 while the stage's process lives, 0 between two",
    ["stage"],
    registry=REGISTRY,
)
log = structlog.get_logger()


def exit_of(status: int) -> str:
    """Return the label of an exit status, one of ``EXITS``.

    >>> exit_of(65), exit_of(-9), exit_of(3)
    ('65', 'killed', 'other')
    """
    if status < 0:
        return KILLED
    return str(status) if str(status) in KNOWN else OTHER


def begin(names: Sequence[str]) -> None:
    """Start all counts at 0. A series that first appears with a restart shows no increase."""
    for name in names:
        RUNNING.labels(name).set(0)
        for each in EXITS:
            RESTARTS.labels(name, each)


def serve(settings: Settings, names: Sequence[str]) -> None:
    """Listen for Prometheus on the port of the first stage's supervisor.

    A port in use does not keep the stages from running. It is logged, and Prometheus has an alert
    for the missing metrics.
    """
    begin(names)
    if not settings.metrics_port:
        return
    port = settings.metrics_port + PORTS_AFTER + STAGES.index(names[0])
    try:
        listen(port, settings.metrics_host, REGISTRY)
    except OSError as error:
        log.error("service.restarts_not_shown", port=port, error=error.strerror)
