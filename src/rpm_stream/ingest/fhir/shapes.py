"""The parts of a FHIR R4 Observation that are read, with FHIR's own names and no behaviour.

All other fields are ignored.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Coding(msgspec.Struct, frozen=True):
    """The used part of a FHIR Coding."""

    system: str | None = None
    code: str | None = None


class Concept(msgspec.Struct, frozen=True):
    """A FHIR CodeableConcept without its text, which is for people and is no code."""

    coding: tuple[Coding, ...] | None = None

    def pairs(self) -> list[tuple[str, str]]:
        """Return (system, code) of every coding that has both."""
        return [(one.system, one.code) for one in self.coding or () if one.system and one.code]


class Quantity(msgspec.Struct, frozen=True):
    """A FHIR Quantity.

    ``value`` is the number's own text, so that no digit is lost.
    """

    value: msgspec.Raw = msgspec.Raw(b"")
    comparator: str | None = None
    system: str | None = None
    code: str | None = None


class Valued(msgspec.Struct, frozen=True):
    """The common fields of an Observation and its components."""

    code: Concept
    valueQuantity: Quantity | None = None
    valueString: str | None = None
    dataAbsentReason: Concept | None = None
    interpretation: tuple[Concept, ...] | None = None
    modifierExtension: tuple[Any, ...] | None = None

    def marks(self) -> list[tuple[str, str]]:
        """Return (system, code) of every interpretation."""
        return [key for concept in self.interpretation or () for key in concept.pairs()]


class Identifier(msgspec.Struct, frozen=True):
    """Another system's name for a thing."""

    system: str | None = None
    value: str | None = None


class Subject(msgspec.Struct, frozen=True):
    """A Reference to the subject."""

    reference: str | None = None
    identifier: Identifier | None = None


class Period(msgspec.Struct, frozen=True):
    """A FHIR Period, of which the end is the time of a value."""

    end: str | None = None


class Meta(msgspec.Struct, frozen=True):
    """The labels of a resource."""

    security: tuple[dict[str, Any], ...] | None = None


class Observation(Valued, frozen=True, kw_only=True):
    """A FHIR Observation."""

    id: str | None = None
    meta: Meta | None = None
    identifier: tuple[Identifier, ...] | None = None
    status: str
    subject: Subject | None = None
    effectiveDateTime: str | None = None
    effectiveInstant: str | None = None
    effectivePeriod: Period | None = None
    component: tuple[Valued, ...] | None = None


class ResourceHeader(msgspec.Struct, frozen=True):
    """The type of a resource, read before anything else."""

    resourceType: str | None = None
