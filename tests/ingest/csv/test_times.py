"""Local times of a CSV file: read only in the zone and the form that somebody has named, and
never guessed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.replaying import decoded, new_replay, of_type

from rpm_stream.app.cli.columns import local_time
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.ingest.csv.rows import frames, rows
from rpm_stream.ingest.csv.times import RFC_3339, LocalClock, parse_form
from rpm_stream.ingest.gatt.decoders import DecodeError

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/St_Johns",
    "UTC",
]
# A form, and the same for strftime.
FORMS = {
    "dd.mm.yyyy hh:mm": "%d.%m.%Y %H:%M",
    "yyyy/mm/dd hh:mm:ss": "%Y/%m/%d %H:%M:%S",
    "hh:mm dd-mm-yyyy": "%H:%M %d-%m-%Y",
    "m/d/yyyy h:mm AM": "%m/%d/%Y %I:%M %p",
    "mm/dd/yyyy hh:mm:ss AM": "%m/%d/%Y %I:%M:%S %p",
    "yyyymmddThhmmss": "%Y%m%dT%H%M%S",
}
BERLIN = LocalClock(zone=ZoneInfo("Europe/Berlin"))
moments = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1))


@given(moments, st.sampled_from(ZONES), st.sampled_from(sorted(FORMS)))
def test_a_time_is_what_the_zone_says_or_is_refused(local: datetime, zone: str, form: str) -> None:
    """Law: read, it is the one moment at which clocks there show that; else there is none, or
    there are two.
    """
    local = local.replace(microsecond=0, second=local.second if "ss" in form else 0)
    known = ZoneInfo(zone)
    shown = {
        at
        for fold in (0, 1)
        if (at := local.replace(tzinfo=known, fold=fold).astimezone(UTC))
        .astimezone(known)
        .replace(tzinfo=None, fold=0)
        == local
    }
    clock = LocalClock(zone=known, form=parse_form(form))
    text = local.strftime(FORMS[form])
    if len(shown) != 1:
        with pytest.raises(DecodeError) as caught:
            clock.read(text)
        assert ("twice" in caught.value.detail) == (len(shown) == 2)
        return
    (at,) = shown
    found = clock.read(text)
    assert found.at == at == datetime.fromisoformat(found.text)
    assert found.utc_offset is not None
    hours, minutes = found.utc_offset[1:].split(":")
    offset = timedelta(hours=int(hours), minutes=int(minutes)) * (
        -1 if found.utc_offset[0] == "-" else 1
    )
    assert at.replace(tzinfo=None) + offset == local


@given(moments, st.sampled_from(["+01:00", "-03:30", "Z", "+14:00"]))
def test_a_time_with_an_offset_is_taken_as_it_stands_in_every_file(
    local: datetime, offset: str
) -> None:
    """So a row with a time that the zone has twice can be mended by itself."""
    text = local.isoformat() + offset
    assert LocalClock(zone=ZoneInfo("Europe/Berlin"), form=parse_form("dd.mm.yyyy hh:mm")).read(
        text
    ) == RFC_3339.read(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("2026-03-29 02:30", "no such time"),  # Berlin's clocks go from 02:00 to 03:00
        ("2026-10-25 02:30", "twice"),
        ("2026-02-30 10:00", "no such day"),
        ("2026-03-01 25:00", "no such day or time"),
        ("01.03.2026 10:00", "neither of the form"),
        ("2026-03-01", "neither of the form"),
        ("2026-03-01 10:00\n", "neither of the form"),
        ("\u0662026-03-01 10:00", "neither of the form"),
    ],
)
def test_what_names_no_moment_is_refused(text: str, word: str) -> None:
    with pytest.raises(DecodeError, match=word):
        BERLIN.read(text)


@pytest.mark.parametrize("hour", ["0", "13", "00"])
def test_with_am_the_hour_is_1_to_12(hour: str) -> None:
    clock = LocalClock(zone=ZoneInfo("UTC"), form=parse_form("yyyy-mm-dd h:mm AM"))
    with pytest.raises(DecodeError, match="1 to 12"):
        clock.read(f"2026-03-01 {hour}:00 pm")
    assert [clock.read(f"2026-03-01 12:05 {half}").text for half in ("AM", "pm")] == [
        "2026-03-01T00:05:00Z",
        "2026-03-01T12:05:00Z",
    ]


@pytest.mark.parametrize(
    ("form", "word"),
    {
        "dd.mm.yy hh:mm": "'y' is no part",
        "dd.mm.yyyy": "lacks the hour",
        "dd.mm.yyyy hh": "lacks the minute",
        "dd.dd.yyyy hh:mm": "day is given twice",
        "dmyyyy hh:mm": "no mark between the day",
        "%d.%m.%Y": "'%' is no part",
        "": "lacks the year",
    }.items(),
)
def test_a_form_that_is_none_is_named(form: str, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        local_time("Europe/Berlin", form)


@pytest.mark.parametrize("zone", ["CEST+2", "Europe/Nowhere", "../etc/passwd", "", "Europe"])
def test_an_unknown_zone_is_named(zone: str) -> None:
    with pytest.raises(UsageError, match="--zone"):
        local_time(zone, None)


def test_a_form_needs_its_zone() -> None:
    with pytest.raises(UsageError, match="--zone"):
        local_time(None, "dd.mm.yyyy hh:mm")
    assert local_time(None, None) is RFC_3339


def test_readings_of_a_file_with_local_times() -> None:
    """Each at its moment, with the offset that held there; a time that the zone has twice is a
    reject by its line.
    """
    lines = ["patient,measured_at,vital,value,unit\n"] + [
        f"p,{at},weight,{kilos},kg\n"
        for at, kilos in (
            ("28.03.2026 08:00", 80),
            ("29.03.2026 08:00", 81),
            ("25.10.2026 02:30", 82),
            ("2026-10-25T02:30:00+01:00", 83),
        )
    ]
    run = new_replay()
    found = frames(rows(lines, None, local_time("Europe/Berlin", "dd.mm.yyyy hh:mm")))
    output = decoded(line for each in found for line in run.csv(each))
    assert [
        (one["value"], one["measured_at"], one["utc_offset"]) for one in of_type(output, "reading")
    ] == [
        ("80", "2026-03-28T07:00:00Z", "+01:00"),
        ("81", "2026-03-29T06:00:00Z", "+02:00"),
        ("83", "2026-10-25T01:30:00Z", None),
    ]
    assert [reject["line"] for reject in of_type(output, "reject")] == [4]
