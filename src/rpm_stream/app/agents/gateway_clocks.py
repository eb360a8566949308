"""Kafka's own clock against those of the gateways: the one witness where all stages run on the host
of the broker.

A frame says when it was sent, and the broker when it was received. A spool makes the difference
larger on one side only, so the frame of a gateway that was the quickest counts. One gateway's clock
may be wrong; where the middle one of all is, it is Kafka's, or everybody's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from statistics import median

import msgspec
from aiokafka.structs import ConsumerRecord
from prometheus_client import Gauge

from rpm_stream.app.kafka.frame_record import received_at
from rpm_stream.app.runtime.clock import steady
from rpm_stream.records import UNREADABLE

EACH = 16  # one frame of so many is looked at: half a microsecond a frame
HEARD_S = 3600.0  # a gateway that was not heard for so long says nothing about now
GATEWAYS = 10_000

AHEAD = Gauge(
    "rpm_gateways_clock_ahead_seconds",
    "How far the clocks of the gateways, the middle one, are ahead of Kafka's",
)


class _Sent(msgspec.Struct, frozen=True):
    gateway: str
    sent_at: datetime


_sent = msgspec.json.Decoder(_Sent)


class GatewayClocks:
    """The largest lead of each gateway that was heard within the hour.

    ``now``: seconds of a counter.
    """

    def __init__(self, now: Callable[[], float] = steady) -> None:
        self._now = now
        self._count = 0
        # when it was found, and the lead
        self._leads: OrderedDict[str, tuple[float, float]] = OrderedDict()
        AHEAD.set_function(self.ahead)

    def note(self, record: ConsumerRecord) -> None:
        """A message of rpm.frames; one that cannot be read says nothing."""
        self._count += 1
        if self._count % EACH != 1:
            return
        try:
            sent = _sent.decode(record.value or b"")
            lead = (sent.sent_at - received_at(record)).total_seconds()
        except UNREADABLE:
            return
        except (TypeError, OverflowError):  # a time without a zone
            return
        at, before = self._leads.get(sent.gateway, (0.0, lead))
        if lead >= before or self._now() - at > HEARD_S:
            self._leads[sent.gateway] = (self._now(), lead)
            self._leads.move_to_end(sent.gateway)
            while len(self._leads) > GATEWAYS:
                self._leads.popitem(last=False)

    def ahead(self) -> float:
        """The middle of the leads in seconds; 0 while nobody is heard.

        Asked by the thread that serves the metrics.
        """
        # in one step: frames are noted meanwhile
        since = self._now() - HEARD_S
        leads = list(self._leads.values())
        return median([lead for at, lead in leads if at >= since] or [0.0])
