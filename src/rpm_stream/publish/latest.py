"""The current value of each vital of an alert as text: value, age, trend and worst value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from rpm_stream.knowledge.tables import Vital
from rpm_stream.publish.time_words import ago_words
from rpm_stream.records import Alert, Record, Sample, Trend
from rpm_stream.text import ABSENT_WORDS, UNIT_WORDS, plain_unit

ALWAYS_OLD = timedelta(hours=48)  # no vital is measured so rarely that an older value is current


class Latest(Record, frozen=True, kw_only=True):
    """The current value of one vital of an alert.

    ``value`` and ``unit`` are text ("88" and "%", or a sentence and "" if the device showed no
    number). ``age_words`` is how long ago that was measured. ``worst_words`` is the worst value
    since the alert opened, with its unit. ``is_old`` means that the vital may have changed since,
    so the value must not look current.
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
    """Return one entry for each vital, in the order of the record: the most important first."""
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
    if sample.value is None:
        return ABSENT_WORDS.get(sample.absent or "", "no value"), ""
    if vital is not None and (word := vital.word(sample.value)):
        return word, ""
    return sample.value, short_unit(sample.unit)


def short_unit(unit: str) -> str:
    """Return ``/min`` for ``{beats}/min``, ``mmHg`` for ``mm[Hg]``."""
    word = plain_unit(unit)
    return "/min" if word == UNIT_WORDS["/min"] else word
