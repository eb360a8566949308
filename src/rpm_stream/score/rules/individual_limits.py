"""Limits that people have set: which of them hold for a patient at a moment, and what is wrong with
one.

A limit holds in [valid_from, until). Of those that hold, the patient's own come before the panel's,
the panel's before the programme's, per vital and side (CONTRACT 7); within one level the one that
began last takes the place of the others of its priority, whoever set them, so that a person may
have tiers. A limit that cannot be used is left out, and what comes next holds. Because what ended
stays listed, a late reading meets the limits of its own time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from rpm_stream.knowledge import Knowledge, Vital
from rpm_stream.knowledge.registry import Registry, has_unreadable_birth
from rpm_stream.records import (
    DeviceEntry,
    Direction,
    Limit,
    LimitValue,
    PatientEntry,
    Record,
    Recovery,
    RegistryEntry,
)
from rpm_stream.score.memory.expected import expected_faults
from rpm_stream.score.rules.discharge_weight import target_fault
from rpm_stream.text import cleaned, plain_given, with_unit

Level = Literal["patient", "panel", "programme"]
LEVELS: tuple[Level, ...] = ("patient", "panel", "programme")  # whose limits come first
REMEMBERED = 50_000
Held = tuple[Level, str, tuple[Limit, ...]]  # level, name of the panel or programme, its limits


class OwnSide(Record, frozen=True, kw_only=True):
    """One side of a limit that somebody has set; ``group`` names the panel or programme."""

    source: Limit
    side: Direction
    bound: Decimal
    recover: Decimal
    level: Level
    group: str = ""

    def said(self) -> str:
        """Whose setting it is (law 12): ``limit set by dr-7 for the panel heart-failure``."""
        whose = f" for the {self.level} {cleaned(self.group)}" if self.group else ""
        return f"limit set by {self.source.owner}{whose}"


class Period(msgspec.Struct, frozen=True):
    """The sides that hold of one vital for a while.

    ``serial`` tells periods apart; 0 where nothing is set.
    """

    serial: int
    sides: tuple[OwnSide, ...]


NOTHING = Period(0, ())


class Timeline(msgspec.Struct, frozen=True):
    """The periods of one vital: the first before all ``boundaries``, each other from its
    boundary on.
    """

    boundaries: tuple[datetime, ...]
    periods: tuple[Period, ...]


class _Known(msgspec.Struct, frozen=True):
    """Timelines by vital, with what they were made of."""

    held: tuple[Held, ...]
    timelines: dict[str, Timeline]


class OwnLimits:
    """The set limits of all patients, each worked out once as long as the registry stays the
    same.
    """

    def __init__(self, registry: Registry, knowledge: Knowledge) -> None:
        self._registry = registry
        self._knowledge = knowledge
        self._known: dict[object, _Known] = {}
        self._serial = 0

    def at(self, patient: PatientEntry, vital: str, at: datetime) -> Period:
        """What holds of ``vital`` at ``at``."""
        if not (patient.limits or patient.panel or patient.programme):
            return NOTHING
        timeline = self._timelines(patient).get(vital)
        return timeline.periods[bisect_right(timeline.boundaries, at)] if timeline else NOTHING

    def is_steady(
        self, patient: PatientEntry, vital: str, since: datetime, until: datetime
    ) -> bool:
        """Whether the same holds of ``vital`` from ``since`` to ``until``."""
        if not (patient.limits or patient.panel or patient.programme):
            return True
        timeline = self._timelines(patient).get(vital)
        return timeline is None or (
            bisect_right(timeline.boundaries, since) == bisect_right(timeline.boundaries, until)
        )

    def _timelines(self, patient: PatientEntry) -> dict[str, Timeline]:
        held = self._held(patient)
        key = patient.patient if patient.limits else (patient.panel, patient.programme)
        known = self._known.get(key)
        if known is None or not all(
            one[2] is other[2] and one[1] == other[1]
            for one, other in zip(known.held, held, strict=True)
        ):
            if len(self._known) > REMEMBERED:
                self._known.clear()
            known = self._known[key] = _Known(held, self._worked_out(held))
        return known.timelines

    def _held(self, patient: PatientEntry) -> tuple[Held, ...]:
        panel = self._registry.panels.get(patient.panel or "")
        programme = self._registry.programmes.get(patient.programme or "")
        return (
            ("patient", "", patient.limits),
            ("panel", patient.panel or "", panel.limits if panel else ()),
            ("programme", patient.programme or "", programme.limits if programme else ()),
        )

    def _worked_out(self, held: Iterable[Held]) -> dict[str, Timeline]:
        by_vital: dict[str, list[OwnSide]] = {}
        for level, group, limits in held:
            for limit in limits:
                # the registry's reader tells of the others
                if limit_fault(limit, self._knowledge) is None:
                    own = (
                        each
                        for each in _sides(limit, level, group)
                        if _can_ring(each, self._knowledge)
                    )
                    by_vital.setdefault(limit.vital, []).extend(own)
        return {vital: self._timeline(sides) for vital, sides in by_vital.items()}

    def _timeline(self, sides: list[OwnSide]) -> Timeline:
        moments = {
            moment
            for own in sides
            for moment in (own.source.valid_from, own.source.until)
            if moment
        }
        boundaries = tuple(sorted(moments))
        return Timeline(
            boundaries, tuple(self._period(sides, moment) for moment in (None, *boundaries))
        )

    def _period(self, sides: list[OwnSide], at: datetime | None) -> Period:
        """What holds from ``at`` on; None: before all time."""
        holding = [own for own in sides if _holds(own.source, at)]
        kept: list[OwnSide] = []
        for side in ("low", "high"):
            here = [own for own in holding if own.side == side]
            first = min((LEVELS.index(own.level) for own in here), default=0)
            here = [own for own in here if LEVELS.index(own.level) == first]
            tiers = {
                own.source.priority: own for own in sorted(here, key=lambda own: _begin(own.source))
            }
            kept += [own for own in here if tiers[own.source.priority] is own]
        if not kept:
            return NOTHING
        self._serial += 1
        return Period(self._serial, tuple(kept))


def _holds(limit: Limit, at: datetime | None) -> bool:
    if at is None:
        return limit.valid_from is None
    return (limit.valid_from is None or limit.valid_from <= at) and (
        limit.until is None or at < limit.until
    )


def _begin(limit: Limit) -> float:
    return float("-inf") if limit.valid_from is None else limit.valid_from.timestamp()


def _recoveries(limit: Limit) -> tuple[LimitValue | None, LimitValue | None]:
    """What counts as recovered below and above; a single value belongs to the limit's one side."""
    if isinstance(limit.recover, Recovery):
        return limit.recover.low, limit.recover.high
    return (
        limit.recover if limit.high is None else None,
        limit.recover if limit.low is None else None,
    )


