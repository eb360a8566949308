"""Compares Kafka's clock with the clocks of the gateways.

Where all stages run on the broker's host, the gateways are the only other clocks. A frame carries
the time of its sending, and the broker stamps its receipt. A spool makes the difference larger on
one side only, so the quickest frame of a gateway counts. The clock of one gateway may be wrong. If
the median of all differs from Kafka's clock, either Kafka's clock is wrong or all of theirs are.
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

EACH = 16  # one frame of so many is read, which costs half a microsecond a frame
HEARD_S = 3600.0  # a gateway not heard for so long is left out
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

    ``now`` returns the seconds of a counter.
    """

    def __init__(self, now: Callable[[], float] = steady) -> None:
        self._now = now
        self._count = 0
        # by gateway: when the lead was found, and the lead
        self._leads: OrderedDict[str, tuple[float, float]] = OrderedDict()
        AHEAD.set_function(self.ahead)

    def note(self, record: ConsumerRecord) -> None:
        """Take a message of rpm.frames. An unreadable one is ignored."""
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
        """Return the median of the leads in seconds, or 0 while no gateway is heard.

        The thread that serves the metrics calls it.
        """
        # Copied in one step, because frames are noted meanwhile.
        since = self._now() - HEARD_S
        leads = list(self._leads.values())
        return median([lead for at, lead in leads if at >= since] or [0.0])
