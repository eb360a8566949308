"""The FHIR client over real HTTP: sent until answered, refused alone, and nothing overwritten
that is not ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any

import msgspec
import pytest
import stamina.instrumentation
from support.fhir_server import FhirServer, fhir_server

from rpm_stream.app.ehr import subjects as subjects_module
from rpm_stream.app.ehr.client import CONFLICTS, FhirClient, RefusedResource, Resource, Waits
from rpm_stream.app.ehr.subjects import Named, Subjects

QUICK = Waits(first=0.001, longest=0.001, jitter=0.0)


def resource(name: str, **content: Any) -> Resource:
    body = {"resourceType": "Patient", "id": name, **content}
    return Resource("Patient", name, msgspec.json.encode(body))


def with_server(
    test: Callable[[FhirServer, FhirClient, list[str]], Coroutine[Any, Any, None]],
) -> None:
    """Run ``test`` with a server, a client of it, and the causes of the client's retries."""

    async def body() -> None:
        causes: list[str] = []
        async with (
            fhir_server() as server,
            FhirClient(server.url, "secret", causes.append, QUICK) as client,
        ):
            await asyncio.wait_for(test(server, client, causes), 60)

    asyncio.run(body())


def test_whatever_is_no_refusal_is_sent_again_and_stands_once() -> None:
    async def body(server: FhirServer, client: FhirClient, causes: list[str]) -> None:
        server.faults = [409, 429, 500, 503, 401, "log_in", "drop", "drop_after_storing"]
        assert await client.store([resource("a"), resource("b")]) == []
        assert causes == [
            "conflict",
            "throttled",
            "server",
            "server",
            "unauthorised",
            "not_fhir",
            "transport",
            "transport",
        ]
        assert {reference: len(kept) for reference, kept in server.versions.items()} == {
            "Patient/a": 1,
            "Patient/b": 1,
        }

    with_server(body)


def test_a_server_that_is_not_there_is_waited_for() -> None:
    async def body() -> None:
        async with fhir_server() as server:
            url = server.url
        causes: asyncio.Queue[str] = asyncio.Queue()
        async with FhirClient(url, None, causes.put_nowait, QUICK) as client:
            storing = asyncio.create_task(client.store([resource("a")]))
            heard = [await asyncio.wait_for(causes.get(), 30) for _ in range(CONFLICTS + 2)]
            assert not storing.done()
            storing.cancel()
        assert set(heard) == {"transport"}

    asyncio.run(body())


@pytest.mark.parametrize("status", [400, 412, 422])
def test_a_refusal_is_never_repeated(status: int) -> None:
    async def body(server: FhirServer, client: FhirClient, causes: list[str]) -> None:
        server.refused = {"Patient/bad": status}
        (refusal,) = await client.store([resource("bad")])
        assert (refusal.resource.id, refusal.status, causes) == ("bad", status, [])
        assert len(server.requests) == 1

    with_server(body)


def test_one_refused_resource_does_not_keep_the_others_out() -> None:
    async def body(server: FhirServer, client: FhirClient, causes: list[str]) -> None:
        server.refused = {"Patient/p37": 422, "Patient/p211": 400}
        refusals = await client.store([resource(f"p{number}") for number in range(250)])
        assert {(one.resource.id, one.status) for one in refusals} == {("p37", 422), ("p211", 400)}
        assert len(server.versions) == 248
        assert causes == []

    with_server(body)


def test_a_conflict_that_stays_is_a_refusal() -> None:
    async def body(server: FhirServer, client: FhirClient, causes: list[str]) -> None:
        server.always = 409
        (refusal,) = await client.store([resource("a")])
        assert isinstance(refusal, RefusedResource)
        assert (refusal.status, len(server.requests)) == (409, CONFLICTS)

    with_server(body)


def test_the_server_says_how_long_to_wait() -> None:
    waits: list[float] = []
    stamina.instrumentation.set_on_retry_hooks([lambda details: waits.append(details.wait_for)])

    async def body(server: FhirServer, client: FhirClient, causes: list[str]) -> None:
        past = "Wed, 21 Oct 2015 07:28:00 GMT"
        server.faults = [
            (429, {"Retry-After": "1"}),
            (503, {"Retry-After": past}),
            (429, {"Retry-After": "soon"}),
        ]
        assert await client.store([resource("a")]) == []

    try:
        with_server(body)
    finally:
        stamina.instrumentation.set_on_retry_hooks(None)
    assert waits == [1.0, 0.0, pytest.approx(QUICK.longest)]


