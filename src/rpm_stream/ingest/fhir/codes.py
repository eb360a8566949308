"""Names that others use, from the knowledge tables: LOINC and MDC codes, units, placeholders.

Terms that mean more than a vital's name (a capillary sample, the site of a thermometer) come from
the device codes in ingest/gatt/health_codes.py. The panel of a blood pressure shares its MDC code
with the cuff's pressure and is no vital.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from rpm_stream.ingest.fhir.shapes import Concept
from rpm_stream.ingest.gatt.health_codes import CONTROL_SOLUTION
from rpm_stream.ingest.gatt.health_codes import VITALS as DEVICE_TERMS
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.others import ANY
from rpm_stream.records import Absent, Record

LOINC = "http://loinc.org"
MDC = "urn:iso:std:iso:11073:10101"
NAMES = {LOINC: "LOINC", MDC: "MDC"}
PANELS = frozenset({(LOINC, "85354-9"), (MDC, "150020")})  # R4 bp profile; HL7 PHD
CONTROL = (MDC, str(CONTROL_SOLUTION))
# Text that an error may repeat, as any other text could be a name. The form is that of
# records.DecimalText, for use with fullmatch.
PLAIN = re.compile(r"-?[0-9]{1,24}(?:\.[0-9]{1,24})?", re.ASCII)
_PRINTABLE = re.compile(r"[0-9]{1,7}(-[0-9])?", re.ASCII)
MOST_NAMED = 4


class Codes(Record, frozen=True, kw_only=True):
    """The codes and spellings of others.

    ``vitals`` maps (system, code) to the possible vitals, the likeliest first. ``units`` has the
    unit of each vital's bounds. ``unit_of_code`` has the unit that a code implies, if it is another
    one. ``meters`` has the vitals whose meters show LO or HI. ``spellings`` maps another spelling
    of a unit to its UCUM code. ``placeholders`` maps (vital or ``any``, text or number) to the
    reason why an app's value is none.
    """

    vitals: dict[tuple[str, str], tuple[str, ...]]
    units: dict[str, str]
    unit_of_code: dict[tuple[str, str], str]
    meters: frozenset[str]
    spellings: dict[str, str]
    placeholders: dict[tuple[str, str | Decimal], Absent]

    def find(self, concept: Concept) -> tuple[str, ...]:
        """Return the vitals that every known code of ``concept`` allows.

        The result is empty if no code is known or the codes contradict each other. LOINC 8867-4
        alone is a heart rate, and beside MDC 149514 it is a pulse.
        """
        known = [self.vitals[key] for key in concept.pairs() if key in self.vitals]
        return (
            tuple(vital for vital in known[0] if all(vital in other for other in known))
            if known
            else ()
        )

    def placeholder(self, vital: str, text: str) -> Absent | None:
        """Return why ``text`` is no value of ``vital``, or None if it is no placeholder."""
        if not self.placeholders:
            return None
        written = _written(text)
        return self.placeholders.get((vital, written)) or self.placeholders.get((ANY, written))

    def knows(self, concept: Concept) -> bool:
        """Return whether any code of ``concept`` is in the table."""
        return any(key in self.vitals for key in concept.pairs())

    def agree(self, vital: str, concept: Concept, unit: str) -> bool:
        """Return whether every LOINC code of ``concept`` allows ``unit``.

        This matters for a vital that has codes of moles and of mass. If the code is one of moles
        and the unit one of mass, one of the two fields is wrong, and it is unknown which.
        """
        implied = {
            self.unit_of_code.get(key)
            for key in concept.pairs()
            if key[0] == LOINC and key in self.vitals
        }
        molar = {
            code_unit for key, code_unit in self.unit_of_code.items() if vital in self.vitals[key]
        }
        return all(unit == each if each is not None else unit not in molar for each in implied)

    def unit(self, vital: str, concept: Concept) -> str:
        """Return the unit of an absent value.

        It is the one that the code implies, else the vital's first.
        """
        implied = (self.unit_of_code[key] for key in concept.pairs() if key in self.unit_of_code)
        return next(implied, self.units[vital])


def codes_of(knowledge: Knowledge) -> Codes:
    """Return the codes of ``knowledge``, to be built once at the start."""
    vitals: dict[tuple[str, str], tuple[str, ...]] = {}
    unit_of_code: dict[tuple[str, str], str] = {}

    def put(key: tuple[str, str], vital: str) -> None:
        if key not in PANELS and vital in knowledge.vitals and vital not in vitals.get(key, ()):
            vitals[key] = (*vitals.get(key, ()), vital)

    for name, row in knowledge.vitals.items():
        for code in [code for code, _ in row.loinc] + list(row.loinc_also):
            put((LOINC, code), name)
        for unit, pairs in row.loinc_by_unit.items():
            for code, _ in pairs:
                put((LOINC, code), name)
                unit_of_code[LOINC, code] = unit
        for unit, also in row.loinc_also_by_unit.items():
            for code in also:
                put((LOINC, code), name)
                unit_of_code[LOINC, code] = unit
        if row.mdc is not None:
            put((MDC, row.mdc[0]), name)
    for term, name in DEVICE_TERMS.items():
        put((MDC, str(term)), name)
    return Codes(
        vitals=vitals,
        units={name: row.unit for name, row in knowledge.vitals.items()},
        unit_of_code=unit_of_code,
        meters=frozenset(row.vital for row in knowledge.limits.limit if row.meter is not None),
        spellings={name: row.unit for name, row in knowledge.spellings.items()},
        placeholders={
            (row.vital, _written(row.text)): row.absent
            for row in knowledge.placeholders.placeholder
        },
    )


def _written(text: str) -> str | Decimal:
    """Return a placeholder for comparing: a number by its value, any other text unchanged."""
    return Decimal(text) if PLAIN.fullmatch(text) else text


def named(keys: Iterable[tuple[str, str]]) -> str:
    """Return the codes for an error text: LOINC and MDC by name, others only counted.

    >>> named([("http://loinc.org", "3151-8"), ("http://snomed.info/sct", "86290005")])
    'LOINC 3151-8 and 1 other code'
    """
    every = list(keys)
    shown = [
        f"{NAMES[system]} {code}"
        for system, code in every
        if system in NAMES and _PRINTABLE.fullmatch(code)
    ]
    shown = shown[:MOST_NAMED]
    others = len(every) - len(shown)
    if others or not shown:
        shown.append(f"{others} other code{'' if others == 1 else 's'}" if others else "no code")
    return " and ".join(shown)
