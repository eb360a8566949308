"""The account of a frame that was copied into another partition (header ``rpm-moved``).

The copy has the real account.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.kafka.moved import MovedFrom
from rpm_stream.app.operate.reconcile.store import digest
from rpm_stream.records import Account

_encode = msgspec.json.Encoder().encode


def end_of_original(origin: MovedFrom, copy: ConsumerRecord) -> tuple[int, int, bytes, bytes]:
    """Return the row of the table ``account`` for the frame's first place, with no parts."""
    account = Account(
        frame=None,
        gateway=None,
        device=(copy.key or b"").decode(errors="replace"),
        seq=None,
        boot=None,
        partition=origin[0],
        offset=origin[1],
        received_at=datetime.fromtimestamp(copy.timestamp / 1000, UTC),
        entries=0,
        context=0,
        parts=0,
        readings=0,
        duplicates=0,
        rejects={},
    )
    body = _encode(account)
    return (*origin, digest(body), body)