def test_no_identifier_stands_in_a_url_and_no_id_twice_in_a_bundle() -> None:
    async def body(server: FhirServer, client: FhirClient, causes: list[str]) -> None:
        await client.store([resource("secret-name")])
        await client.read(["Patient/secret-name"])
        assert {path for path, _ in server.requests} == {"/fhir"}

    with_server(body)


def registry_entry(**fields: Any) -> bytes:
    return msgspec.json.encode({"v": 1, "patient": "p-1", **fields})


async def settle(subjects: Subjects, client: FhirClient, *references: str) -> None:
    missing = await subjects.missing([Named(one) for one in references])
    assert await client.store(missing) == []
    subjects.stored(missing)


def test_a_patient_that_the_ehr_owns_is_left_as_it_is() -> None:
    async def body(server: FhirServer, client: FhirClient, causes: list[str]) -> None:
        theirs = {"resourceType": "Patient", "id": "p-1", "name": [{"family": "Lovelace"}]}
        server.versions["Patient/p-1"] = [theirs]
        subjects = Subjects(client)
        assert subjects.learn(registry_entry(display="Ada"))
        assert subjects.learn(b'{"panel": "heart-failure", "limits": []}')  # nobody's resource
        await settle(subjects, client, "Patient/p-1", "Device/d-1")
        assert server.versions["Patient/p-1"] == [theirs]
        assert server.versions["Device/d-1"][-1]["identifier"] == [
            {"system": "urn:rpm-stream:device", "value": "d-1"}
        ]

    with_server(body)


def test_the_registry_fills_a_bare_patient_and_a_bare_id_never_empties_a_full_one() -> None:
    async def body(server: FhirServer, client: FhirClient, causes: list[str]) -> None:
        subjects = Subjects(client)
        await settle(subjects, client, "Patient/p-1")
        assert subjects.learn(registry_entry(display="Ada", born="1950-04-01"))
        await settle(subjects, client, "Patient/p-1")
        assert server.versions["Patient/p-1"][-1]["name"] == [{"text": "Ada"}]
        sent = len(server.requests)
        await settle(subjects, client, "Patient/p-1")
        assert len(server.requests) == sent, "nothing is sent twice"
        await settle(Subjects(client), client, "Patient/p-1")
        assert server.versions["Patient/p-1"][-1]["birthDate"] == "1950-04-01"

    with_server(body)


def test_where_the_server_does_not_let_us_read_nothing_is_overwritten() -> None:
    async def body(server: FhirServer, client: FhirClient, causes: list[str]) -> None:
        server.readable = False
        server.versions["Patient/p-1"] = [{"resourceType": "Patient", "id": "p-1", "active": True}]
        await settle(Subjects(client), client, "Patient/p-1")
        assert len(server.versions["Patient/p-1"]) == 1

    with_server(body)


@pytest.mark.parametrize(
    "status", ["429 Too Many Requests", "500 Internal Server Error", "503 Service Unavailable"]
)
def test_a_patient_that_the_server_had_no_time_for_is_asked_for_again(status: str) -> None:
    """It passed for the EHR's until the next restart, was never put, and the server refused all
    that named it.
    """

    async def body(server: FhirServer, client: FhirClient, causes: list[str]) -> None:
        server.read_faults = [status]
        await settle(Subjects(client), client, "Patient/p-1", "Patient/p-2")
        assert server.versions.keys() == {"Patient/p-1", "Patient/p-2"}
        assert len(causes) == 1

    with_server(body)


def test_a_read_that_stays_unanswered_is_tried_again_only_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each attempt takes a minute: with each batch that names it, the sink would hardly move."""

    async def body(server: FhirServer, client: FhirClient, causes: list[str]) -> None:
        server.read_faults = ["503 Service Unavailable"] * CONFLICTS
        subjects = Subjects(client)
        await settle(subjects, client, "Patient/p-1")
        asked = len(server.requests)
        await settle(subjects, client, "Patient/p-1")
        assert (server.versions, len(server.requests)) == ({}, asked)
        monkeypatch.setattr(
            subjects_module, "monotonic", lambda: monotonic() + subjects_module.ASK_AGAIN_SECONDS
        )
        await settle(subjects, client, "Patient/p-1")
        assert server.versions.keys() == {"Patient/p-1"}

    with_server(body)
