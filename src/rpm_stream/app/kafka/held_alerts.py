"""Finds the open alerts in rpm.alerts that report a held patient.

The changelog record of a held state carries its alert. Where that record is lost too, nothing else
would end the alert.
"""

from __future__ import annotations

import msgspec
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.kafka.names import ALERTS
from rpm_stream.app.kafka.range_reader import KafkaClients, ends, records, starts
from rpm_stream.pipeline.held import RULE
from rpm_stream.records import UNREADABLE, Alert

_alert = msgspec.json.Decoder(Alert)


async def open_ones(broker: KafkaClients, partition: int) -> dict[bytes, Alert]:
    """Return the newest such alert of each patient whose state is in ``partition``."""
    tp = TopicPartition(ALERTS, partition)
    first = (await starts(broker, ALERTS)).get(tp, 0)
    last = (await ends(broker, ALERTS)).get(tp, 0)
    found: dict[bytes, Alert] = {}
    async for batch in records(broker, {tp: (first, last)}, lambda *_: None):
        for record in batch:
            _note(found, record)
    newest: dict[bytes, Alert] = {}
    for alert in sorted(found.values(), key=lambda one: one.opened_at):
        newest[alert.patient.encode()] = alert
    return newest


def _note(found: dict[bytes, Alert], record: ConsumerRecord) -> None:
    key = record.key or b""
    value = record.value or b""
    found.pop(key, None)
    if RULE.encode() not in value:
        return
    try:
        alert = _alert.decode(value)
    except UNREADABLE:
        return
    if alert.rule == RULE and alert.state != "resolved":
        found[key] = alert
