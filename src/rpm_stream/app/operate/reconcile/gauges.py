"""The Prometheus gauges of a periodic run.

They are not in ``app/runtime/metrics.py``, because a stage that never sets them must not show 0.
"""

from __future__ import annotations

from prometheus_client import Gauge

from rpm_stream.app.operate.reconcile.lines import ReconcileTotal

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


def show(total: ReconcileTotal, seconds: float) -> None:
    """Set the gauges to the sum of a run that has ended."""
    MISSING.set(total.missing)
    GAPS.set(total.gaps)
    LOST.set(total.lost)
    IN_FLIGHT.set(total.in_flight.frames)
    SECONDS.set(seconds)
    LAST_SUCCESS.set_to_current_time()
