"""Reports that a key is held: a patient to the users of the feed, a device to the operator alone.

The operator sees both in ``rpm_held_states``. The wearer of a held device is reported by its
silence where values are expected.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
from aiokafka.structs import ConsumerRecord

from rpm_stream.alert.unkept import decided
from rpm_stream.app.engine.application import Outgoing
from rpm_stream.app.kafka.names import ALERTS
from rpm_stream.pipeline.held import HeldState, alert_of, ended, opened, with_alert
from rpm_stream.pipeline.order import read_message
from rpm_stream.records import UNREADABLE, Alert, Forwarded

STAYS = "it ends by itself when what is remembered of the patient is mended"
_encode = msgspec.json.Encoder().encode


class NoNotices:
    """Reports nothing, for the state of a device."""

    def begun(self, _key: bytes, _partition: int, held: HeldState) -> HeldState:
        """Return ``held`` unchanged."""
        return held

    def records(self, _held: HeldState) -> list[Outgoing]:
        """Return no outputs."""
        return []

    def passed_over(
        self, _held: HeldState, _record: ConsumerRecord
    ) -> tuple[HeldState, list[Outgoing]] | None:
        """Return None, because the device's frames wait."""
        return None

    def ended(self, held: HeldState, _at: datetime, _is_whole: bool) -> HeldState:
        """Return ``held`` unchanged."""
        return held


class FeedNotices:
    """Reports a held patient by an alert, which people can take on and comment while it lasts.

    ``home`` returns the partition of the patient's alerts.
    """

    def __init__(self, home: Callable[[bytes], int]) -> None:
        self._home = home

    def begun(self, key: bytes, partition: int, held: HeldState) -> HeldState:
        """Open the alert."""
        return with_alert(held, opened(key.decode(errors="replace"), partition, held))

    def records(self, held: HeldState) -> list[Outgoing]:
        """Return the alert as it is."""
        alert = alert_of(held)
        return [] if alert is None else [self._record(alert)]

    def passed_over(
        self, held: HeldState, record: ConsumerRecord
    ) -> tuple[HeldState, list[Outgoing]] | None:
        """Carry out people's decisions about this alert, as far as possible.

        All other messages wait.
        """
        alert = alert_of(held)
        if alert is None:
            return None
        try:
            message = read_message(record.value or b"")
        except UNREADABLE:
            return None
        if not isinstance(message, Forwarded) or message.action.alert != alert.id:
            return None
        changed = decided(alert, message.action, message.received_at, STAYS)
        return None if changed is None else (with_alert(held, changed), [self._record(changed)])

    def ended(self, held: HeldState, at: datetime, is_whole: bool) -> HeldState:
        """Resolve the alert. One that was resolved before an interruption stays as it was."""
        alert = alert_of(held)
        return (
            held
            if alert is None or alert.state == "resolved"
            else with_alert(held, ended(alert, at, is_whole))
        )

    def _record(self, alert: Alert) -> Outgoing:
        return ALERTS, alert.id.encode(), _encode(alert), self._home(alert.patient.encode())
