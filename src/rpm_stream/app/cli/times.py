"""Times on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from rpm_stream.app.runtime.errors import UsageError

SECONDS = {"s": 1, "m": 60, "h": 3600}


def zoned_time(option: str, text: str) -> datetime:
    """Return the value of ``option`` as a time with a zone.

    Raises UsageError with the name of the option.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option}: {text!r} is not an RFC 3339 time, such as 2026-01-31T12:00:00Z"
        ) from None
    if time.tzinfo is None:
        raise UsageError(f"{option}: the time needs a zone, such as Z")
    return time


def utc_time(option: str, text: str | None) -> datetime | None:
    """Return the value of an optional ``option`` in UTC.

    Raises UsageError with the name of the option.
    """
    return None if text is None else zoned_time(option, text).astimezone(UTC)


def duration(option: str, text: str) -> timedelta:
    """Return a length of time such as 30s, 5m or 24h.

    Raises UsageError with the name of the option.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smh])", text)
    if found is None:
        raise UsageError(f"{option}: {text!r} is not a length of time, such as 30s, 5m or 24h")
    return timedelta(seconds=int(found[1]) * SECONDS[found[2]])
