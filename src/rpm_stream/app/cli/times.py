"""Times on the command line."""

from __future__ import annotations

from datetime import datetime

from rpm_stream.app.errors import UsageError


def zoned_time(option: str, text: str) -> datetime:
    """The value of ``option`` as a time with a zone. Raises UsageError, which names the option."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option}: {text!r} is no RFC 3339 time, such as 2026-01-31T12:00:00Z") from None
    if time.tzinfo is None:
        raise UsageError(f"{option}: the time needs a zone, such as Z")
    return time
