"""Facts of clinicians and device makers as data: the tables of this folder, read once.

The tables become frozen structs. They have numbers, names, codes, units and their sources. A rule's
progress over time and any state do not belong here. A clinic's own tables are in a folder with the
same file names. Each entry replaces a whole shipped entry, and an error leaves everything unused.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from itertools import chain
from pathlib import Path
from types import GenericAlias
from typing import Any

import msgspec

from rpm_stream.knowledge.alerting import DeviceRuleTable, Priorities
from rpm_stream.knowledge.charts import Child, Maternity, check_charts
from rpm_stream.knowledge.checks import (
    KnowledgeError,
    check_detectors,
    check_devices,
    check_limits,
    check_news2,
    check_priorities,
    check_rules,
    check_shadow,
    check_signal,
    check_trends,
    check_units,
    check_vitals,
    limit_rules,
)
from rpm_stream.knowledge.deterioration import DeteriorationTable, check_deterioration
from rpm_stream.knowledge.devices import DeviceModel
from rpm_stream.knowledge.forecasts import GlucoseForecast, check_forecast
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.others import check_placeholders, check_spellings
from rpm_stream.knowledge.scoring import Detectors, Limits, News2, Points, ShippedLimit
from rpm_stream.knowledge.signal import Signal
from rpm_stream.knowledge.sources import unsourced
from rpm_stream.knowledge.tables import (
    Bounds,
    Characteristic,
    Placeholders,
    Spelling,
    UnitTable,
    Vital,
)
from rpm_stream.knowledge.trends import TrendsTable

__all__ = [
    "Bounds",
    "Knowledge",
    "KnowledgeError",
    "Limits",
    "Points",
    "ShippedLimit",
    "UnitTable",
    "Vital",
    "examine",
    "load",
    "shipped",
]


# what a field of an older release is called now, by table
RENAMED = {
    "detectors": {"vitals": "inputs", "features": "inputs", "each": 'when = "reading"'},
}

TABLES: dict[str, Any] = {
    "vitals": dict[str, Vital],
    "units": dict[str, UnitTable],
    "spellings": dict[str, Spelling],
    "placeholders": Placeholders,
    "characteristics": dict[str, Characteristic],
    "signal": Signal,
    "news2": News2,
    "limits": Limits,
    "maternity": Maternity,
    "child": Child,
    "detectors": Detectors,
    "priorities": Priorities,
    "device_rules": DeviceRuleTable,
    "devices": dict[str, DeviceModel],
    "trends": TrendsTable,
    "deterioration": DeteriorationTable,
    "glucose_forecast": GlucoseForecast,
}


def _read(name: str, own: Path | None) -> dict[str, Any]:
    """Return the shipped table with a clinic's entries over it.

    Raises KnowledgeError.
    """
    table = tomllib.loads((resources.files(__package__) / f"{name}.toml").read_text("utf-8"))
    if own is None or not (own / f"{name}.toml").exists():
        return table
    try:
        table.update(tomllib.loads((own / f"{name}.toml").read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise KnowledgeError(f"{own / name}.toml: {error}") from None
    return table


def load(own: Path | None = None) -> Knowledge:
    """Read all tables, with those in ``own`` over the shipped ones.

    Raises KnowledgeError, and then uses nothing of them.
    """
    parts, faults = _parts(own)
    if found := next(chain(faults, _checks(parts) if not faults else ()), None):
        raise KnowledgeError(found)
    return Knowledge(**parts)


def examine(own: Path | None = None) -> tuple[str, ...]:
    """Return all faults of the tables: file, key and reason of each.

    Tables in ``own`` are over the shipped ones. The faults include those that do not prevent the
    use: a number without its source. Raises KnowledgeError if the folder is missing.
    """
    parts, faults = _parts(own)
    if not faults:
        faults += _checks(parts)
    for name in parts:
        faults += [
            f"{name}.toml: {key}: a number without a source" for key in unsourced(_read(name, own))
        ]
    return tuple(faults)


def _parts(own: Path | None) -> tuple[dict[str, Any], list[str]]:
    """Return the tables that can be read, and the faults of the others."""
    if own is not None and not own.is_dir():
        raise KnowledgeError(f"{own}: no such folder")
    names = ", ".join(TABLES)
    strangers = (
        [file for file in sorted(own.glob("*.toml")) if file.stem not in TABLES] if own else []
    )
    faults = [f"{file}: no such table; the tables are {names}" for file in strangers]
    parts: dict[str, Any] = {}
    for name, kind in TABLES.items():
        try:
            parts[name] = msgspec.convert(_read(name, own), kind)
        except msgspec.ValidationError as error:
            faults += _each(name, kind, _read(name, own), error)
        except KnowledgeError as error:
            faults.append(str(error))
    return parts, faults


def _each(
    name: str, kind: Any, table: dict[str, Any], error: msgspec.ValidationError
) -> Iterator[str]:
    """Yield the faults of a table.

    A table with named rows is checked row by row, because msgspec does not name the row.
    """
    if not isinstance(kind, GenericAlias):
        renamed = (new for old, new in RENAMED.get(name, {}).items() if f"`{old}`" in str(error))
        yield f"{name}.toml: {error}{''.join(f': it is {new} now' for new in renamed)}"
        return
    for key, row in table.items():
        try:
            msgspec.convert({key: row}, kind)
        except msgspec.ValidationError as fault:
            yield (
                f"{name}.toml: {key}:"
                f" {str(fault).replace('$[...].', '$.').replace(' - at `$[...]`', '')}"
            )


def _checks(parts: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong between the tables, once each can be read."""
    vitals = parts["vitals"]
    yield from check_units(vitals, parts["units"])
    yield from check_vitals(vitals)
    yield from check_spellings(parts["spellings"], vitals)
    yield from check_placeholders(parts["placeholders"], vitals)
    yield from check_news2(parts["news2"], vitals)
    yield from check_limits(parts["limits"], vitals)
    yield from check_charts(parts["maternity"], parts["child"], vitals)
    yield from check_detectors(parts["detectors"], vitals)
    yield from check_shadow(parts["detectors"], vitals)
    yield from check_rules(parts["priorities"], parts["device_rules"], vitals)
    yield from check_priorities(
        parts["priorities"], limit_rules(parts["limits"], parts["maternity"], parts["child"])
    )
    yield from check_signal(parts["signal"], vitals)
    yield from check_devices(parts["devices"], vitals)
    yield from check_trends(parts["trends"], vitals)
    yield from check_deterioration(parts["deterioration"], vitals)
    yield from check_forecast(parts["glucose_forecast"], vitals)


@cache
def shipped() -> Knowledge:
    """Return the shipped tables, read once."""
    return load()