def _sides(limit: Limit, level: Level, group: str) -> Iterator[OwnSide]:
    sides: tuple[Direction, Direction] = ("low", "high")
    for side, bound, recover in zip(
        sides, (limit.low, limit.high), _recoveries(limit), strict=True
    ):
        if bound is not None:
            number = _number(bound)
            back = number if recover is None else _number(recover)
            yield OwnSide(
                source=limit, side=side, bound=number, recover=back, level=level, group=group
            )


def _number(value: LimitValue) -> Decimal:
    return Decimal(str(value))


def _can_ring(own: OwnSide, knowledge: Knowledge) -> bool:
    """Whether a value can be beyond a side.

    On the edge of what a body can have it sets nothing: a way to say none.
    """
    row = knowledge.vitals[own.source.vital]
    unit = own.source.unit
    edge = row.reject.below if own.side == "low" else row.reject.above
    return knowledge.convert(own.bound, unit, row.unit) != edge


def _unreachable(limit: Limit, row: Vital, knowledge: Knowledge) -> str | None:
    """No bound that a value can be beyond, or a bound or a recovery that is refused as none of a
    body.
    """
    sides = list(_sides(limit, "patient", ""))
    if not any(_can_ring(own, knowledge) for own in sides):
        said = with_unit(plain_given(str(sides[0].bound)), limit.unit)
        return f"has a {sides[0].side} of {said}, which no value of a body can be beyond"
    low, high = _recoveries(limit)
    for name, bound in (
        ("low", limit.low),
        ("high", limit.high),
        ("recover", low),
        ("recover", high),
    ):
        if bound is not None and row.reject.excludes(
            knowledge.convert(_number(bound), limit.unit, row.unit)
        ):
            said = with_unit(plain_given(bound), limit.unit)
            return f"has a {name} of {said}, which no body has: is the unit right?"
    return None


