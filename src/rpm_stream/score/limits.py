"""One reading against the limits that hold for its patient: query bound, own limits, the shipped chart and table.

Precedence (CONTRACT 7): a patient's own limit takes the place of the shipped ones for its vital and side (who sets
only an upper limit keeps the shipped lower one); a value beyond the query bound is high whoever's limits hold. Values
are compared in the limit's unit, exactly. A doubt of the device about its own value is said, and silences nothing
(law 3).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from rpm_stream.knowledge import Knowledge, ShippedLimit
from rpm_stream.records import Direction, Limit, LimitValue, PatientEntry, Priority, Reading, Record, Recovery
from rpm_stream.score.history import Level
from rpm_stream.score.news2 import Chart
from rpm_stream.words import plain_flags, plain_unit, plain_value

Side = Direction
WORD: dict[Side, str] = {"low": "below", "high": "above"}
REMEMBERED = 50_000


class Breach(Record, frozen=True, kw_only=True):
    """One limit that a reading is beyond. ``limit`` names it in the history; ``member`` is its place in an episode.

    ``first`` is the priority of one such reading, ``repeated`` that of a second in a row; ``minutes``: how long it
    must last before it counts at all.
    """

    limit: str
    member: str
    side: Side
    first: Priority
    repeated: Priority | None = None
    minutes: int = 0
    rule: str
    title: str
    why: str


class Verdict(Record, frozen=True, kw_only=True):
    """What the limits say of one reading."""

    level: Level
    points: int | None
    breaches: tuple[Breach, ...] = ()
    broken: tuple[str, ...] = ()


class OwnSide(Record, frozen=True, kw_only=True):
    """One side of a patient's own limit, with the value that counts as recovered."""

    source: Limit
    side: Side
    bound: LimitValue
    recover: LimitValue


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
        own = self._own_sides(patient, reading) if patient.limits else []
        if own:
            return self._judge(reading, patient, adult, own)
        doubts = reading.flags and tuple(flag for flag in reading.flags if flag in self._knowledge.signal.ask_repeat)
        key = (reading.vital, reading.value, reading.unit, doubts, adult, patient.oxygen_scale, patient.on_oxygen)
        if key not in self._known:
            if len(self._known) > REMEMBERED:
                self._known.clear()
            self._known[key] = self._judge(reading, patient, adult, [])
        return self._known[key]

    def _judge(self, reading: Reading, patient: PatientEntry, adult: bool, own: list[OwnSide]) -> Verdict | None:
        assert reading.value is not None
        if not own and not self._has_limits(reading.vital):
            return None
        value, unit = Decimal(reading.value), reading.unit
        covered = {side.side for side in own}
        rows = [row for row in self._rows.get(reading.vital, ()) if _side(row) not in covered]
        points = self._chart.points(reading.vital, value, unit, patient) if adult else None
        breaches = [
            *self._beyond_query(reading, value),
            *self._own(own, reading, value),
            *(self._shipped(row, reading) for row in rows if self._beyond(row, unit, value)),
            *(breach for side, breach in self._band(reading, points, patient) if side not in covered),
        ]
        recovered = all(self._recovered(side, unit, value) for side in own)
        recovered = recovered and all(self._back(row, unit, value) for row in rows)
        return Verdict(
            level="beyond" if breaches else "inside" if recovered else "between",
            points=points,
            breaches=tuple(breaches),
            broken=tuple(dict.fromkeys(breach.limit for breach in breaches)),
        )

    def _has_limits(self, vital: str) -> bool:
        return vital in self._rows or self._chart.knows(vital)

    def _said(self, reading: Reading) -> str:
        """The value, and whether the device itself doubts it."""
        doubts = plain_flags(flag for flag in reading.flags if flag in self._knowledge.signal.ask_repeat)
        return f"{plain_value(reading)}{f' (the device doubts it: {doubts})' if doubts else ''}"

    def _title(self, vital: str, side: Side, how: str = "") -> str:
        return f"{self._knowledge.vitals[vital].display} {how}{side}"

    def _beyond_query(self, reading: Reading, value: Decimal) -> Iterator[Breach]:
        row, limits = self._knowledge.vitals[reading.vital], self._knowledge.limits
        number = self._knowledge.convert(value, reading.unit, row.unit)
        if not self._has_limits(reading.vital) or not row.query.excludes(number):
            return
        side: Side = "high" if row.query.above is not None and number > row.query.above else "low"
        bound = row.query.above if side == "high" else row.query.below
        yield Breach(
            limit="red",
            member=f"limit:{reading.vital}:{side}",
            side=side,
            first=limits.beyond_query.first,
            repeated=limits.beyond_query.repeated,
            rule=f"limit.query.{reading.vital}.{WORD[side]}_{bound}@{limits.version}",
            title=self._title(reading.vital, side, "very "),
            why=f"{self._said(reading)}: {WORD[side]} {bound} {plain_unit(row.unit)}, rarely real: look and repeat now "
            "(shipped)",
        )

    def _band(self, reading: Reading, points: int | None, patient: PatientEntry) -> Iterator[tuple[Side, Breach]]:
        if points is None or points < 2:
            return
        limits = self._knowledge.limits
        band, word = (limits.red, "red") if points == 3 else (limits.amber, "amber")
        side: Side = "low" if self._chart.side(reading, patient) == "low" else "high"
        yield (
            side,
            Breach(
                limit=word,
                member=f"limit:{reading.vital}:{side}",
                side=side,
                first=band.first,
                repeated=band.repeated,
                rule=f"limit.news2_{word}.{reading.vital}@{limits.version}",
                title=self._title(reading.vital, side),
                why=f"{self._said(reading)}: {side}, {word} on the NEWS2 chart with {points} points (shipped)",
            ),
        )

    def _beyond(self, row: ShippedLimit, unit: str, value: Decimal) -> bool:
        number = self._knowledge.convert(value, unit, row.unit)
        return number < row.below if row.below is not None else row.above is not None and number > row.above

    def _back(self, row: ShippedLimit, unit: str, value: Decimal) -> bool:
        number = self._knowledge.convert(value, unit, row.unit)
        return number >= row.recover if row.below is not None else number <= row.recover

    def _shipped(self, row: ShippedLimit, reading: Reading) -> Breach:
        side = _side(row)
        limit = f"{WORD[side]}_{row.below if side == 'low' else row.above}"
        return Breach(
            limit=limit,
            member=f"limit:{row.vital}:{side}",
            side=side,
            first=row.first,
            repeated=row.repeated,
            rule=f"limit.shipped.{row.vital}.{limit}@{self._knowledge.limits.version}",
            title=self._title(row.vital, side),
            why=f"{self._said(reading)}: {limit.replace('_', ' ')} {plain_unit(row.unit)} (shipped)"
            f"{f'; {row.advice}' if row.advice else ''}",
        )

    def _meter(self, reading: Reading) -> Verdict | None:
        """A meter that shows HI or LO has no number, and means it."""
        beyond: Side | None = None
        if reading.absent == "negative-infinity" or "result_too_low" in reading.flags:
            beyond = "low"
        elif reading.absent == "positive-infinity" or "result_too_high" in reading.flags:
            beyond = "high"
        rows = [row for row in self._rows.get(reading.vital, ()) if beyond is not None and row.meter == beyond]
        if not rows:
            return None
        breach = self._shipped(rows[0], reading)
        return Verdict(level="beyond", points=None, breaches=(breach,), broken=(breach.limit,))

    def _own_sides(self, patient: PatientEntry, reading: Reading) -> list[OwnSide]:
        """The own limits that hold at the reading's time; one that begins later takes an earlier one's place."""
        units = self._knowledge.vitals[reading.vital].units
        found: list[OwnSide] = []
        for limit in patient.limits:
            if limit.vital != reading.vital or limit.unit not in units:  # registry.faults tells of a wrong unit
                continue
            if limit.valid_from is None or limit.valid_from <= reading.measured_at:
                found += _sides(limit)
        newest: dict[Side, float] = {}
        for own in found:
            newest[own.side] = max(newest.get(own.side, _begin(own)), _begin(own))
        return [own for own in found if _begin(own) == newest[own.side]]

    def _own(self, sides: list[OwnSide], reading: Reading, value: Decimal) -> Iterator[Breach]:
        for own in sides:
            limit = own.source
            number, bound = self._knowledge.convert(value, reading.unit, limit.unit), Decimal(str(own.bound))
            if not (number < bound if own.side == "low" else number > bound):
                continue
            name = f"{WORD[own.side]}_{own.bound}_{limit.unit}"
            lasting = f" for {limit.for_} minutes" if limit.for_ else ""
            yield Breach(
                limit=name,
                member=f"limit:{limit.vital}:{name}",
                side=own.side,
                first=limit.priority,
                minutes=limit.for_,
                rule=f"limit.patient.{limit.vital}.{name}",
                title=self._title(limit.vital, own.side),
                why=f"{self._said(reading)}: {WORD[own.side]} {own.bound} {plain_unit(limit.unit)}{lasting} "
                f"(limit set by {limit.owner})",
            )

    def _recovered(self, own: OwnSide, unit: str, value: Decimal) -> bool:
        number, recover = self._knowledge.convert(value, unit, own.source.unit), Decimal(str(own.recover))
        return number >= recover if own.side == "low" else number <= recover


def _side(row: ShippedLimit) -> Side:
    return "low" if row.below is not None else "high"


def _begin(own: OwnSide) -> float:
    return float("-inf") if own.source.valid_from is None else own.source.valid_from.timestamp()


def _sides(limit: Limit) -> Iterator[OwnSide]:
    """Both sides of a limit; a single recovery value belongs to the limit's one side."""
    recover = limit.recover
    if isinstance(recover, Recovery):
        low, high = recover.low, recover.high
    else:
        low = recover if limit.high is None else None
        high = recover if limit.low is None else None
    if limit.low is not None:
        yield OwnSide(source=limit, side="low", bound=limit.low, recover=limit.low if low is None else low)
    if limit.high is not None:
        yield OwnSide(source=limit, side="high", bound=limit.high, recover=limit.high if high is None else high)
