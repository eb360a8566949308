"""Join entries that need another entry to be understood, before they become readings.

- Segments of one message (2B8B, 2BDD): the last one to arrive carries the whole message. The
  others count as context. A lost segment is refused as ``truncated``, under its own bytes.
- A glucose context (2A34) joins the measurement (2A18) with its sequence number as attribute
  ``context``, if both come in one frame in either order, or if the context came first. A reading
  is never held back and never changes. So a context in a later frame is counted as context and
  attached to nothing. The reading's ``context_follows`` tells that a context was to follow.
- Packets of one body composition (2A9C): a continuation gets the time and user that only the
  first packet carries.

Everything waits in the device's state, bounded. It is found by the gateway's time, so that frames
that come again find what they found the first time.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

import msgspec

from rpm_stream.entries import BadEntry, Entry
from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.quirks import Read
from rpm_stream.ingest.gatt.segments import MessageSegment, take
from rpm_stream.pipeline.device_state import BodyPacket, DeviceState, WaitingContext
from rpm_stream.records import Decoded, Notification

DecodedEntries: TypeAlias = list[Entry | BadEntry]

JOINED = frozenset({"2A18", "2A34", "2A9C", "2B8B", "2BDD"})
MOST_CONTEXTS = 16
MOST_BODIES = 4
# design choice: both come within a second, a whole memory within minutes
CONTEXT_WITHIN = timedelta(minutes=5)
# design choice: packets of one measurement follow each other at once
BODY_WITHIN = timedelta(seconds=60)


class _Offered(NamedTuple):
    """What the entries of one frame offer to others.

    ``contexts`` are by sequence number. ``bodies`` are packets that more packets follow.
    """

    contexts: dict[int, WaitingContext | None]
    bodies: list[BodyPacket]


def join(state: DeviceState, entries: DecodedEntries, read: Read, again: bool) -> DecodedEntries:
    """Return the entries, each joined with what belongs to it.

    ``again`` is true if the frame was read before.
    """
    if not any(isinstance(entry, Entry) and entry.characteristic in JOINED for entry in entries):
        return entries
    offered = _Offered(contexts=_contexts(entries), bodies=_openings(entries))
    joined: DecodedEntries = []
    for entry in entries:
        try:
            joined.extend(
                _joined(state, entry, read, again, offered) if isinstance(entry, Entry) else [entry]
            )
        except Exception as error:  # noqa: BLE001
            # a defect here refuses this entry, not the frame
            joined.append(
                BadEntry(
                    index=entry.index,
                    reason="internal_error",
                    detail=type(error).__name__,
                    original=entry.original,
                )
            )
    _keep(state, offered)
    return joined


def _joined(
    state: DeviceState, entry: Entry, read: Read, again: bool, offered: _Offered
) -> DecodedEntries:
    if entry.segment is not None:
        return _segment(state, entry, read, again)
    if entry.characteristic == "2A18":
        return [_with_context(state, entry, offered.contexts)]
    if entry.characteristic == "2A9C":
        return [_body([*state.bodies, *offered.bodies], entry)]
    return [entry]


def _segment(state: DeviceState, entry: Entry, read: Read, again: bool) -> DecodedEntries:
    """Return the whole message in place of its last segment to arrive.

    Each lost segment becomes a refusal.
    """
    new = MessageSegment(
        characteristic=entry.characteristic, at=entry.at, data=entry.segment or b"", again=again
    )
    whole, dropped = take(state.segments, new)
    refused: DecodedEntries = [
        BadEntry(
            index=entry.index,
            reason="truncated",
            detail=f"segment {each.counter} of a message whose other segments did not come",
            original=_notification(each.at, each.characteristic, each.data),
        )
        for each in dropped
    ]
    if whole is None:
        return [*refused, entry]
    original = _notification(whole.at, entry.characteristic, whole.data)
    try:
        payload = read(entry.characteristic, whole.data)
    except DecodeError as error:
        return [
            *refused,
            BadEntry(
                index=entry.index, reason=error.reason, detail=error.detail, original=original
            ),
        ]
    done = msgspec.structs.replace(
        entry,
        at=whole.at,
        payload=payload,
        content=whole.data.hex(),
        original=original,
        segment=None,
    )
    return [*refused, done]


def _notification(at: datetime, characteristic: str, payload: bytes) -> bytes:
    """Return the entry as a gateway would have sent it."""
    return msgspec.json.encode(
        Notification(at=at, characteristic=characteristic, payload=payload.hex())
    )


def _contexts(entries: DecodedEntries) -> dict[int, WaitingContext | None]:
    """Return the contexts of a frame by sequence number, None where two contradict each other."""
    found: dict[int, WaitingContext | None] = {}
    for entry in entries:
        if isinstance(entry, Entry) and entry.characteristic == "2A34":
            attributes = dict(entry.payload.attributes)
            context = WaitingContext(
                sequence=attributes.pop("sequence"), at=entry.at, attributes=attributes
            )
            known = found.get(context.sequence, context)
            agree = known is not None and known.attributes == attributes
            found[context.sequence] = context if agree else None
    return found


def _with_context(
    state: DeviceState, entry: Entry, contexts: dict[int, WaitingContext | None]
) -> Entry:
    readings = entry.payload.readings
    sequence = (readings[0].attributes if readings else entry.payload.attributes)["sequence"]
    if sequence in contexts:
        context = contexts[sequence]
    else:
        near = (each for each in reversed(state.contexts) if each.sequence == sequence)
        context = next((each for each in near if abs(entry.at - each.at) <= CONTEXT_WITHIN), None)
    if context is None or not readings:
        return entry
    return _replaced(entry, [_noted(each, {"context": context.attributes}) for each in readings])


def _body(bodies: list[BodyPacket], entry: Entry) -> Entry:
    readings = entry.payload.readings
    if not readings:
        return entry
    attributes = readings[0].attributes
    if readings[0].device_time is not None or not {"timestamp", "user_id"}.isdisjoint(attributes):
        return entry  # it has its own user or time
    near = [each for each in bodies if timedelta() <= entry.at - each.at <= BODY_WITHIN]
    if not near:
        return entry
    first = max(near, key=lambda each: each.at)
    attributes_of_first = (
        {"continues": True} if first.user is None else {"continues": True, "user_id": first.user}
    )
    flags = ("user_unknown",) if first.user == "unknown" else ()
    kept = [
        msgspec.structs.replace(
            _noted(each, attributes_of_first),
            device_time=first.device_time,
            flags=tuple(dict.fromkeys((*each.flags, *flags))),
        )
        for each in readings
        # each packet repeats the body fat, or has none
        if each.vital != "body_fat" or each.value not in (None, first.fat)
    ]
    return _replaced(entry, kept)


def _keep(state: DeviceState, offered: _Offered) -> None:
    """Remember what later frames may refer to."""
    if offered.contexts:
        known = [each for each in state.contexts if each.sequence not in offered.contexts]
        state.contexts = [*known, *filter(None, offered.contexts.values())][-MOST_CONTEXTS:]
    if offered.bodies:
        others = [each for each in state.bodies if each not in offered.bodies]
        state.bodies = sorted([*others, *offered.bodies], key=lambda each: each.at)[-MOST_BODIES:]


def _openings(entries: DecodedEntries) -> list[BodyPacket]:
    """Return the packets of a frame that more packets follow."""
    packets = (
        each for each in entries if isinstance(each, Entry) and each.characteristic == "2A9C"
    )
    return [opening for packet in packets if (opening := _opening(packet))]


def _opening(entry: Entry) -> BodyPacket | None:
    """Return what a packet has for those that follow it, or None."""
    readings = entry.payload.readings
    if not readings or not readings[0].attributes.get("more_packets"):
        return None
    user = readings[0].attributes.get("user_id")
    if readings[0].device_time is None and user is None:
        return None
    return BodyPacket(
        at=entry.at, device_time=readings[0].device_time, user=user, fat=readings[0].value
    )


def _noted(decoded: Decoded, further: dict[str, Any]) -> Decoded:
    return msgspec.structs.replace(decoded, attributes={**decoded.attributes, **further})


def _replaced(entry: Entry, readings: list[Decoded]) -> Entry:
    payload = entry.payload
    attributes = {} if readings else payload.readings[0].attributes
    return msgspec.structs.replace(
        entry,
        payload=msgspec.structs.replace(payload, readings=tuple(readings), attributes=attributes),
    )
