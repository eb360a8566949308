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
from typing import Any

import msgspec

from rpm_stream.knowledge.alerting import DeviceRuleTable, Priorities
from rpm_stream.knowledge.checks import (
    KnowledgeError,
    check_devices,
    check_limits,
    check_priorities,
    check_rules,
    check_signal,
    check_trends,
    check_units,
)
from rpm_stream.knowledge.devices import DeviceModel
from rpm_stream.knowledge.scoring import Detectors, Limits, News2, Points, ShippedLimit
from rpm_stream.knowledge.signal import Signal
from rpm_stream.knowledge.tables import Bounds, Characteristic, Unit, Vital
from rpm_stream.knowledge.trends import Trends

__all__ = [
    "Bounds", "Knowledge", "KnowledgeError", "Limits", "Points", "ShippedLimit", "Unit", "Vital", "load", "shipped",
]  # fmt: skip


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
    devices: dict[str, DeviceModel]
    trends: Trends

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
    "devices": dict[str, DeviceModel],
    "trends": Trends,
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
    check_units(parts["vitals"], parts["units"])
    check_limits(parts["limits"], parts["vitals"])
    check_rules(parts["priorities"], parts["device_rules"], parts["vitals"])
    check_priorities(parts["priorities"], parts["limits"])
    check_signal(parts["signal"], parts["vitals"])
    check_devices(parts["devices"], parts["vitals"])
    check_trends(parts["trends"], parts["vitals"])
    return Knowledge(**parts)


@cache
def shipped() -> Knowledge:
    """The shipped tables, read once."""
    return load()
