"""What an operator sees of one gateway in Prometheus: above all, what waits on its disk and for
how long.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from rpm_stream.app.runtime.metrics_server import listen


class Meters:
    """The metrics of one gateway, in a registry of their own: a process may have several
    gateways.
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
        """Since when the oldest frame of the spool waits; None: nothing waits."""
        self._oldest = oldest

    def serve(self, host: str, port: int) -> Callable[[], None]:
        """Listen for Prometheus; returns what ends it. Raises OSError for a port in use."""
        return listen(port, host, self.registry).stop

    def _age(self) -> float:
        oldest = self._oldest  # read once: another thread asks
        return 0.0 if oldest is None else max(0.0, (self._clock() - oldest).total_seconds())
