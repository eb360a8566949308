"""A message of rpm.actions as it stands in the topic or in a file: read, or refused, before it touches a state."""

from __future__ import annotations

import msgspec

from rpm_stream.records import Action, Forwarded

_action = msgspec.json.Decoder(Action)
_state = msgspec.msgpack.Encoder()


def read_action(value: bytes) -> Action:
    """The action. Raises one of ``UNREADABLE``, also for what no state can hold: a time that UTC does not have."""
    action = _action.decode(value)
    check_times(action)
    return action


def check_times(record: Action | Forwarded) -> None:
    """Raises one of ``UNREADABLE`` where a time lies outside of what UTC has."""
    try:
        _state.encode(record)
    except OverflowError:
        raise msgspec.ValidationError("a time lies outside the years 1 to 9999 in UTC") from None
