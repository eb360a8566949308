"""What others call things: LOINC and MDC codes -> vitals, spellings of units, placeholders; from
the knowledge tables.

Terms that say more than a vital's name (a capillary sample, the site of a thermometer) come from
the device codes of ``health_codes``; the panel of a blood pressure, which shares its MDC code with
the cuff's pressure, is no vital.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from rpm_stream.ingest.fhir.shapes import Concept
from rpm_stream.ingest.gatt.health_codes import CONTROL_SOLUTION
from rpm_stream.ingest.gatt.health_codes import VITALS as DEVICE_TERMS
from rpm_stream.knowledge import Knowledge
from rpm_stream.knowledge.others import ANY
from rpm_stream.records import Absent, Record

LOINC = "http://loinc.org"
MDC = "urn:iso:std:iso:11073:10101"
NAMES = {LOINC: "LOINC", MDC: "MDC"}
PANELS = frozenset({(LOINC, "85354-9"), (MDC, "150020")})  # R4 bp profile; HL7 PHD
CONTROL = (MDC, str(CONTROL_SOLUTION))
# What may be repeated in an error text: any other text could be a name.
# as records.DecimalText; use fullmatch
PLAIN = re.compile(r"-?[0-9]{1,24}(?:\.[0-9]{1,24})?", re.ASCII)
_PRINTABLE = re.compile(r"[0-9]{1,7}(-[0-9])?", re.ASCII)
MOST_NAMED = 4


class Codes(Record, frozen=True, kw_only=True):
    """``vitals``: (system, code) -> what it may mean, the likeliest first. ``units``: the unit of
    each vital's bounds; ``unit_of_code``: the unit that a code implies where that is another.
    ``meters``: vitals whose meters show LO or HI. ``spellings``: another way to write a unit -> its
    UCUM code. ``placeholders``: (vital or ``any``, text or number) -> why an app's value is none.
    """

    vitals: dict[tuple[str, str], tuple[str, ...]]
    units: dict[str, str]
    unit_of_code: dict[tuple[str, str], str]
    meters: frozenset[str]
    spellings: dict[str, str]
    placeholders: dict[tuple[str, str | Decimal], Absent]

    def find(self, concept: Concept) -> tuple[str, ...]:
        """The vitals that every known code of ``concept`` allows; empty when none is known or they
        contradict.

        LOINC 8867-4 alone is a heart rate; beside MDC 149514 it is a pulse.
        """
        known = [self.vitals[key] for key in concept.pairs() if key in self.vitals]
        return (
            tuple(vital for vital in known[0] if all(vital in other for other in known))
            if known
            else ()
        )

    def placeholder(self, vital: str, text: str) -> Absent | None:
        """Why ``text`` is no value of ``vital``; None where it stands for itself."""
        if not self.placeholders:
            return None
        said = _written(text)
        return self.placeholders.get((vital, said)) or self.placeholders.get((ANY, said))

    def knows(self, concept: Concept) -> bool:
        """Whether any code of ``concept`` is in the table."""
        return any(key in self.vitals for key in concept.pairs())

    def agree(self, vital: str, concept: Concept, unit: str) -> bool:
        """Whether ``unit`` is one that every LOINC code of ``concept`` allows: moles or mass, where
        a vital has both.

        A number of mass under a code of moles was taken from one of two fields; nobody knows which
        of them is right.
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
        """The unit of a value that is absent: the one that the code implies, else the vital's
        first.
        """
        implied = (self.unit_of_code[key] for key in concept.pairs() if key in self.unit_of_code)
        return next(implied, self.units[vital])


def codes_of(knowledge: Knowledge) -> Codes:
    """The table of ``knowledge``; built once, at the start."""
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
    """A placeholder as it is compared: a number by its size, any other text as it stands."""
    return Decimal(text) if PLAIN.fullmatch(text) else text


def named(keys: Iterable[tuple[str, str]]) -> str:
    """The codes in words for an error text: LOINC and MDC by name, others only counted.

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
