"""What a periodic run shows Prometheus.

Not in ``app/runtime/metrics.py``: no stage may say 0 of what it never counts.
"""

from __future__ import annotations

from prometheus_client import Gauge

from rpm_stream.app.operate.reconcile.lines import Total

MISSING = Gauge(
    "rpm_reconcile_missing_parts", "Parts that the topics owe and lack, or have too many of"
)
GAPS = Gauge("rpm_reconcile_gaps", "Holes in what gateways counted: frames that never came")
LOST = Gauge("rpm_reconcile_lost_frames", "Frames in these holes")
IN_FLIGHT = Gauge(
    "rpm_reconcile_in_flight_frames",
    "Frames that ingest had not worked through when the books were read",
)
SECONDS = Gauge("rpm_reconcile_seconds", "How long the last run took")
LAST_SUCCESS = Gauge(
    "rpm_reconcile_last_success_timestamp_seconds",
    "When a run last came to its end, balanced or not",
)


def show(total: Total, seconds: float) -> None:
    """The sum of a run that came to its end."""
    MISSING.set(total.missing)
    GAPS.set(total.gaps)
    LOST.set(total.lost)
    IN_FLIGHT.set(total.in_flight.frames)
    SECONDS.set(seconds)
    LAST_SUCCESS.set_to_current_time()
