"""How a UUID is written."""

from __future__ import annotations

import pytest

from rpm_stream.app.gateway.ble.radio import short_uuid


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("2a37", "2A37"),
        ("0x2A37", "2A37"),
        ("00002a37", "2A37"),
        ("00002a37-0000-1000-8000-00805f9b34fb", "2A37"),
        ("00002A3700001000800000805F9B34FB", "2A37"),
        ("6e400001-b5a3-f393-e0a9-e50e24dcca9e", "6E400001-B5A3-F393-E0A9-E50E24DCCA9E"),
    ],
)
def test_a_uuid_has_one_spelling(text: str, short: str) -> None:
    assert short_uuid(text) == short
