"""The metrics that operators see in Prometheus.

Label values come from enums. No patient, device or alert is ever a label.
"""

from __future__ import annotations

from itertools import product
from typing import get_args

from prometheus_client import Counter, Gauge, Histogram

from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.metrics_server import listen
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.records import AlertState, Priority, Reason

STAGES = ("ingest", "judge", "sink", "feed")
OUTCOMES = {"ingest": ("in", "reading", "duplicate", "reject", "context"), "judge": ("in",)}

LATENCY = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 60, 300, 900, 3600, 21600, 86400)
STEP = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1)

PARTS = Counter(
    "rpm_parts",
    "Parts of frames: in = reading + duplicate + reject; context beside them",
    ["stage", "outcome"],
)
REJECTS = Counter("rpm_rejects", "Parts refused, by reason", ["reason"])
MESSAGES = Counter("rpm_messages", "Messages applied", ["stage"])
REPEATED = Counter(
    "rpm_repeated_messages", "Messages that were applied before and skipped", ["stage"]
)
ALERTS = Counter("rpm_alerts", "Alert records, by priority and state", ["priority", "state"])
OBSERVATIONS = Counter("rpm_observations", "Observations written")
SCORES = Counter("rpm_scores", "Scores written", ["detector"])
DETECTORS_OFF = Gauge(
    "rpm_detectors_off",
    "1 for a detector in shadow that the tables switch off",
    ["detector"],
)
DETECTORS_SLOW = Gauge(
    "rpm_detectors_slow",
    "1 for a detector in shadow that takes longer than its declared cost in this process",
    ["detector"],
)
MEASURED_TO_ALERT = Histogram(
    "rpm_measured_to_alert_seconds", "From measurement to the alert's record", buckets=LATENCY
)
RECEIVED_TO_ALERT = Histogram(
    "rpm_received_to_alert_seconds",
    "From the broker's receipt to the alert's record",
    buckets=LATENCY,
)
STEP_SECONDS = Histogram("rpm_step_seconds", "Pure work for one message", ["stage"], buckets=STEP)
LAG = Gauge(
    "rpm_lag_messages", "Messages of the assigned partitions that are not applied yet", ["stage"]
)
COMMIT_AGE = Gauge(
    "rpm_last_progress_age_seconds",
    "Since the stage last applied something or had nothing to do",
    ["stage"],
)
STATE_BYTES = Gauge(
    "rpm_state_bytes_max", "Largest sealed state written by this process", ["stage"]
)
REGISTRY_FAULTS = Gauge(
    "rpm_registry_faults", "Settings of the registry that cannot be used and are ignored"
)
HELD = Gauge(
    "rpm_held_states",
    "Devices or patients whose state is damaged, and whose messages are kept",
    ["stage"],
)
HELD_SECONDS = Gauge(
    "rpm_held_seconds_max", "For how long the longest of them has been kept", ["stage"]
)
HELD_GONE = Gauge(
    "rpm_held_states_expired",
    "Those of whom the broker has deleted messages that were kept",
    ["stage"],
)
KEYS = Gauge("rpm_state_keys", "Devices or patients whose state this process keeps", ["stage"])


def begin(stage: str) -> None:
    """Start each metric of a stage at 0, for each value of each label that the stage can have.

    A series that first appears with its first event shows no increase in Prometheus, and its panel
    would say "No data" while all is well.
    """
    MESSAGES.labels(stage)
    if stage in ("ingest", "judge"):
        for gauge in (LAG, COMMIT_AGE, STATE_BYTES, KEYS):
            gauge.labels(stage).set(0)
        REPEATED.labels(stage), STEP_SECONDS.labels(stage)
        for outcome in OUTCOMES[stage]:
            PARTS.labels(stage, outcome)
    if stage == "ingest":
        for reason in get_args(Reason):
            REJECTS.labels(reason)
    if stage == "judge":
        for priority, state in product(get_args(Priority), get_args(AlertState)):
            ALERTS.labels(priority, state)
        from rpm_stream.score.detectors.table import DETECTORS  # no other stage loads what learns

        for detector in DETECTORS:
            SCORES.labels(detector)


def serve(settings: Settings, stage: str) -> None:
    """Listen for Prometheus on the stage's port. Raises UsageError for a port in use."""
    begin(stage)
    if not settings.metrics_port:
        return
    port = settings.metrics_port + STAGES.index(stage)
    try:
        listen(port, settings.metrics_host)
    except OSError as error:
        raise UsageError(
            f"metrics port {settings.metrics_host}:{port} of the stage {stage}: {error.strerror};"
            " set RPM_METRICS_PORT to the first of four free ones, or to 0 for none"
        ) from None