def _recovery_fault(limit: Limit) -> str | None:
    """A recovery that says nothing, or that nothing is inside of."""
    if (
        limit.recover is not None
        and not isinstance(limit.recover, Recovery)
        and None not in (limit.low, limit.high)
    ):
        return "has two sides and one recover: write recover with low and high"
    sides = list(_sides(limit, "patient", ""))
    for own in sides:
        if own.recover < own.bound if own.side == "low" else own.recover > own.bound:
            return f"recovers at {own.recover}, on the wrong side of its {own.side}"
    if len(sides) > 1 and sides[0].recover > sides[1].recover:
        return "recovers where no value is inside both sides"
    return None


def limit_fault(limit: Limit, knowledge: Knowledge) -> str | None:
    """Why a limit cannot be used, in words; None for a good one.

    A faulty limit leaves the others in force.
    """
    row = knowledge.vitals.get(limit.vital)
    if row is None:
        return f"there is no vital {limit.vital!r}"
    if limit.unit not in row.units:
        return f"{row.plain} is not measured in {limit.unit!r}; it may be {', '.join(row.units)}"
    if limit.low is None and limit.high is None:
        return f"the limit of {limit.vital} has neither low nor high"
    if (
        limit.low is not None
        and limit.high is not None
        and _number(limit.low) >= _number(limit.high)
    ):
        return f"the limit of {limit.vital} has a low that is not below its high"
    if (fault := _unreachable(limit, row, knowledge) or _recovery_fault(limit)) is not None:
        return f"the limit of {limit.vital} {fault}"
    if limit.of is not None and limit.of.count > limit.of.last:
        return f"the limit of {limit.vital} wants more readings than the last {limit.of.last}"
    if limit.valid_from is not None and limit.until is not None and limit.until <= limit.valid_from:
        return f"the limit of {limit.vital} ends before it begins"
    return None


def faults(entry: RegistryEntry, knowledge: Knowledge, at: datetime | None = None) -> list[str]:
    """What of a registry entry cannot be used (as of ``at``), in words that name nobody; empty
    for a good one.
    """
    if isinstance(entry, DeviceEntry):
        return []
    found = [
        (number, limit_fault(limit, knowledge))
        for number, limit in enumerate(entry.limits, start=1)
    ]
    told = [f"limit {number}: {fault}" for number, fault in found if fault]
    if isinstance(entry, PatientEntry):
        told += [f"expected_every: {fault}" for _, fault in expected_faults(entry, knowledge)]
        if (
            entry.target_weight is not None
            and (fault := target_fault(entry.target_weight, knowledge)) is not None
        ):
            told.append(fault)
        if has_unreadable_birth(entry):
            told.append(
                "born is none of YYYY, YYYY-MM and YYYY-MM-DD, so that nobody knows whether it is a"
                " child"
            )
        elif has_unreadable_birth(entry, at):
            told.append("born lies ahead, so that nobody knows whether it is a child")
    return told
