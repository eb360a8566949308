"""A device's clock: what is written is read back, by this module and by the decoders of
``ingest``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.gateway.ble import clock_values as clock
from rpm_stream.app.gateway.ble.clock_values import LocalTime, NoClockValue
from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.date_time import local_time, read_fields
from rpm_stream.ingest.gatt.decoders import decode
from rpm_stream.records import Payload

MOMENTS = st.datetimes(datetime(1600, 1, 1), datetime(9990, 12, 31), timezones=st.just(UTC))
LOCAL = st.datetimes(datetime(1582, 1, 1), datetime(9999, 12, 31))
OFFSETS = st.integers(-12 * 60, 14 * 60)
ZONES = st.sampled_from(
    "Europe/Berlin Europe/Dublin America/New_York Australia/Lord_Howe Asia/Kathmandu"
    " Pacific/Kiritimati UTC".split()
).map(ZoneInfo)


@given(MOMENTS, OFFSETS)
def test_current_time_is_read_back(at: datetime, offset: int) -> None:
    """To 1/256 s, with the right day of the week; the first seven octets are a Date Time."""
    octets = clock.current_time(at, offset)
    local = at.astimezone(timezone(timedelta(minutes=offset))).replace(tzinfo=None)
    read = clock.parse_current_time(octets)
    assert len(octets) == 10
    assert read.local is not None
    assert (
        timedelta(0) <= local - read.local < timedelta(seconds=1 / 256) + timedelta(microseconds=1)
    )
    assert read.weekday == local.isoweekday()
    assert read.reasons == clock.MANUAL
    assert local_time(read_fields(Cursor(octets[:7]))) == local.replace(microsecond=0)


@given(LOCAL)
def test_date_time_is_read_back(local: datetime) -> None:
    """By ``ingest`` and here alike."""
    octets = clock.date_time(local)
    decoded = decode("2A08", octets)
    assert isinstance(decoded, Payload)
    assert local_time(decoded.attributes["date_time"]) == local.replace(microsecond=0)
    assert clock.parse_date_time(octets) == local.replace(microsecond=0)


@given(st.sampled_from([None, *range(-720, 841, 15)]), st.sampled_from([None, 0, 30, 60, 120]))
def test_local_time_information_is_read_back(standard: int | None, summer: int | None) -> None:
    """The same two octets as in 2AAA, so that its decoder reads them too; a half that is unknown
    makes both so.
    """
    octets = clock.local_time_information(LocalTime(standard=standard, summer=summer))
    known = standard is not None and summer is not None
    whole = (
        LocalTime(standard=standard, summer=summer)
        if known
        else LocalTime(standard=None, summer=None)
    )
    assert clock.parse_local_time_information(octets) == whole
    decoded = decode("2AAA", clock.date_time(datetime(2026, 1, 1)) + octets)
    assert isinstance(decoded, Payload)
    assert (decoded.attributes["tz_min"], decoded.attributes["dst_min"]) == (
        whole.standard,
        whole.summer,
    )


@given(st.datetimes(datetime(1975, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC)), ZONES)
def test_the_halves_of_an_offset_make_the_whole(at: datetime, zone: ZoneInfo) -> None:
    """Law: whatever the zone calls summer time, what a device adds up is the offset that holds."""
    read = clock.parse_local_time_information(
        clock.local_time_information(clock.local_time_at(at, zone))
    )
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    assert read.utc_offset in (None, offset.total_seconds() / 60)
    if offset.total_seconds() % 900 == 0:
        assert read.utc_offset is not None


@pytest.mark.parametrize(
    ("at", "zone", "octets"),
    [
        # the last second of winter
        (datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC), "Europe/Berlin", "0400"),
        (datetime(2026, 3, 29, 1, 0, 0, tzinfo=UTC), "Europe/Berlin", "0404"),
        (datetime(2026, 10, 25, 0, 59, 59, tzinfo=UTC), "Europe/Berlin", "0404"),
        (datetime(2026, 10, 25, 1, 0, 0, tzinfo=UTC), "Europe/Berlin", "0400"),
        (datetime(2026, 7, 1, tzinfo=UTC), "America/New_York", "ec04"),
        # half an hour of summer time
        (datetime(2026, 1, 1, tzinfo=UTC), "Australia/Lord_Howe", "2a02"),
        (datetime(2026, 7, 1, tzinfo=UTC), "Asia/Kathmandu", "1700"),  # +5:45
    ],
)
def test_summer_time(at: datetime, zone: str, octets: str) -> None:
    assert clock.local_time_information(clock.local_time_at(at, ZoneInfo(zone))).hex() == octets


def test_the_hour_that_comes_twice() -> None:
    """Both moments show half past two; the offset that goes with the frame tells them apart."""
    zone = ZoneInfo("Europe/Berlin")
    first, second = (
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
    )
    assert (
        clock.local_at(first, zone) == clock.local_at(second, zone) == datetime(2026, 10, 25, 2, 30)
    )
    assert clock.local_time_at(first, zone).utc_offset == 120
    assert clock.local_time_at(second, zone).utc_offset == 60


@given(MOMENTS, OFFSETS, st.timedeltas(timedelta(days=-400), timedelta(days=400)))
def test_how_far_a_clock_is_ahead(at: datetime, offset: int, wrong: timedelta) -> None:
    shown = at.astimezone(timezone(timedelta(minutes=offset))).replace(tzinfo=None) + wrong
    assert clock.ahead(shown, at, offset) == wrong


@given(st.binary(max_size=12))
def test_any_octets_are_a_value_or_refused(octets: bytes) -> None:
    for parse in (
        clock.parse_current_time,
        clock.parse_date_time,
        clock.parse_local_time_information,
    ):
        try:
            parse(octets)
        except NoClockValue as error:
            assert str(error)


def test_a_clock_that_was_never_set() -> None:
    assert clock.parse_current_time(bytes(10)).local is None
    assert clock.parse_date_time(bytes(7)) is None


@pytest.mark.parametrize("octets", ["ea07021e000000", "ea070c1f180000", "ea070c1f003c00ff"])
def test_a_clock_that_shows_nonsense(octets: str) -> None:
    with pytest.raises(NoClockValue):
        clock.parse_date_time(bytes.fromhex(octets))


def test_a_zone_where_none_belongs_and_none_where_one_does() -> None:
    with pytest.raises(ValueError, match="no zone"):
        clock.date_time(datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="needs a zone"):
        clock.current_time(datetime(2026, 1, 1), 0)
