"""The back-end for the system's stack where that is not BlueZ: macOS and Windows have no D-Bus."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import bleak, structlog, rpm_stream.app.gateway.ble.radio  # they look at the platform themselves
sys.platform = "darwin"
sys.modules["dbus_fast"] = None
from rpm_stream.app.gateway.ble.bleak_radio import BleakRadio
assert BleakRadio()._bluez is None
assert not [name for name in sys.modules if name.startswith("bleak.backends.bluezdbus")]
"""


def test_it_needs_no_bus_where_there_is_none() -> None:
    """The module is read there too."""
    subprocess.run([sys.executable, "-c", CODE], check=True)
