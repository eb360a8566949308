"""Decode and check a message of rpm.actions before it touches a state.

The message comes from the topic or from a file.
"""

from __future__ import annotations

import msgspec

from rpm_stream.records import Action, Forwarded, KeptName, Name

# the patient is not here: it may have any name that an older release has kept
NAMES = ("alert", "who", "to")
_action = msgspec.json.Decoder(Action)
_state = msgspec.msgpack.Encoder()


def read_action(value: bytes) -> Action:
    """Return the decoded action.

    Raises one of ``UNREADABLE``, also for a name with a control character and for a time outside of
    what UTC has, which no state can hold. ``readings`` that the action takes back are not checked,
    because they are as they were kept.
    """
    action = _action.decode(value)
    check_times(action)
    for place in NAMES:
        check_name(getattr(action, place), place)
    return action


def check_name(name: str | None, place: str) -> None:
    """Raise one of ``UNREADABLE`` if ``name`` may not enter.

    The error's text does not contain the name.
    """
    try:
        msgspec.convert(name, Name | None)
    except msgspec.ValidationError:
        raise msgspec.ValidationError(
            f"no name of 1 to 128 printable characters - at `$.{place}`"
        ) from None


def check_patient(name: str) -> None:
    """Raise one of ``UNREADABLE`` if no release would accept ``name`` as a patient."""
    try:
        msgspec.convert(name, KeptName)
    except msgspec.ValidationError:
        raise msgspec.ValidationError("no name of 1 to 128 characters - at `$.patient`") from None


def check_times(record: Action | Forwarded) -> None:
    """Raise one of ``UNREADABLE`` if a time is outside of what UTC has."""
    try:
        _state.encode(record)
    except OverflowError:
        raise msgspec.ValidationError("a time lies outside the years 1 to 9999 in UTC") from None
