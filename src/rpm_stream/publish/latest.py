"""What is so now of each vital of an alert, in words: the newest value, how old it is, where it
is going, the worst.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from rpm_stream.knowledge import Vital
from rpm_stream.publish.moments import ago_words
from rpm_stream.records import Alert, Record, Sample, Trend
from rpm_stream.text import ABSENT_WORDS, UNIT_WORDS, plain_unit

ALWAYS_OLD = timedelta(hours=48)  # no vital is measured so rarely that an older value is of today


class Latest(Record, frozen=True, kw_only=True):
    """One vital of an alert as it is now.

    ``value`` and ``unit`` are in words ("88", "%"; a sentence and "" where the device showed no
    number), ``age_words`` says how long ago that was measured, ``worst_words`` is the worst value
    since the alert opened, with its unit. ``is_old``: it may have changed since, and must not look
    as if it were of this moment.
    """

    vital: str
    name: str
    value: str
    unit: str
    measured_at: datetime
    age_words: str
    is_old: bool
    worst_words: str
    worst_at: datetime
    trend: Trend | None
    trend_words: str


def latest(alert: Alert, vitals: Mapping[str, Vital], now: datetime) -> tuple[Latest, ...]:
    """One entry a vital, in the order of the record: the one that matters most first."""
    found: list[Latest] = []
    for each in alert.now:
        known = vitals.get(each.vital)
        value, unit = _words(each.newest, known)
        found.append(
            Latest(
                vital=each.vital,
                name=(known.plain if known else each.vital.replace("_", " ")).capitalize(),
                value=value,
                unit=unit,
                measured_at=each.newest.measured_at,
                age_words=ago_words(each.newest.measured_at, now),
                is_old=alert.stale or now - each.newest.measured_at >= ALWAYS_OLD,
                worst_words=" ".join(part for part in _words(each.worst, known) if part),
                worst_at=each.worst.measured_at,
                trend=each.trend,
                trend_words=each.trend or "",
            )
        )
    return tuple(found)


def _words(sample: Sample, vital: Vital | None) -> tuple[str, str]:
    """Value and unit as people write them."""
    if sample.value is None:
        return ABSENT_WORDS.get(sample.absent or "", "no value"), ""
    if vital is not None and (word := vital.word(sample.value)):
        return word, ""
    return sample.value, short_unit(sample.unit)


def short_unit(unit: str) -> str:
    """``/min`` of ``{beats}/min``, ``mmHg`` of ``mm[Hg]``."""
    word = plain_unit(unit)
    return "/min" if word == UNIT_WORDS["/min"] else word
