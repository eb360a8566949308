"""A small FHIR server over real HTTP that stores by id and fails on request.

Like HAPI it refuses a transaction as a whole: for a missing fullUrl, an id that is used twice, a
reference to a Patient or Device that does not exist, or a resource that the test names.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

SLOW_SECONDS = 2.0


class FhirServer:
    """The server's state.

    Each request uses up one of ``faults``: a status, a pair (status, headers), or a word. "drop"
    and "drop_after_storing" end the connection. "log_in" answers with the page of a server in
    front. "slow" answers after SLOW_SECONDS.
    """

    def __init__(self) -> None:
        self.url = ""
        self.versions: dict[str, list[dict[str, Any]]] = {}
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.faults: list[Any] = []
        self.refused: dict[str, int] = {}
        self.always: int | str | None = None
        self.readable = True
        # Statuses of single entries of a batch. Each entry uses up one.
        self.read_faults: list[str] = []
        self._changed = asyncio.Condition()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition()`` is true after a request."""
        async with self._changed:
            await self._changed.wait_for(condition)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        bundle = json.loads(await request.read())
        self.requests.append((request.path_qs, bundle))
        fault = self.faults.pop(0) if self.faults else self.always
        if fault == "slow":
            await asyncio.sleep(SLOW_SECONDS)
            fault = None
        try:
            return self._answer(request, bundle, fault)
        finally:
            async with self._changed:
                self._changed.notify_all()

    def _answer(
        self, request: web.Request, bundle: dict[str, Any], fault: Any
    ) -> web.StreamResponse:
        if isinstance(fault, int):
            return outcome(fault)
        if isinstance(fault, tuple):
            return outcome(fault[0], fault[1])
        if fault == "log_in":
            return web.Response(text="<html>Please log in</html>", content_type="text/html")
        answer = outcome(500) if fault == "drop" else self._apply(bundle)
        if fault is not None:
            assert request.transport is not None
            request.transport.abort()
        return answer

    def _apply(self, bundle: dict[str, Any]) -> web.Response:
        if bundle["type"] == "batch":
            return answer_of(
                "batch-response", [self._read(one["request"]) for one in bundle["entry"]]
            )
        references = [entry["request"]["url"] for entry in bundle["entry"]]
        for status in (self.refused[one] for one in references if one in self.refused):
            return outcome(status)
        if len(set(references)) != len(references) or not all(
            "fullUrl" in entry for entry in bundle["entry"]
        ):
            return outcome(400)
        for entry in bundle["entry"]:
            resource = entry["resource"]
            needed = {
                resource[name]["reference"] for name in ("subject", "device") if name in resource
            }
            if not needed <= set(self.versions) | set(references):
                return outcome(400)
        for reference, entry in zip(references, bundle["entry"], strict=True):
            kept = self.versions.setdefault(reference, [])
            if not kept or kept[-1] != entry["resource"]:
                kept.append(entry["resource"])
        return answer_of(
            "transaction-response", [{"response": {"status": "200 OK"}} for _ in references]
        )

    def _read(self, request: dict[str, str]) -> dict[str, Any]:
        if not self.readable:
            return {"response": {"status": "403 Forbidden"}}
        if self.read_faults:
            return {"response": {"status": self.read_faults.pop(0)}}
        kept = self.versions.get(request["url"])
        if kept is None:
            return {"response": {"status": "404 Not Found"}}
        return {"response": {"status": "200 OK"}, "resource": kept[-1]}


def outcome(status: int, headers: dict[str, str] | None = None) -> web.Response:
    issue = {"severity": "error", "code": "business-rule", "diagnostics": "as the test asked"}
    body = {"resourceType": "OperationOutcome", "issue": [issue]}
    return web.json_response(body, status=status, headers=headers)


def answer_of(kind: str, entries: list[dict[str, Any]]) -> web.Response:
    return web.json_response({"resourceType": "Bundle", "type": kind, "entry": entries})


@asynccontextmanager
async def fhir_server() -> AsyncIterator[FhirServer]:
    """Run one on a free port of the loopback address, at the base path ``/fhir``."""
    server = FhirServer()
    application = web.Application(client_max_size=2**26)
    application.router.add_post("/fhir", server.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/fhir"
        yield server
    finally:
        await runner.cleanup()
