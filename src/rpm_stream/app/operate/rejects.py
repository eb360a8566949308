"""The rejects as an operator sees them: from ``rpm.rejects``, with what could be corrected."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import msgspec

from rpm_stream.app.kafka.names import REJECTS
from rpm_stream.app.kafka.range_reader import ReportProgress, reaching, records, window
from rpm_stream.records import UNREADABLE, Origin, Position, Reason, Record, Reject, Stage

PAYLOAD = re.compile(rb"(?:[0-9A-Fa-f]{2})+")
# What the operator can do, by reason. The gateway's side is in topics/09-rejects/reasons.md.
MENDS: dict[Reason, str] = {
    "bad_json": "nothing here: the gateway sends no JSON",
    "bad_schema": (
        "nothing here: the gateway sends another form than topics/01-frames/schema-1.json"
    ),
    "too_large": "nothing here: the gateway must send several frames",
    "identity_conflict": (
        "rpm-stream registry assign, where the wearer is wrong; then redrive. Else the"
        " gateway's key"
    ),
    "unknown_device": "rpm-stream registry assign; then redrive",
    "unassigned": "rpm-stream registry assign --at the time from which it was worn; then redrive",
    "unknown_characteristic": "a release that decodes it; then redrive",
    "unknown_vital": "a vital or code in the knowledge tables (RPM_KNOWLEDGE); then redrive",
    "unknown_unit": "a unit in the knowledge tables (RPM_KNOWLEDGE), if it is right; then redrive",
    "truncated": (
        "nothing here: the notification was cut on its way; the gateway needs a larger MTU"
    ),
    "trailing_bytes": "the device's model in the registry, if it is known to do this; then redrive",
    "bad_size": "the device's model in the registry, if it is known to do this; then redrive",
    "reserved_value": "the device's model in the registry, if it is known to do this; then redrive",
    "crc_mismatch": "nothing here: the gateway must read it from the device again",
    "implausible": (
        "look at the value: a wrong unit or a typing error; the bounds are in the knowledge tables"
    ),
    "future_time": "the gateway's or the device's clock; a value once stamped so cannot be mended",
    "too_old": "nothing: it cannot be told from a value that was sent before",
    "internal_error": "a defect of ours: keep the reject; after the release that mends it, redrive",
}


class Selection(Record, frozen=True, kw_only=True):
    """Which rejects are selected. A field that is None or empty restricts nothing.

    ``since`` is the earliest time of refusal.
    """

    reason: Reason | None = None
    device: str | None = None
    since: datetime | None = None
    ids: frozenset[str] = frozenset()

    def takes(self, reject: Reject) -> bool:
        """Whether ``reject`` is selected."""
        return (
            (self.reason is None or reject.reason == self.reason)
            and (self.device is None or reject.device == self.device)
            and (self.since is None or reject.at >= self.since)
            and (not self.ids or reject.id in self.ids)
        )


class Listed(Record, frozen=True, kw_only=True):
    """A reject for a list, without the refused data, which may be about a patient."""

    id: str
    at: datetime
    device: str
    reason: Reason
    stage: Stage
    detail: str
    position: Position
    origin: Origin | None
    parts: tuple[int, ...] = ()


class Shown(Record, frozen=True, kw_only=True):
    """A reject with the refused data.

    ``text`` is the data if it is text. ``hexadecimal`` is the data in hexadecimal, or the payload
    of an entry. ``whole`` is whether the data was stored completely.
    """

    reject: Listed
    text: str | None
    hexadecimal: str
    whole: bool
    mend: str


_reject = msgspec.json.Decoder(Reject)
_keys = msgspec.json.Decoder(dict[str, Any])


def listed(reject: Reject) -> Listed:
    """Return ``reject`` without the refused data."""
    return Listed(**{name: getattr(reject, name) for name in Listed.__struct_fields__})


def shown(reject: Reject) -> Shown:
    """Return ``reject`` with the refused data in a readable form, as far as possible."""
    original = b64decode(reject.original)
    try:
        text = original.decode()
    except UnicodeDecodeError:
        text = None
    return Shown(
        reject=listed(reject),
        text=text,
        hexadecimal=_payload(original) or original.hex(),
        whole=len(original) < 64 * 1024,
        mend=MENDS[reject.reason],
    )


async def selected(
    bootstrap: str, selection: Selection, progress: ReportProgress
) -> AsyncIterator[Reject]:
    """Yield the selected rejects in the topic, oldest first in a partition. An id may repeat.

    A record that is no reject comes from another program and is skipped. Raises ``UsageError`` when
    the broker is away or lacks the topic.
    """
    async with reaching(bootstrap, (REJECTS,)) as broker:
        spans = await window(broker, REJECTS, None, None)
        async for batch in records(broker, spans, progress):
            for record in batch:
                try:
                    reject = _reject.decode(record.value or b"")
                except UNREADABLE:
                    continue
                if selection.takes(reject):
                    yield reject


def _payload(original: bytes) -> str | None:
    """Return the hexadecimal payload of a notification, as it was sent, or None."""
    try:
        payload = _keys.decode(original).get("payload")
    except UNREADABLE:
        return None
    return payload if isinstance(payload, str) and PAYLOAD.fullmatch(payload.encode()) else None
