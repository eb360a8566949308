"""Checks of the tables about the notations of others: units and a clinic's placeholders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rpm_stream.knowledge.tables import Placeholders, Spelling, Vital

ANY = "any"  # in place of a vital: a placeholder for all vitals


def check_spellings(spellings: dict[str, Spelling], vitals: dict[str, Vital]) -> Iterator[str]:
    """Yield the faults of spellings.

    A spelling names a unit of some vital and is not itself a unit. Otherwise it would change values
    that are accepted today.
    """
    known = {unit for row in vitals.values() for unit in row.units}
    for name, row in spellings.items():
        if row.unit not in known:
            yield f"spellings.toml: {name}.unit: no vital is measured in {row.unit}"
        if name in known:
            yield f"spellings.toml: {name}: is a unit itself, and would be taken for {row.unit}"
        if not row.source:
            yield f"spellings.toml: {name}: a spelling without a source"


def check_placeholders(placeholders: Placeholders, vitals: dict[str, Vital]) -> Iterator[str]:
    """Yield placeholders of unknown vitals, or with two meanings."""
    for number, row in enumerate(placeholders.placeholder, start=1):
        if row.vital != ANY and row.vital not in vitals:
            yield f"placeholders.toml: placeholder {number}: unknown vital {row.vital}"
    for (vital, text), count in Counter(
        (row.vital, row.text) for row in placeholders.placeholder
    ).items():
        if count > 1:
            yield f"placeholders.toml: {vital} {text!r} is listed twice"
