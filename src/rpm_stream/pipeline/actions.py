"""A message of rpm.actions as it stands in the topic or in a file: read, or refused, before it
touches a state.
"""

from __future__ import annotations

import msgspec

from rpm_stream.records import Action, Forwarded, KeptName, Name

NAMES = ("alert", "who", "to")  # a patient may have any name that an older release has kept
_action = msgspec.json.Decoder(Action)
_state = msgspec.msgpack.Encoder()


def read_action(value: bytes) -> Action:
    """The action. Raises one of ``UNREADABLE``, also for a name with a control character, and for
    what no state can hold: a time that UTC does not have. ``readings`` that it takes back are as
    they were kept.
    """
    action = _action.decode(value)
    check_times(action)
    for place in NAMES:
        check_name(getattr(action, place), place)
    return action


def check_name(name: str | None, place: str) -> None:
    """Raises one of ``UNREADABLE`` for what is no name that may enter; it stands in no message."""
    try:
        msgspec.convert(name, Name | None)
    except msgspec.ValidationError:
        raise msgspec.ValidationError(
            f"no name of 1 to 128 printable characters - at `$.{place}`"
        ) from None


def check_patient(name: str) -> None:
    """Raises one of ``UNREADABLE`` for what names no patient, in this release or an older one."""
    try:
        msgspec.convert(name, KeptName)
    except msgspec.ValidationError:
        raise msgspec.ValidationError("no name of 1 to 128 characters - at `$.patient`") from None


def check_times(record: Action | Forwarded) -> None:
    """Raises one of ``UNREADABLE`` where a time lies outside of what UTC has."""
    try:
        _state.encode(record)
    except OverflowError:
        raise msgspec.ValidationError("a time lies outside the years 1 to 9999 in UTC") from None
