"""Decides which Patients and Devices that Observations name are put on the FHIR server.

The EHR is the master of a person's data. So a resource that it holds already is overwritten only if
it carries our identifier and the registry knows more than the bare id.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import Any, cast

import msgspec

from rpm_stream.app.ehr.client import FhirClient, Resource, ResourceKind
from rpm_stream.knowledge.registry import RegistryError
from rpm_stream.pipeline.stored_entry import read_entry
from rpm_stream.publish.fhir.patients_and_devices import (
    IDENTIFIER_SYSTEMS,
    device_resource,
    identifier,
    patient_resource,
)
from rpm_stream.records import DeviceEntry, PatientEntry

ASK_AGAIN_SECONDS = 600.0


class Named(msgspec.Struct, frozen=True):
    """A reference in an Observation, "Patient/<id>".

    ``identifier`` is set where that id is not our own name for it.
    """

    reference: str
    identifier: dict[str, str] | None = None


class Subjects:
    """The facts about the server's Patients and Devices that this process has learned."""

    def __init__(self, client: FhirClient) -> None:
        self._client = client
        self._registry: dict[str, Resource] = {}
        self._settled: dict[str, bytes] = {}
        self._foreign: set[str] = set()
        # by reference: the time until which it is not asked for again, since that takes a minute
        self._unanswered: dict[str, float] = {}

    def learn(self, value: bytes) -> bool:
        """Take a registry entry. Returns False where it is unreadable."""
        try:
            entry = read_entry(value).entry
        except RegistryError:
            return False
        if isinstance(entry, DeviceEntry):
            resource = _resource("Device", device_resource(entry))
        elif isinstance(entry, PatientEntry):
            resource = _resource("Patient", patient_resource(entry))
        else:  # a panel or a programme has no resource
            return True
        self._registry[resource.reference] = resource
        return True

    async def missing(self, named: Iterable[Named]) -> list[Resource]:
        """Return the resources to put before Observations may name ``named``.

        The caller calls ``stored`` when it has put them.
        """
        wanted: list[Resource] = []
        for one in named:
            resource = self._registry.get(one.reference) or _minimal(one)
            if resource is None or one.reference in self._foreign:
                continue
            if self._settled.get(one.reference) != resource.body:
                wanted.append(resource)
        new = [resource.reference for resource in wanted if resource.reference not in self._settled]
        asked = [
            reference for reference in new if self._unanswered.get(reference, 0.0) <= monotonic()
        ]
        found = await self._client.read(asked) if asked else {}
        self._unanswered |= dict.fromkeys(
            set(asked) - found.keys(), monotonic() + ASK_AGAIN_SECONDS
        )
        return [resource for resource in wanted if self._must_put(resource, found)]

    def stored(self, resources: Iterable[Resource]) -> None:
        """Note answered resources. They are not sent again until the registry changes."""
        self._settled.update((resource.reference, resource.body) for resource in resources)

    def _must_put(self, resource: Resource, found: dict[str, dict[str, Any] | None]) -> bool:
        reference = resource.reference
        if reference in self._settled:  # ours, and the registry has changed
            return True
        if reference not in found:  # not answered: asked again later
            return False
        there = found[reference]
        if there is None:
            return True
        if not _is_ours(resource.kind, there):
            self._foreign.add(reference)
            return False
        if reference not in self._registry:
            self._settled[reference] = resource.body
            return False
        return True


def _resource(kind: ResourceKind, resource: dict[str, Any]) -> Resource:
    return Resource(kind, resource["id"], msgspec.json.encode(resource))


def _minimal(named: Named) -> Resource | None:
    """Return the bare resource of a reference, or None for neither Patient nor Device."""
    kind, _, name = named.reference.partition("/")
    if kind not in IDENTIFIER_SYSTEMS or not name:
        return None
    known_as = named.identifier or identifier(kind, name)
    return _resource(
        cast(ResourceKind, kind), {"resourceType": kind, "id": name, "identifier": [known_as]}
    )


def _is_ours(kind: str, resource: dict[str, Any]) -> bool:
    identifiers = resource.get("identifier", [])
    return any(
        one.get("system") == IDENTIFIER_SYSTEMS[kind]
        for one in identifiers
        if isinstance(one, dict)
    )
