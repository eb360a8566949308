"""Requests of 2A52 and their answers, against the decoder of ``ingest``, which was written
without a look at them.
"""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.gateway.ble import record_access
from rpm_stream.app.gateway.ble.record_access import NoResponse, parse_response
from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.date_time import local_time, read_fields
from rpm_stream.ingest.gatt.decoders import decode
from rpm_stream.ingest.gatt.record_access import RESULTS
from rpm_stream.records import Payload

WORD = st.integers(0, 0xFFFF)
TIMES = st.datetimes(datetime(1582, 1, 1), datetime(9999, 12, 31)).map(
    lambda at: at.replace(microsecond=0)
)
GIVEN = {int: WORD, datetime: TIMES}
REQUESTS = {
    name: made
    for name, made in inspect.getmembers(record_access, inspect.isfunction)
    if made.__module__ == record_access.__name__ and get_type_hints(made)["return"] is bytes
}


def attributes(octets: bytes) -> dict[str, object]:
    decoded = decode("2A52", octets)
    assert isinstance(decoded, Payload)
    return decoded.attributes


def test_all_requests_are_looked_at() -> None:
    assert set(REQUESTS) == {
        "abort",
        "count_all",
        "report_all",
        "report_from_offset",
        "report_from_time",
        "report_since",
    }


@pytest.mark.parametrize("name", REQUESTS)
@given(data=st.data())
def test_no_request_can_delete_a_record(name: str, data: st.DataObject) -> None:
    """Law: whatever is asked, the device keeps what it has stored; and what is written can be
    read.
    """
    hints = get_type_hints(REQUESTS[name])
    made = REQUESTS[name](
        *(data.draw(GIVEN[hint]) for what, hint in hints.items() if what != "return")
    )
    assert attributes(made)["operation"] in ("report", "count", "abort")
    assert len(made) <= 20  # one write at the smallest MTU


@given(WORD)
def test_records_since_a_sequence_number(last: int) -> None:
    assert attributes(record_access.report_since(last)) == {
        "operation": "report",
        "operator": "greater_or_equal",
        "operand": "01" + last.to_bytes(2, "little").hex(),
    }


@given(WORD)
def test_records_since_a_minute_of_the_session(minutes: int) -> None:
    assert attributes(record_access.report_from_offset(minutes))["operand"] == (
        "01" + minutes.to_bytes(2, "little").hex()
    )


@given(TIMES)
def test_records_from_a_time(at: datetime) -> None:
    """The filter's time is a Date Time, read back by the decoder of 2A08."""
    operand = bytes.fromhex(str(attributes(record_access.report_from_time(at))["operand"]))
    assert operand[0] == 2
    assert local_time(read_fields(Cursor(operand[1:]))) == at


def test_a_time_with_a_zone_is_no_device_time() -> None:
    with pytest.raises(ValueError, match="no zone"):
        record_access.report_from_time(datetime(2026, 11, 29, tzinfo=UTC))


@pytest.mark.parametrize("wrong", [-1, 0x10000])
def test_what_does_not_fit_is_not_sent(wrong: int) -> None:
    for made in (record_access.report_since, record_access.report_from_offset):
        with pytest.raises(ValueError, match="bytes"):
            made(wrong)


def test_captured_requests() -> None:
    """Bytes as the Glucose Service writes them."""
    assert record_access.report_all().hex() == "0101"
    assert record_access.count_all().hex() == "0401"
    assert record_access.abort().hex() == "0300"
    assert record_access.report_since(5).hex() == "0103010500"
    assert (
        record_access.report_from_time(datetime(2026, 11, 29, 7, 30)).hex()
        == "010302ea070b1d071e00"
    )


@given(st.binary(max_size=24))
def test_any_octets_are_a_response_or_refused(octets: bytes) -> None:
    """Law: nothing that a device says raises anything else, and what both read they read alike."""
    try:
        read = parse_response(octets)
    except NoResponse:
        read = None
    try:
        known = attributes(octets)
    except DecodeError:
        return
    if known["operation"] == "count_response":
        assert read is not None
        assert (read.op, read.count) == (5, known["count"])
        assert read.is_empty == (known["count"] == 0)
    elif known["operation"] == "response":
        assert read is not None
        assert RESULTS[read.code or 0] == known["result"]
    else:
        assert read is None


@pytest.mark.parametrize(
    ("octets", "succeeded", "is_empty", "cannot_filter", "words"),
    [
        ("06000101", True, False, False, "success"),
        ("06000106", False, True, False, "no records found"),
        ("06000104", False, False, True, "the device does not support this operator"),
        ("06000109", False, False, True, "the device does not support this operand"),
        ("06000108", False, False, False, "the procedure was not completed"),
        ("0600010a", False, False, False, "the device is busy"),
        ("060001fe", False, False, False, "result code 254, which is reserved"),
        ("05000000", True, True, False, "0 stored records"),
        ("05000100", True, False, False, "1 stored record"),
        ("05002a00", True, False, False, "42 stored records"),
    ],
)
def test_what_an_answer_means(
    octets: str, succeeded: bool, is_empty: bool, cannot_filter: bool, words: str
) -> None:
    read = parse_response(bytes.fromhex(octets))
    assert (read.succeeded, read.is_empty, read.cannot_filter, read.words) == (
        succeeded,
        is_empty,
        cannot_filter,
        words,
    )


def test_every_result_code_has_words() -> None:
    assert set(record_access.RESULTS) == set(RESULTS)


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        ("", "has 0"),
        ("060001", "has 3"),
        ("0600010100", "1 bytes follow"),
        ("06010101", "no operator"),
        ("01000000", "op code 1 of 2A52 is not a response"),
    ],
)
def test_what_is_no_response(octets: str, fault: str) -> None:
    with pytest.raises(NoResponse, match=fault):
        parse_response(bytes.fromhex(octets))
