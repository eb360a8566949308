"""Short forms for tests of the decoders: what a payload says, and why it was refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rpm_stream.ingest.gatt.decoders import DecodeError, decode
from rpm_stream.records import Payload

Reads = Callable[[str, str], Payload]
Refuses = Callable[[str, str], str]


@pytest.fixture
def read() -> Reads:
    """``read(characteristic, hex)``: the payload."""
    return lambda characteristic, text: decode(characteristic, bytes.fromhex(text))


@pytest.fixture
def refuse() -> Refuses:
    """``refuse(characteristic, hex)``: the reason of the error."""

    def reason(characteristic: str, text: str) -> str:
        with pytest.raises(DecodeError) as caught:
            decode(characteristic, bytes.fromhex(text))
        return caught.value.reason

    return reason
