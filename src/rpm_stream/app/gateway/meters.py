"""The Prometheus metrics of one gateway: above all how much waits on its disk, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from rpm_stream.app.runtime.metrics_server import listen


class Meters:
    """The metrics of one gateway.

    They have a registry of their own, because a process may run several gateways.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        self._oldest: datetime | None = None
        self.spooled = Gauge(
            "rpm_gateway_spooled_frames",
            "Frames on disk that the broker has not acknowledged",
            registry=self.registry,
        )
        self.spool_bytes = Gauge(
            "rpm_gateway_spool_bytes", "Size of the spool's files", registry=self.registry
        )
        self.acknowledged = Counter(
            "rpm_gateway_acknowledged_frames",
            "Frames that the broker has acknowledged",
            registry=self.registry,
        )
        self.failures = Counter(
            "rpm_gateway_send_failures",
            "Times that sending stopped and began again",
            registry=self.registry,
        )
        self.refused = Counter(
            "rpm_gateway_refused_frames",
            "Frames for which the spool had no room",
            registry=self.registry,
        )
        age = Gauge(
            "rpm_gateway_oldest_spooled_age_seconds",
            "Since the oldest waiting frame was sent",
            registry=self.registry,
        )
        age.set_function(self._age)

    def waits_since(self, oldest: datetime | None) -> None:
        """Set the time since which the oldest spooled frame waits. None: nothing waits."""
        self._oldest = oldest

    def serve(self, host: str, port: int) -> Callable[[], None]:
        """Listen for Prometheus and return a function that stops listening.

        Raises ``OSError`` for a port that is in use.
        """
        return listen(port, host, self.registry).stop

    def _age(self) -> float:
        oldest = self._oldest  # read once: the spool's thread may change it
        return 0.0 if oldest is None else max(0.0, (self._clock() - oldest).total_seconds())
