"""Translation of the errors of bleak and D-Bus into those of ``radio.py``."""

from __future__ import annotations

import sys

from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakCharacteristicNotFoundError,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
    BleakGATTProtocolErrorCode,
)

from rpm_stream.app.gateway.ble.radio import (
    LinkLost,
    NotFound,
    NotPaired,
    RadioError,
    RadioOff,
    Refused,
)

RAISED: tuple[type[Exception], ...] = (
    BleakError,
    OSError,
    EOFError,
    TimeoutError,
    NotImplementedError,
    AssertionError,  # bleak asserts that it has a bus; the bus may end while it is used
)
"""All exceptions with which a call of bleak may report a failure of radio, device or system."""
if sys.platform == "linux":
    from dbus_fast.errors import DBusFastError

    RAISED += (DBusFastError,)

WANTS_PAIRING = frozenset(
    {
        BleakGATTProtocolErrorCode.INSUFFICIENT_AUTHENTICATION,
        BleakGATTProtocolErrorCode.INSUFFICIENT_AUTHORIZATION,
        BleakGATTProtocolErrorCode.INSUFFICIENT_ENCRYPTION,
        BleakGATTProtocolErrorCode.INSUFFICIENT_ENCRYPTION_KEY_SIZE,
    }
)
LOST_AT_ONCE = "connected and lost at once"
_OFF = ("NotReady", "ServiceUnknown", "NameHasNoOwner")
_LOST = (
    "NotConnected",
    "UnknownObject",
    "UnknownMethod",
    "UnknownInterface",
    "NoReply",
    "Disconnected",
    "DoesNotExist",
)
_LOST_WORDS = ("not connected", "disconnected")


def of_link(error: BaseException, connected: bool) -> RadioError:
    """Return the error of a request on a connection.

    ``connected`` is whether the connection was still up after the request.
    """
    match error:
        case BleakGATTProtocolError() if connected:
            words = str(error.args[1]).removeprefix("GATT Protocol Error: ").lower()
            return (NotPaired if error.code in WANTS_PAIRING else Refused)(words)
        case BleakCharacteristicNotFoundError() if connected:
            return NotFound("the device has no such characteristic")
        case BleakDBusError() if connected:
            return _of_bus(error)
        case TimeoutError():
            return LinkLost("the device did not answer")
        case NotImplementedError():
            return Refused("this system does not do that")
        case BleakError() if connected and not _tells_of_loss(_text(error)):
            return Refused(type(error).__name__)
    return LinkLost("the connection has ended")


def of_connecting(error: BaseException) -> RadioError:
    """Return the error of an attempt to connect or to scan."""
    match error:
        case BleakBluetoothNotAvailableError():
            return RadioOff(str(error.args[0]))
        case BleakDBusError() if _name(error) in _OFF:
            return RadioOff("the Bluetooth adapter is off")
        case BleakDeviceNotFoundError():
            return NotFound("not seen, or seen too long ago")
        case TimeoutError():
            return NotFound("not reached in time")
        case BleakError() if "discover services" in _text(error):
            return NotFound(LOST_AT_ONCE)
        case BleakError() if _text(error).startswith("adapter "):
            return RadioOff("the Bluetooth adapter is gone")
        case OSError() | EOFError():
            return RadioOff("the system's Bluetooth service does not answer")
    return NotFound(f"not reached ({_name(error)})")


def is_stuck(error: BleakDBusError) -> bool:
    """Whether BlueZ wrongly believes that it is scanning already.

    Only a power cycle helps (bleak issue 2021).
    """
    return _name(error) == "InProgress"


def _of_bus(error: BleakDBusError) -> RadioError:
    name = _name(error)
    details = _text(error).lower()
    if name in _LOST or _tells_of_loss(details):
        return LinkLost("the connection has ended")
    if name in ("NotAuthorized", "NotPermitted") and "pair" in details:
        return NotPaired("not paired")
    return Refused(name)


def _tells_of_loss(text: str) -> bool:
    return any(words in text.lower() for words in _LOST_WORDS)


def _text(error: BaseException) -> str:
    """Return all arguments of ``error`` as one text.

    bleak's own text of a D-Bus error parses numbers in it and may fail at that.
    """
    return " ".join(str(each) for each in error.args)


def _name(error: BaseException) -> str:
    """Return ``NotReady`` for ``org.bluez.Error.NotReady``, else the name of the class."""
    return (
        error.dbus_error.rpartition(".")[2]
        if isinstance(error, BleakDBusError)
        else type(error).__name__
    )
