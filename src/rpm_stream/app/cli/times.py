"""Times on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from rpm_stream.app.runtime.errors import UsageError

SECONDS = {"s": 1, "m": 60, "h": 3600}


def zoned_time(option: str, text: str) -> datetime:
    """The value of ``option`` as a time with a zone. Raises UsageError, which names the option."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option}: {text!r} is no RFC 3339 time, such as 2026-01-31T12:00:00Z"
        ) from None
    if time.tzinfo is None:
        raise UsageError(f"{option}: the time needs a zone, such as Z")
    return time


def utc_time(option: str, text: str | None) -> datetime | None:
    """The value of an ``option`` that may be left out, in UTC.

    Raises UsageError, which names the option.
    """
    return None if text is None else zoned_time(option, text).astimezone(UTC)


def duration(option: str, text: str) -> timedelta:
    """A length of time such as 30s, 5m or 24h. Raises UsageError, which names the option."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smh])", text)
    if found is None:
        raise UsageError(f"{option}: {text!r} is no length of time, such as 30s, 5m or 24h")
    return timedelta(seconds=int(found[1]) * SECONDS[found[2]])
