"""The newest values of an alert for the page, large and with their age.

An old value is marked as old in its look and in words.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from html import escape

from rpm_stream.app.feed.page.wording import clock
from rpm_stream.publish.feed.rows import OVER_SEEN, FeedRow, back_words
from rpm_stream.publish.latest import Latest
from rpm_stream.records import Trend

ARROWS: dict[Trend, str] = {"rising": "↑", "falling": "↓", "steady": "→"}
NOBODY_LOOKED = "Nobody has looked at it yet."


def now_html(row: FeedRow) -> str:
    """Return a list of the newest values as escaped HTML, or "" for an alert without any."""
    if not row.now:
        return ""
    return f'<ul class="r-now" aria-label="Newest values">{"".join(map(_item, row.now))}</ul>'


def _item(each: Latest) -> str:
    is_number = each.value[:1].isdigit() or each.value[:1] == "-"
    unit = f" <small>{escape(each.unit)}</small>" if each.unit else ""
    arrow = f' <i aria-hidden="true">{ARROWS[each.trend]}</i>' if each.trend else ""
    age = f"old: {each.age_words}" if each.is_old else each.age_words
    details = ", ".join(
        part for part in (each.trend_words, age, f"worst {each.worst_words}") if part
    )
    return (
        f'<li class="{"is-old" if each.is_old else ""}"><span>{escape(each.name)}</span>'
        f'<b class="{"" if is_number else "is-words"}">{escape(each.value)}{unit}{arrow}</b>'
        f"<span>{escape(details)}</span></li>"
    )


def now_lines(row: FeedRow, now: datetime, zone: tzinfo) -> list[str]:
    """Return the same in sentences, with the time instead of an age.

    They are for a dialogue, which does not change while it is read.
    """
    lines = []
    for each in row.now:
        value = " ".join(part for part in (each.value, each.unit) if part)
        parts = [f"{each.name} now {value}", *([each.trend_words] if each.trend else [])]
        old = " (old)" if each.is_old else ""
        measured = f"measured {clock(each.measured_at, now, zone)}{old}"
        lines.append(f"{', '.join([*parts, measured])}; worst {each.worst_words}.")
    return lines


def looked_words(row: FeedRow) -> str:
    """Return a sentence on who has looked at an alert that is over, or "" for one that is not."""
    if not row.over:
        return ""
    back = back_words(row.group)
    return (
        OVER_SEEN[1].format(back=back, names=", ".join(row.seen_by))
        if row.seen_by
        else f"{back}. {NOBODY_LOOKED}"
    )
