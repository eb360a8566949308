"""The shapes of a FHIR R4 Observation as far as they are read: FHIR's own names, no behaviour,
all else let be.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Coding(msgspec.Struct, frozen=True):
    """A FHIR Coding as far as it counts here."""

    system: str | None = None
    code: str | None = None


class Concept(msgspec.Struct, frozen=True):
    """A FHIR CodeableConcept; its text is for people and no code."""

    coding: tuple[Coding, ...] | None = None

    def pairs(self) -> list[tuple[str, str]]:
        """(system, code) of every coding that has both."""
        return [(one.system, one.code) for one in self.coding or () if one.system and one.code]


class Quantity(msgspec.Struct, frozen=True):
    """A Quantity; ``value`` is the number's own text, so that no digit is lost."""

    value: msgspec.Raw = msgspec.Raw(b"")
    comparator: str | None = None
    system: str | None = None
    code: str | None = None


class Valued(msgspec.Struct, frozen=True):
    """What an Observation and its components have in common."""

    code: Concept
    valueQuantity: Quantity | None = None
    valueString: str | None = None
    dataAbsentReason: Concept | None = None
    interpretation: tuple[Concept, ...] | None = None
    modifierExtension: tuple[Any, ...] | None = None

    def marks(self) -> list[tuple[str, str]]:
        """(system, code) of every interpretation."""
        return [key for concept in self.interpretation or () for key in concept.pairs()]


class Identifier(msgspec.Struct, frozen=True):
    """What another system calls a thing."""

    system: str | None = None
    value: str | None = None


class Subject(msgspec.Struct, frozen=True):
    """A Reference to whom it is about."""

    reference: str | None = None
    identifier: Identifier | None = None


class Period(msgspec.Struct, frozen=True):
    """A Period; a value counts from its end."""

    end: str | None = None


class Meta(msgspec.Struct, frozen=True):
    """Labels of a resource."""

    security: tuple[dict[str, Any], ...] | None = None


class Observation(Valued, frozen=True, kw_only=True):
    """An Observation."""

    id: str | None = None
    meta: Meta | None = None
    identifier: tuple[Identifier, ...] | None = None
    status: str
    subject: Subject | None = None
    effectiveDateTime: str | None = None
    effectiveInstant: str | None = None
    effectivePeriod: Period | None = None
    component: tuple[Valued, ...] | None = None


class Kind(msgspec.Struct, frozen=True):
    """Which resource it is, before anything else is asked of it."""

    resourceType: str | None = None
