"""Moments and lengths of time as text.

No clock is read here. The caller gives the present moment.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def duration_words(length: timedelta) -> str:
    """Return a length of time in the largest fitting unit.

    Examples: "less than a minute", "1 minute", "26 hours", "3 days".
    """
    minutes = int(length.total_seconds() // 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 120:
        return _count(minutes, "minute")
    if minutes < 48 * 60:
        return _count(minutes // 60, "hour")
    return _count(minutes // 1440, "day")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def ago_words(at: datetime, now: datetime) -> str:
    """Return how long before ``now`` something happened.

    A moment up to a minute ahead of ``now`` is "just now".
    """
    if at - now > timedelta(minutes=1):
        return f"{duration_words(at - now)} ahead of this clock"
    if now - at < timedelta(minutes=1):
        return "just now"
    return f"{duration_words(now - at)} ago"


def utc_words(at: datetime) -> str:
    """Return a moment for readers whose time zone is not known: "14 Jul 2026 08:00 UTC"."""
    utc = at.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y %H:%M} UTC"
