"""The back-end for the system's stack where that is not BlueZ: macOS and Windows have no D-Bus."""

from __future__ import annotations

import subprocess
import sys


def test_it_needs_no_bus_where_there_is_none() -> None:
    """macOS and Windows have no D-Bus: the module is read there too."""
    code = (
        "import sys, bleak, structlog, rpm_stream.app.gateway.ble.radio\nsys.platform = 'darwin'\nsys.modules['dbus_fast'] = None\n"
        "from rpm_stream.app.gateway.ble.bleak_radio import BleakRadio\n"
        "assert BleakRadio()._bluez is None\n"
        "assert not [name for name in sys.modules if name.startswith('bleak.backends.bluezdbus')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
