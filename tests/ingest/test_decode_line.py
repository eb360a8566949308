"""``rpm-stream decode``: one line in, one line out, always (contract, section 9)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpm_stream.ingest.decode_line import decode_line
from rpm_stream.ingest.gatt.decoders import DECODERS


def answer(line: bytes | dict[str, Any]) -> dict[str, Any]:
    out = decode_line(line if isinstance(line, bytes) else json.dumps(line).encode())
    assert b"\n" not in out and b"\r" not in out
    found: dict[str, Any] = json.loads(out)
    assert found.keys() in ({"readings"}, {"readings", "attributes"}, {"reject"})
    return found


def reason(line: bytes | dict[str, Any]) -> str:
    reject = answer(line)["reject"]
    assert reject.keys() == {"reason", "detail"} and reject["detail"]
    return str(reject["reason"])


def test_a_reading_whole() -> None:
    assert answer(
        {
            "characteristic": "2a1c",
            "hex": "06B00E00FEDC070C050B092704",
            "at": "2026-01-02T03:04:05Z",
        }
    ) == {
        "readings": [
            {
                "vital": "body_temperature",
                "value": "37.60",
                "unit": "Cel",
                "absent": None,
                "flags": [],
                "part": 0,
                "attributes": {"type": "finger"},
                "device_time": "2012-12-05T11:09:39",
            }
        ]
    }


def test_a_reading_without_device_time_has_no_such_key() -> None:
    (reading,) = answer({"characteristic": "2A19", "hex": "64"})["readings"]
    assert "device_time" not in reading
    assert reading["value"] == "100"


def test_a_payload_without_a_vital() -> None:
    assert answer({"characteristic": "2A08", "hex": "000000000a1e2d"}) == {
        "readings": [],
        "attributes": {"date_time": [None, None, None, 10, 30, 45]},
    }


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b"", "bad_json"),
        (b"   ", "bad_json"),
        (b"{", "bad_json"),
        (b'{"characteristic":"2A37","hex":"0048"', "bad_json"),
        (b'{"characteristic":7,"hex":"0048"', "bad_json"),
        (b'{"characteristic":"2A37","hex":"0048"} x', "bad_json"),
        (b'{"characteristic":"2A37","hex":"\xff"}', "bad_json"),
        (b"[" * 100_000, "bad_json"),
        (b"[]", "bad_schema"),
        (b"null", "bad_schema"),
        (b"{}", "bad_schema"),
        (b'{"characteristic":"2A37"}', "bad_schema"),
        (b'{"characteristic":"2A37","hex":72}', "bad_schema"),
        (b'{"characteristic":null,"hex":"0048"}', "bad_schema"),
        (b'{"characteristic":"2A37","hex":"0048","at":"yesterday"}', "bad_schema"),
        (b'{"characteristic":"2A37","hex":"0048","at":"2026-01-02T03:04:05"}', "bad_schema"),
        (b'{"characteristic":"2A37","hex":"004"}', "bad_schema"),
        (b'{"characteristic":"2A37","hex":"00 48"}', "bad_schema"),
        (b'{"characteristic":"2A37","hex":"0x48"}', "bad_schema"),
        (b'{"characteristic":"2A37","hex":"004\xd9\xa8"}', "bad_schema"),
        (b'{"characteristic":"2A99","hex":"0048"}', "unknown_characteristic"),
        (b'{"characteristic":"","hex":"0048"}', "unknown_characteristic"),
        (b'{"characteristic":"2A37","hex":""}', "truncated"),
        (b'{"characteristic":"2A37","hex":"' + b"00" * 2049 + b'"}', "too_large"),
        (b'{"characteristic":"2A37","hex":"' + b"00" * 2048 + b'"}', "trailing_bytes"),
    ],
)
def test_rejects(line: bytes, wanted: str) -> None:
    assert reason(line) == wanted


def test_further_keys_are_let_be() -> None:
    assert (
        answer({"id": "g1", "characteristic": "2A37", "hex": "0048", "note": ["x"]})["readings"][0][
            "value"
        ]
        == "72"
    )


@settings(deadline=None)
@given(line=st.binary(max_size=200))
def test_any_octets_give_one_line(line: bytes) -> None:
    answer(line)


@settings(deadline=None)
@given(
    characteristic=st.one_of(st.sampled_from(sorted(DECODERS)), st.text(max_size=8)),
    payload=st.one_of(st.binary(max_size=48).map(bytes.hex), st.text(max_size=20)),
)
def test_any_line_of_the_right_shape_gives_one_line(characteristic: str, payload: str) -> None:
    answer({"characteristic": characteristic, "hex": payload})
