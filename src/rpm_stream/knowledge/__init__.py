"""What clinicians and device makers know, as data: the tables of this folder, read once into frozen structs.

What lives here: numbers, names, codes, units and their sources. What must not: a rule's course over time, state.
A clinic's own tables lie in a folder of the same file names; each replaces whole entries, and none half-applies.
"""

from __future__ import annotations

import tomllib
from decimal import Decimal
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import msgspec

from rpm_stream.knowledge.alerting import DeviceRuleTable, Priorities
from rpm_stream.records import Priority

Publish = Literal["single", "summary", "none"]


class KnowledgeError(Exception):
    """A table cannot be used; the text names file, key and reason."""


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the table rows: a misspelt key is an error, not a silent default."""


class Bounds(Table, frozen=True, forbid_unknown_fields=True):
    """Values outside are refused or queried; in the vital's first unit."""

    below: Decimal | None = None
    at_or_below: Decimal | None = None
    above: Decimal | None = None

    def excludes(self, value: Decimal) -> bool:
        """Whether ``value`` lies outside."""
        return (
            (self.above is not None and value > self.above)
            or (self.below is not None and value < self.below)
            or (self.at_or_below is not None and value <= self.at_or_below)
        )


class Unit(Table, frozen=True, forbid_unknown_fields=True):
    """(value - subtract) * multiply / divide gives the value in unit ``to``."""

    to: str
    subtract: Decimal = Decimal(0)
    multiply: Decimal = Decimal(1)
    divide: Decimal = Decimal(1)


class Vital(Table, frozen=True, forbid_unknown_fields=True):
    """One vital: codes (LOINC pairs of code and display, MDC code and term), accepted units, bounds, publishing.

    ``loinc_also``: codes that are read as this vital and never written.
    """

    display: str
    plain: str
    loinc: tuple[tuple[str, str], ...]
    units: tuple[str, ...]
    reject: Bounds
    query: Bounds
    group: str
    publish: Publish
    category: str
    resolution: Decimal
    source: str
    mdc: tuple[str, str] | None = None
    profile: str | None = None
    loinc_by_unit: dict[str, tuple[tuple[str, str], ...]] = {}
    loinc_also: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """The unit that the table's bounds are written in."""
        return self.units[0]


class Characteristic(Table, frozen=True, forbid_unknown_fields=True):
    """What is known of a GATT characteristic besides its layout."""

    name: str
    continuous: bool = False
    dense: bool = False


class Signal(Table, frozen=True, forbid_unknown_fields=True):
    """Which status flags keep a reading from judgement, and which only ask for a repeat."""

    never_judged: frozenset[str]
    ask_repeat: frozenset[str]


class Points(Table, frozen=True, forbid_unknown_fields=True):
    """One line of the NEWS2 chart: ascending rows of (up to and including, points)."""

    vitals: tuple[str, ...]
    unit: str
    step: Decimal
    rows: tuple[tuple[str, int], ...]
    rows_scale_2_air: tuple[tuple[str, int], ...] = ()
    rows_scale_2_oxygen: tuple[tuple[str, int], ...] = ()


class News2(Table, frozen=True, forbid_unknown_fields=True):
    """The NEWS2 chart and its thresholds."""

    version: str
    adult_from_years: int
    fresh_for_hours: int
    medium_from: int
    high_from: int
    max_oxygen: int
    max_consciousness: int
    respiratory_rate: Points
    oxygen_saturation: Points
    systolic: Points
    pulse: Points
    body_temperature: Points

    def parameters(self) -> dict[str, Points]:
        """The five measured parameters by name, in the chart's order."""
        return {
            "respiratory_rate": self.respiratory_rate,
            "oxygen_saturation": self.oxygen_saturation,
            "systolic": self.systolic,
            "pulse": self.pulse,
            "body_temperature": self.body_temperature,
        }


class Band(Table, frozen=True, forbid_unknown_fields=True):
    """Priority of the first value, and of a second in a row."""

    first: Priority
    repeated: Priority | None = None


class ShippedLimit(Table, frozen=True, forbid_unknown_fields=True):
    """A limit with one side; ``meter`` says which meter display without a number (LO, HI) counts as beyond it."""

    vital: str
    unit: str
    recover: Decimal
    first: Priority
    source: str
    below: Decimal | None = None
    above: Decimal | None = None
    repeated: Priority | None = None
    advice: str | None = None
    meter: Literal["low", "high"] | None = None


class Limits(Table, frozen=True, forbid_unknown_fields=True):
    """The shipped limits."""

    version: str
    repeated_after_minutes: int
    recovery_minutes: int
    silence_priority: Priority
    amber: Band
    red: Band
    beyond_query: Band
    limit: tuple[ShippedLimit, ...]


