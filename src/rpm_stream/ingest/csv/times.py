"""The times of a CSV file: RFC 3339 with an offset, or local times of a zone in a form.

The user names zone and form. Nothing is guessed: not the order of day and month, not the century,
not the zone. A local time that a zone does not have (clocks go forward) or has twice (clocks go
back) is refused with that reason. Times with an offset are accepted in a file of any form, so such
rows can be corrected one by one.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

import msgspec

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.records import Record, Time

# The parts of a form. ``m`` is the minute if the field before it is an hour with only marks
# between, else the month. One letter is one or two digits, two letters are two digits.
_FIELD = re.compile(r"yyyy|mm?|dd?|hh?|ss?|AM")
_DIGITS = {"yyyy": "[0-9]{4}", 1: "[0-9]{1,2}", 2: "[0-9]{2}"}
_MARKS = frozenset(" .,-/:T_")
_NEEDED = ("year", "month", "day", "hour", "minute")
_NAMES = {"y": "year", "d": "day", "h": "hour", "s": "second", "A": "half"}
FORM_WORDS = "yyyy mm dd hh mm ss (or m d h s) and AM, as in dd.mm.yyyy hh:mm or m/d/yyyy h:mm AM"
_ISO = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})[T"
    r" ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:\.(?P<part>[0-9]{1,6}))?)?",
    re.ASCII,
)


class WrittenTime(Record, frozen=True, kw_only=True):
    """A time in a file: as RFC 3339 text, as a time, and with the offset of its zone.

    The offset is None if no zone was given.
    """

    text: str
    at: datetime
    utc_offset: str | None = None


class LocalClock(Record, frozen=True, kw_only=True):
    """How a file writes its times.

    ``zone`` is that of times without an offset. None means that every time has one. ``form`` is a
    pattern with the groups year month day hour minute and perhaps second, part, half. ``form_text``
    is its text for people.
    """

    zone: tzinfo | None = None
    form: re.Pattern[str] = _ISO
    form_text: str = "yyyy-mm-dd hh:mm:ss"

    def read(self, text: str) -> WrittenTime:
        """Return the moment that ``text`` names.

        Raises DecodeError (bad_schema) with the reason if there is none.
        """
        try:
            return WrittenTime(text=text, at=msgspec.convert(text, Time))
        except msgspec.ValidationError:
            pass
        if self.zone is None:
            raise DecodeError("bad_schema", "measured_at is no RFC 3339 time with a zone")
        found = self.form.fullmatch(text.strip(" "))
        if found is None:
            raise DecodeError(
                "bad_schema",
                f"measured_at is neither of the form {self.form_text} nor RFC 3339 with a zone",
            )
        return _in_zone(_local(found.groupdict()), self.zone)


RFC_3339 = LocalClock()


def _local(parts: dict[str, str | None]) -> datetime:
    """Return the local time of the groups of a form.

    Raises DecodeError for a 30th of February or 13 AM.
    """
    number = {name: int(parts.get(name) or 0) for name in (*_NEEDED, "second")}
    if half := parts.get("half"):
        if not 1 <= number["hour"] <= 12:
            raise DecodeError("bad_schema", "measured_at: with AM or PM the hour is 1 to 12")
        number["hour"] = number["hour"] % 12 + (12 if half.upper() == "PM" else 0)
    micro = int((parts.get("part") or "0").ljust(6, "0"))
    try:
        year, month, day, hour, minute, second = number.values()  # the order is that of _NEEDED
        return datetime(year, month, day, hour, minute, second, micro)
    except ValueError:
        raise DecodeError("bad_schema", "measured_at: there is no such day or time") from None


def _in_zone(local: datetime, zone: tzinfo) -> WrittenTime:
    """Return the one moment of a local time.

    Raises DecodeError if the zone has none or two such moments.
    """
    try:
        first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        offset = first.astimezone(zone).utcoffset() or timedelta()
        if first.astimezone(zone).replace(tzinfo=None, fold=0) != local:
            raise DecodeError(
                "bad_schema", "measured_at: its zone has no such time, clocks go forward there"
            )
        if first != second:
            raise DecodeError(
                "bad_schema", "measured_at: its zone has that time twice, clocks go back there"
            )
    except OverflowError:
        raise DecodeError("bad_schema", "measured_at lies outside what UTC has") from None
    minutes, rest = divmod(int(offset.total_seconds()), 60)
    sign = "-" if minutes < 0 else "+"
    hours, minutes = divmod(abs(minutes), 60)
    whole = rest == 0 and hours <= 14
    text = first.isoformat().replace("+00:00", "Z")
    return WrittenTime(
        text=text, at=first, utc_offset=f"{sign}{hours:02d}:{minutes:02d}" if whole else None
    )


def parse_form(text: str) -> re.Pattern[str]:
    """Return the pattern of a form.

    Raises DecodeError (bad_schema) naming what is wrong.

    >>> parse_form("m/d/yyyy h:mm AM").fullmatch("3/9/2026 1:05 pm")["minute"]
    '05'
    """
    pattern = ""
    place = 0
    named: list[str] = []
    short = False  # true while the last field has one or two digits and no mark follows it yet
    while place < len(text):
        found = _FIELD.match(text, place)
        if found is not None:
            word = found[0]
            name = _NAMES.get(word[0]) or ("minute" if named[-1:] == ["hour"] else "month")
            if name in named:
                raise DecodeError("bad_schema", f"the {name} is given twice")
            if short and name != "half":
                raise DecodeError(
                    "bad_schema",
                    f"no mark between the {named[-1]} of one or two digits and the {name}",
                )
            named.append(name)
            short = len(word) == 1
            digits = "[AaPp][Mm]" if name == "half" else _DIGITS.get(word) or _DIGITS[len(word)]
            pattern += f"(?P<{name}>{digits})"
            place = found.end()
        elif text[place] in _MARKS:
            pattern += re.escape(text[place])
            place += 1
            short = False
        else:
            raise DecodeError(
                "bad_schema", f"{text[place]!r} is no part of a time; a form has {FORM_WORDS}"
            )
    if missing := [name for name in _NEEDED if name not in named]:
        raise DecodeError(
            "bad_schema", f"the form lacks the {' and the '.join(missing)}; it has {FORM_WORDS}"
        )
    return re.compile(pattern, re.ASCII)
