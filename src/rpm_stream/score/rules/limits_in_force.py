"""The limits that hold for a patient at a moment, one row for each vital and side.

A person may look at them before changing one. Each band of the patient's chart (NEWS2, pregnancy or
child) is a row, where no person has set that side.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.registry import Registry
from rpm_stream.knowledge.scoring import ShippedLimit
from rpm_stream.records import Direction, LimitValue, Of, PatientEntry, Priority, Record, Time
from rpm_stream.score.rules.bands import PREGNANT, Bands, InBand
from rpm_stream.score.rules.individual_limits import OwnLimits, OwnSide


class InForce(Record, frozen=True, kw_only=True, rename={"for_": "for"}):
    """A limit that holds.

    ``level`` is its owner's level (patient, panel, programme, shipped), and ``since`` when it
    began. For a band, ``group`` names chart and colour, and ``including`` is true because the bound
    itself is in the band.
    """

    vital: str
    side: Direction
    bound: LimitValue
    recover: LimitValue
    unit: str
    priority: Priority
    level: str
    group: str = ""
    owner: str
    since: Time | None = None
    for_: int = 0
    of: Of | None = None
    including: bool = False


def in_force(
    registry: Registry, knowledge: Knowledge, patient: PatientEntry, at: datetime
) -> Iterator[InForce]:
    """The limits of ``patient`` at ``at``: set ones, and shipped ones where a side is not set."""
    own = OwnLimits(registry, knowledge)
    bands = Bands(knowledge)
    person = bands.person(patient, at)
    for vital in knowledge.vitals:
        sides = own.at(patient, vital, at).sides
        yield from (_set_limit(vital, side) for side in sides)
        covered = {side.side for side in sides}
        banded = [band for band in bands.all(person, vital) if band.side not in covered]
        yield from (_band_limit(vital, band) for band in banded)
        if person.chart == PREGNANT:
            covered |= {band.side for band in banded}
        shipped = (_shipped_limit(row) for row in knowledge.limits.limit if row.vital == vital)
        yield from (limit for limit in shipped if limit.side not in covered)


def _set_limit(vital: str, side: OwnSide) -> InForce:
    """Return a limit that a person has set."""
    limit = side.source
    return InForce(
        vital=vital,
        side=side.side,
        bound=str(side.bound),
        recover=str(side.recover),
        unit=limit.unit,
        priority=limit.priority,
        level=side.level,
        group=side.group,
        owner=limit.owner,
        since=limit.valid_from,
        for_=limit.for_,
        of=limit.of,
    )


def _band_limit(vital: str, band: InBand) -> InForce:
    """Return a band of the patient's chart."""
    return InForce(
        vital=vital,
        side=band.side,
        bound=str(band.bound),
        recover=str(band.recover),
        unit=band.unit,
        priority=band.priority.first,
        level="shipped",
        group=band.rule,
        owner="shipped",
        including=True,
    )


def _shipped_limit(row: ShippedLimit) -> InForce:
    """Return a limit of the shipped table."""
    is_low = row.below is not None
    return InForce(
        vital=row.vital,
        side="low" if is_low else "high",
        bound=str(row.below if is_low else row.above),
        recover=str(row.recover),
        unit=row.unit,
        priority=row.first,
        level="shipped",
        owner="shipped",
    )
