"""Times and states as the page writes them, in the reader's own time zone."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rpm_stream.app.feed.progress import Progress
from rpm_stream.publish.time_words import ago_words

MORNING = time(8)  # the day shift has read the list by then


def zone(name: str) -> tzinfo:
    """Return the zone that a browser names, or UTC when this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def clock(at: datetime, now: datetime, zone: tzinfo, *, seconds: bool = False) -> str:
    """ "07:02" today, "Tue 14 Jul 07:02" on another day, "UTC" added where that is the zone."""
    local = at.astimezone(zone)
    today = now.astimezone(zone).date()
    day = "" if local.date() == today else f"{local:%a} {local.day} {local:%b} "
    year = "" if local.year == today.year else f"{local.year} "
    return f"{day}{year}{local:{'%H:%M:%S' if seconds else '%H:%M'}}{' UTC' if zone is UTC else ''}"


def judged(progress: Progress, zone: tzinfo) -> str:
    """Return the short line at the top of the page, as of the last look."""
    if progress.judged_up_to is None:
        return "Not judged yet" if progress.status != "no_worker" else "No worker is judging"
    return f"Judged up to {clock(progress.judged_up_to, progress.checked_at, zone, seconds=True)}"


def alarm(progress: Progress) -> str | None:
    """Return what is wrong with judging as a sentence, or None."""
    if progress.status == "current":
        return None
    since = (
        ""
        if progress.judged_up_to is None
        else f" Last judged {ago_words(progress.judged_up_to, progress.checked_at)}."
    )
    sentences = {
        "no_worker": f"No worker is judging. New measurements raise no alerts.{since}",
        "behind": f"Judging is behind. Measurements are waiting.{since}",
        "unknown": f"The service cannot be reached. This list may be out of date.{since}",
    }
    return sentences[progress.status]


def wrong_clocks(progress: Progress) -> str | None:
    """Return the machines with a wrong clock as a sentence, or None.

    The listed times follow Kafka's clock.
    """
    if not progress.clocks:
        return None
    found = [f"{stage}: {_length(ahead)}" for stage, ahead in progress.clocks.items()]
    return (
        f"A machine's clock is wrong ({', '.join(found)}). Times here follow Kafka's clock. Tell"
        " the operator."
    )


def _length(ahead: int) -> str:
    return f"{duration_words(abs(ahead))} {'ahead' if ahead > 0 else 'behind'}"


def duration_words(seconds: int) -> str:
    """Return a length of time in its largest unit, rounded.

    >>> duration_words(86_400), duration_words(5_400), duration_words(90)
    ('1 day', '2 hours', '2 minutes')
    """
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            count = (seconds + size // 2) // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"


def snooze_ends(now: datetime, zone: tzinfo) -> list[tuple[str, datetime]]:
    """Return the offered ends of a snooze: in one hour, in four, and at eight the next morning.

    The morning is the reader's.
    """
    found: list[tuple[str, datetime]] = []
    for hours in (1, 4):
        end = (now + timedelta(hours=hours, seconds=59)).replace(second=0, microsecond=0)
        found.append(
            (f"{hours} hour{'s' if hours > 1 else ''}, until {clock(end, now, zone)}", end)
        )
    local = now.astimezone(zone)
    is_early = local.time() < MORNING
    day = local.date() if is_early else local.date() + timedelta(days=1)
    morning = datetime.combine(day, MORNING, zone).astimezone(UTC)
    return [
        *found,
        (f"Until {'today' if is_early else 'tomorrow'}, {clock(morning, now, zone)}", morning),
    ]
