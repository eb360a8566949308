"""Law: whatever bleak raises for what the air, a device or the system did becomes one of ours,
without its values.
"""

from __future__ import annotations

import pytest
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakCharacteristicNotFoundError,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
)
from dbus_fast.errors import InvalidAddressError
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.gateway.ble import radio
from rpm_stream.app.gateway.ble.bleak_errors import RAISED, of_connecting, of_link

SECRET = "Ada Lovelace 190/125"
NAMES = st.sampled_from(
    "Failed InProgress NotReady NotConnected NotPermitted NotAuthorized NotSupported"
    " InvalidArguments".split()
)
ERRORS = st.one_of(
    st.integers(0, 255).map(BleakGATTProtocolError),
    st.builds(
        lambda name, text: BleakDBusError(f"org.bluez.Error.{name}", [text]), NAMES, st.text()
    ),
    st.from_regex(r"[A-Za-z]+", fullmatch=True).map(
        lambda name: BleakDBusError(f"org.dbus.Error.{name}", [])
    ),
    st.text().map(BleakError),
    st.sampled_from(
        [
            BleakDBusError("org.bluez.Error.Failed", ["Operation failed with ATT error: 0xzz"]),
            BleakCharacteristicNotFoundError(SECRET),
            BleakDeviceNotFoundError(SECRET, SECRET),
            BleakBluetoothNotAvailableError("off", BleakBluetoothNotAvailableReason.POWERED_OFF),
            OSError(SECRET),
            EOFError(),
            TimeoutError(),
            NotImplementedError(),
            AssertionError(SECRET),
            InvalidAddressError(SECRET),
        ]
    ),
)


@given(ERRORS, st.booleans())
def test_every_error_is_one_of_ours(error: Exception, connected: bool) -> None:
    assert isinstance(error, RAISED)
    for said in (of_link(error, connected), of_connecting(error)):
        assert isinstance(said, radio.RadioError)
        assert SECRET not in str(said)
        assert str(said)


@given(ERRORS)
def test_on_a_connection_that_is_gone_nothing_was_refused(error: Exception) -> None:
    """A no of a device is only told of a device that is there: else the next thing asked would
    be asked for nothing.
    """
    assert isinstance(of_link(error, connected=False), radio.LinkLost) or isinstance(
        error, NotImplementedError
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BleakGATTProtocolError(0x05), radio.NotPaired),
        (BleakGATTProtocolError(0x0F), radio.NotPaired),
        (BleakGATTProtocolError(0x06), radio.Refused),
        (BleakGATTProtocolError(0x80), radio.Refused),
        (BleakDBusError("org.bluez.Error.NotPermitted", ["Not paired"]), radio.NotPaired),
        (BleakDBusError("org.bluez.Error.NotPermitted", ["Write acquired"]), radio.Refused),
        (BleakDBusError("org.bluez.Error.Failed", ["Not connected"]), radio.LinkLost),
        (BleakDBusError("org.freedesktop.DBus.Error.UnknownObject", []), radio.LinkLost),
        (BleakDBusError("org.bluez.Error.Failed", ["Operation failed"]), radio.Refused),
        (BleakCharacteristicNotFoundError("2A37"), radio.NotFound),
        (BleakError("Not connected"), radio.LinkLost),
        (TimeoutError(), radio.LinkLost),
        (NotImplementedError(), radio.Refused),
        (EOFError(), radio.LinkLost),
    ],
)
def test_errors_of_a_connection(error: Exception, kind: type[radio.RadioError]) -> None:
    assert type(of_link(error, connected=True)) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BleakDBusError("org.bluez.Error.NotReady", []), radio.RadioOff),
        (BleakDBusError("org.freedesktop.DBus.Error.ServiceUnknown", []), radio.RadioOff),
        (
            BleakBluetoothNotAvailableError("off", BleakBluetoothNotAvailableReason.POWERED_OFF),
            radio.RadioOff,
        ),
        (BleakError("adapter 'hci0' not found"), radio.RadioOff),
        (ConnectionResetError(), radio.RadioOff),
        (
            BleakDBusError("org.bluez.Error.Failed", ["le-connection-abort-by-local"]),
            radio.NotFound,
        ),
        (BleakDeviceNotFoundError("x"), radio.NotFound),
        (BleakError("failed to discover services, device disconnected"), radio.NotFound),
        (TimeoutError(), radio.NotFound),
    ],
)
def test_errors_of_an_attempt(error: Exception, kind: type[radio.RadioError]) -> None:
    assert type(of_connecting(error)) is kind
