"""What people decide, forwarded by ingest from ``rpm.actions`` into the patient's partition of
``rpm.readings``.

It needs no state. A partition of ``rpm.actions`` is forwarded in its order, and acked when the
broker has acknowledged the messages; after a crash or a rebalance it is forwarded again from the
commit. So the first copies keep the order, each further copy has the same place of origin, and the
judge skips it. A worker that has lost the partition could only write copies of what its successor
writes from that same commit on.
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
    """The step of ingest for a message of ``rpm.actions``. ``recorded_time``: it is received when
    it says it was made.

    What is no action, or has no key that names a patient, is logged with its place and goes no
    further: nobody could carry it out.
    """

    def __init__(self, recorded_time: bool) -> None:
        self._recorded_time = recorded_time

    def apply(self, record: ConsumerRecord) -> list[Outgoing]:
        """The message of ``rpm.readings``."""
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
