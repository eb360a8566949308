"""The page's words of time, in the reader's own zone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from rpm_stream.app.feed.page.wording import snooze_ends

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("now", "words", "end"),
    [
        ("2026-07-14T23:59:59+02:00", "Until tomorrow, Wed 15 Jul 08:00", "2026-07-15T06:00:00Z"),
        ("2026-07-15T00:00:00+02:00", "Until today, 08:00", "2026-07-15T06:00:00Z"),
        ("2026-07-15T03:00:00+02:00", "Until today, 08:00", "2026-07-15T06:00:00Z"),
        ("2026-07-15T07:59:59+02:00", "Until today, 08:00", "2026-07-15T06:00:00Z"),
        ("2026-07-15T08:00:00+02:00", "Until tomorrow, Thu 16 Jul 08:00", "2026-07-16T06:00:00Z"),
        # spring forward
        ("2026-03-28T22:00:00+01:00", "Until tomorrow, Sun 29 Mar 08:00", "2026-03-29T06:00:00Z"),
        ("2026-03-29T01:30:00+01:00", "Until today, 08:00", "2026-03-29T06:00:00Z"),
        # back in autumn
        ("2026-10-24T22:00:00+02:00", "Until tomorrow, Sun 25 Oct 08:00", "2026-10-25T07:00:00Z"),
        ("2026-10-25T02:30:00+02:00", "Until today, 08:00", "2026-10-25T07:00:00Z"),
    ],
)
def test_the_morning_of_a_snooze_is_the_next_one(now: str, words: str, end: str) -> None:
    *_, morning = snooze_ends(datetime.fromisoformat(now), BERLIN)
    assert morning == (words, datetime.fromisoformat(end))


def test_where_the_readers_zone_is_not_known_the_end_says_utc() -> None:
    *_, (words, _) = snooze_ends(datetime(2026, 7, 14, 7, tzinfo=UTC), UTC)
    assert words == "Until today, 08:00 UTC"
