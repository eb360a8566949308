"""One reading against the limits that hold for its patient: query bound, own limits, the shipped chart and table.

Precedence (CONTRACT 7): a patient's own limits take the place of the shipped ones for their vital; a value beyond the
query bound is high whoever's limits hold. Values are compared in the limit's unit, exactly.
"""

from __future__ import annotations

from decimal import Decimal

from rpm_stream.knowledge import Knowledge, ShippedLimit
from rpm_stream.records import Limit, PatientEntry, Priority, Reading, Record, Recovery
from rpm_stream.score.history import Level
from rpm_stream.score.news2 import Chart
from rpm_stream.words import plain_value

RANK: dict[Priority | None, int] = {None: 0, "low": 1, "medium": 2, "high": 3}


class Verdict(Record, frozen=True, kw_only=True):
    """What the limits say of one reading. ``first`` None: no limit is broken. ``minutes``: how long it must last."""

    level: Level
    points: int | None = None
    first: Priority | None = None
    repeated: Priority | None = None
    minutes: int = 0
    rule: str = ""
    title: str = ""
    why: str = ""


class LimitTable:
    """The limits of all patients; answers for the shipped ones are remembered (values repeat)."""

    def __init__(self, knowledge: Knowledge, chart: Chart) -> None:
        self._knowledge, self._chart = knowledge, chart
        self._rows: dict[str, list[ShippedLimit]] = {}
        for row in knowledge.limits.limit:
            self._rows.setdefault(row.vital, []).append(row)
        self._known: dict[tuple[object, ...], Verdict | None] = {}

    def judge(self, reading: Reading, patient: PatientEntry) -> Verdict | None:
        """The verdict; None where no limit knows the vital or the reading has no value that matters."""
        if reading.value is None:
            return self._meter(reading)
        adult = self._chart.applies(patient, reading.measured_at)
        own = [limit for limit in patient.limits if limit.vital == reading.vital and _valid(limit, reading)]
        if own:
            return self._judge(reading, patient, adult, own)
        key = (reading.vital, reading.value, reading.unit, adult, patient.oxygen_scale, patient.on_oxygen)
        if key not in self._known:
            if len(self._known) > 50_000:
                self._known.clear()
            self._known[key] = self._judge(reading, patient, adult, [])
        return self._known[key]

    def _judge(self, reading: Reading, patient: PatientEntry, adult: bool, own: list[Limit]) -> Verdict | None:
        assert reading.value is not None
        value = Decimal(reading.value)
        points = self._chart.points(reading.vital, value, reading.unit, patient) if adult else None
        verdicts = [self._beyond_query(reading, value)]
        if own:
            verdicts += [self._own(limit, reading, value) for limit in own]
        else:
            verdicts += [self._shipped(limit, reading, value) for limit in self._rows.get(reading.vital, ())]
            verdicts.append(self._band(reading, points, patient))
        found = [verdict for verdict in verdicts if verdict is not None]
        if not found:
            return Verdict(level="inside", points=points) if self._has_limits(reading.vital) else None
        worst = max(found, key=lambda v: (RANK[v.first], RANK[v.repeated], v.level == "between"))
        return Verdict(
            level=worst.level, points=points, first=worst.first, repeated=worst.repeated, minutes=worst.minutes,
            rule=worst.rule, title=worst.title, why=worst.why,
        )  # fmt: skip

    def _beyond_query(self, reading: Reading, value: Decimal) -> Verdict | None:
        row = self._knowledge.vitals[reading.vital]
        number = self._knowledge.convert(value, reading.unit, row.unit)
        limits = self._knowledge.limits
        if not row.query.excludes(number) or not self._has_limits(reading.vital):
            return None
        high = row.query.above is not None and number > row.query.above
        bound = row.query.above if high else row.query.below
        first = "medium" if self._asks_repeat(reading) else limits.beyond_query.first
        return Verdict(
            level="red",
            first=first,
            repeated=limits.beyond_query.first,
            rule=f"limit.query.{reading.vital}@{limits.version}",
            title=f"{row.display} {'very high' if high else 'very low'}",
            why=f"{plain_value(reading)}: {'above' if high else 'below'} {bound}, rarely real: look and repeat now (shipped)",
        )

    def _has_limits(self, vital: str) -> bool:
        return vital in self._rows or self._chart.knows(vital)

    def _asks_repeat(self, reading: Reading) -> bool:
        return not self._knowledge.signal.ask_repeat.isdisjoint(reading.flags)

    def _band(self, reading: Reading, points: int | None, patient: PatientEntry) -> Verdict | None:
        if points is None:
            return None
        limits, display = self._knowledge.limits, self._knowledge.vitals[reading.vital].display
        if points < 2:
            return Verdict(level="inside")
        band, level, word = (limits.red, "red", "red") if points == 3 else (limits.amber, "amber", "amber")
        side = self._chart.side(reading, patient)
        return Verdict(
            level=level,  # type: ignore[arg-type]  # "red" or "amber", both levels
            first=band.first,
            repeated=band.repeated,
            rule=f"limit.news2_{word}.{reading.vital}@{limits.version}",
            title=f"{display} {side}",
            why=f"{plain_value(reading)}: {side}, {word} on the NEWS2 chart with {points} points (shipped)",
        )

    def _shipped(self, row: ShippedLimit, reading: Reading, value: Decimal) -> Verdict | None:
        number = self._knowledge.convert(value, reading.unit, row.unit)
        low = row.below is not None
        bound = row.below if low else row.above
        assert bound is not None
        if number < bound if low else number > bound:
            return self._shipped_verdict(row, reading)
        recovered = number >= row.recover if low else number <= row.recover
        return Verdict(level="inside" if recovered else "between")

    def _shipped_verdict(self, row: ShippedLimit, reading: Reading) -> Verdict:
        low = row.below is not None
        advice = f"; {row.advice}" if row.advice else ""
        said = plain_value(reading)
        return Verdict(
            level="red",
            first=row.first,
            repeated=row.repeated,
            rule=f"limit.shipped.{row.vital}.{'below' if low else 'above'}_{row.below if low else row.above}@{self._knowledge.limits.version}",
            title=f"{self._knowledge.vitals[row.vital].display} {'low' if low else 'high'}",
            why=f"{said}: {'below' if low else 'above'} {row.below if low else row.above} {row.unit} (shipped){advice}",
        )

    def _meter(self, reading: Reading) -> Verdict | None:
        """A meter that shows HI or LO has no number, and means it."""
        beyond = None
        if reading.absent == "negative-infinity" or "result_too_low" in reading.flags:
            beyond = "low"
        elif reading.absent == "positive-infinity" or "result_too_high" in reading.flags:
            beyond = "high"
        rows = [row for row in self._rows.get(reading.vital, ()) if row.meter == beyond and beyond is not None]
        return self._shipped_verdict(rows[0], reading) if rows else None

    def _own(self, limit: Limit, reading: Reading, value: Decimal) -> Verdict:
        number = self._knowledge.convert(value, reading.unit, limit.unit)
        low = None if limit.low is None else Decimal(str(limit.low))
        high = None if limit.high is None else Decimal(str(limit.high))
        if (low is not None and number < low) or (high is not None and number > high):
            under = low is not None and number < low
            lasting = f" for {limit.for_} minutes" if limit.for_ else ""
            return Verdict(
                level="own",
                first=limit.priority,
                minutes=limit.for_,
                rule=f"limit.patient.{limit.vital}",
                title=f"{self._knowledge.vitals[limit.vital].display} {'low' if under else 'high'}",
                why=f"{plain_value(reading)}: {'below' if under else 'above'} {limit.low if under else limit.high} "
                f"{limit.unit}{lasting} (limit set by {limit.owner})",
            )
        return Verdict(level="inside" if _recovered(limit, number) else "between")


def _valid(limit: Limit, reading: Reading) -> bool:
    return limit.valid_from is None or limit.valid_from <= reading.measured_at


def _recovered(limit: Limit, number: Decimal) -> bool:
    """Inside the recovery limit; a single value belongs to the limit's one side."""
    recover = limit.recover
    low, high = limit.low, limit.high
    if isinstance(recover, Recovery):
        low, high = recover.low if recover.low is not None else low, recover.high if recover.high is not None else high
    elif recover is not None:
        low, high = (recover if limit.low is not None else None), (recover if limit.high is not None else None)
    return (low is None or number >= Decimal(str(low))) and (high is None or number <= Decimal(str(high)))