class Personal(Table, frozen=True, forbid_unknown_fields=True):
    """The per-vital detector: where it runs and when a run of unusual values alerts."""

    vitals: frozenset[str]
    sustained_count: int
    sustained_minutes: int


class Combined(Table, frozen=True, forbid_unknown_fields=True):
    """The multi-vital detector."""

    features: tuple[str, ...]
    sustained_count: int
    sustained_minutes: int
    fresh_for_minutes: int
    learn_for_hours: int


class Detectors(Table, frozen=True, forbid_unknown_fields=True):
    """Learned detectors."""

    personal: Personal
    combined: Combined


class Knowledge(msgspec.Struct, frozen=True):
    """All tables. Immutable; made by ``load``."""

    vitals: dict[str, Vital]
    units: dict[str, Unit]
    characteristics: dict[str, Characteristic]
    signal: Signal
    news2: News2
    limits: Limits
    detectors: Detectors
    priorities: Priorities
    device_rules: DeviceRuleTable

    def convert(self, value: Decimal, unit: str, to: str) -> Decimal:
        """``value`` in unit ``to``; both units must belong to one vital. Exact but for the 28th digit of a quotient."""
        if unit == to:
            return value
        if row := self.units.get(unit):
            value = (value - row.subtract) * row.multiply / row.divide
            unit = row.to
        if unit == to:
            return value
        back = self.units[to]
        return value * back.divide / back.multiply + back.subtract


USED_RULES = ("device.battery", "device.contact", "device.clock", "device.stuck")  # priority read by name
TABLES: dict[str, Any] = {
    "vitals": dict[str, Vital],
    "units": dict[str, Unit],
    "characteristics": dict[str, Characteristic],
    "signal": Signal,
    "news2": News2,
    "limits": Limits,
    "detectors": Detectors,
    "priorities": Priorities,
    "device_rules": DeviceRuleTable,
}


def _read(name: str, own: Path | None) -> dict[str, Any]:
    """The shipped table with a clinic's entries over it. Raises KnowledgeError."""
    table = tomllib.loads((resources.files(__package__) / f"{name}.toml").read_text("utf-8"))
    if own is None or not (own / f"{name}.toml").exists():
        return table
    try:
        table.update(tomllib.loads((own / f"{name}.toml").read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise KnowledgeError(f"{own / name}.toml: {error}") from None
    return table


def _check_units(vitals: dict[str, Vital], units: dict[str, Unit]) -> None:
    for name, vital in vitals.items():
        for unit in vital.units[1:]:
            if unit not in units or units[unit].to != vital.unit:
                raise KnowledgeError(f"vitals.toml: {name}.units: no row of units.toml turns {unit} into {vital.unit}")


def _check_limits(limits: Limits, vitals: dict[str, Vital]) -> None:
    for number, row in enumerate(limits.limit, start=1):
        if row.vital not in vitals:
            raise KnowledgeError(f"limits.toml: limit {number}: unknown vital {row.vital}")
        if row.unit not in vitals[row.vital].units:
            raise KnowledgeError(f"limits.toml: limit {number}: {row.vital} has no unit {row.unit}")
        if (row.below is None) == (row.above is None):
            raise KnowledgeError(f"limits.toml: limit {number}: give one of below and above")


def _check_rules(priorities: Priorities, rules: DeviceRuleTable, vitals: dict[str, Vital]) -> None:
    if unknown := sorted(rules.vitals() - vitals.keys()):
        raise KnowledgeError(f"device_rules.toml: unknown vital {', '.join(unknown)}")
    if missing := sorted(name for name in USED_RULES if name not in priorities.rule):
        raise KnowledgeError(f"priorities.toml: no rule {', '.join(missing)}")
    if "high" not in priorities.snooze.never:
        raise KnowledgeError("priorities.toml: snooze.never: a high alert must not be snoozed")


def load(own: Path | None = None) -> Knowledge:
    """Read all tables, ``own`` over the shipped ones. Raises KnowledgeError; nothing is half-applied."""
    if own is not None and not own.is_dir():
        raise KnowledgeError(f"{own}: no such folder")
    if own is not None:
        for file in own.glob("*.toml"):
            if file.stem not in TABLES:
                raise KnowledgeError(f"{file}: no such table; the tables are {', '.join(TABLES)}")
    parts: dict[str, Any] = {}
    for name, kind in TABLES.items():
        try:
            parts[name] = msgspec.convert(_read(name, own), kind)
        except msgspec.ValidationError as error:
            raise KnowledgeError(f"{name}.toml: {error}") from None
    _check_units(parts["vitals"], parts["units"])
    _check_limits(parts["limits"], parts["vitals"])
    _check_rules(parts["priorities"], parts["device_rules"], parts["vitals"])
    return Knowledge(**parts)


@cache
def shipped() -> Knowledge:
    """The shipped tables, read once."""
    return load()
