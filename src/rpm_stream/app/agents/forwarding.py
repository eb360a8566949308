"""Forwards people's decisions from ``rpm.actions`` to ``rpm.readings``.

Ingest does this without state. A decision goes into the patient's partition. A partition of
``rpm.actions`` is forwarded in its order, and acked when the broker has acknowledged the messages.
After a crash or a rebalance it is forwarded again from the commit. So the first copies keep the
order. Each further copy names the same place of origin, and the judge skips it. A worker that has
lost the partition can only write copies of what its successor writes from the same commit on.
"""

from __future__ import annotations

import structlog
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.engine.application import Outgoing
from rpm_stream.app.kafka.frame_record import position, received_at
from rpm_stream.app.kafka.names import READINGS
from rpm_stream.knowledge.registry import plain_fault
from rpm_stream.pipeline.order import forward
from rpm_stream.records import UNREADABLE

log = structlog.get_logger()


class Forwarding:
    """The step of ingest for a message of ``rpm.actions``.

    With ``recorded_time`` an action counts as received at the time of its making. A message that is
    no action, or has no key with a patient, is logged with its place and not forwarded, because it
    cannot be carried out.
    """

    def __init__(self, recorded_time: bool) -> None:
        self._recorded_time = recorded_time

    def apply(self, record: ConsumerRecord) -> list[Outgoing]:
        """Return the message for ``rpm.readings``."""
        at = None if self._recorded_time else received_at(record)
        try:
            if record.key is None:
                return self._passed_over(record, "it has no key")
            patient = record.key.decode(errors="replace")
            value = forward(record.value or b"", patient, position(record), at)
        except UNREADABLE as error:
            return self._passed_over(record, plain_fault(error))
        return [(READINGS, record.key, value, None)]

    def _passed_over(self, record: ConsumerRecord, fault: str) -> list[Outgoing]:
        log.error(
            "ingest.not_an_action", partition=record.partition, offset=record.offset, fault=fault
        )
        return []
