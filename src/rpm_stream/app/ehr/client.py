"""The client of a FHIR R4 server. It posts bundles to the base address, each until it is answered.

Reads go as bundles too, so that no identifier is in a URL. A write is a transaction of PUTs by
deterministic ids, so sending it again changes nothing. Every answer that is not a clear refusal
leads to another attempt, for as long as it takes. A refused transaction is halved until the
resource that the server refuses is alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Literal, Self, TypeAlias

import httpx
import msgspec
import stamina

from rpm_stream.app.runtime.clock import wall
from rpm_stream.errors import RpmStreamError

ResourceKind: TypeAlias = Literal["Observation", "Patient", "Device"]
FailureCause: TypeAlias = Literal[
    "transport", "conflict", "throttled", "server", "unauthorised", "not_fhir"
]

# With HAPI JPA a bundle takes 0.6 s. Larger ones gain little and are refused whole for one bad
# resource.
BUNDLE_SIZE = 100
CONFLICTS = 8  # attempts; a 409 settles when the other writer is done, else it is a refusal
RETRY_AFTER_MAX = 600.0  # seconds; a server that asks for more is asked again after this
TIMEOUT = httpx.Timeout(120.0, connect=10.0)  # a validating HAPI takes 30 s for its first bundle
CAUSES: dict[int, FailureCause] = {
    401: "unauthorised",
    403: "unauthorised",
    404: "not_fhir",  # for a bundle: the base address is wrong
    405: "not_fhir",
    408: "transport",
    409: "conflict",
    425: "throttled",
    429: "throttled",
}
REFUSED_FROM = 400
SERVER_FROM = 500
NOT_IMPLEMENTED = 501


class Waits(msgspec.Struct, frozen=True):
    """Seconds between attempts, doubling from ``first`` to ``longest``, plus up to ``jitter``."""

    first: float = 0.5
    longest: float = 60.0
    jitter: float = 1.0


class Resource(msgspec.Struct, frozen=True):
    """One resource to be stored under its id. ``body`` is its JSON."""

    kind: ResourceKind
    id: str
    body: bytes

    @property
    def reference(self) -> str:
        """Kind and id as in FHIR references, "Patient/p-1"."""
        return f"{self.kind}/{self.id}"


class RefusedResource(msgspec.Struct, frozen=True):
    """A resource that the server refuses for good, with status and answer.

    The answer may hold identifiers.
    """

    resource: Resource
    status: int
    answer: str


class _Answer(msgspec.Struct, frozen=True):
    status: int
    text: str
    entries: tuple[Any, ...] = ()
    passing: FailureCause | None = None  # the cause, if another attempt may be answered otherwise


class _Unanswered(RpmStreamError):
    """No final answer yet. ``wait`` holds the seconds that the server asked for.

    The text names the cause and holds no identifier.
    """

    def __init__(self, cause: FailureCause, wait: float | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.wait = wait


class FhirClient:
    """A client of one server, opened with ``async with``.

    ``on_retry`` is called with the cause of every attempt that is repeated.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        on_retry: Callable[[FailureCause], None],
        waits: Waits | None = None,
    ) -> None:
        self._base = url.rstrip("/")
        headers = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx.AsyncClient(headers=headers, timeout=TIMEOUT)
        self._on_retry = on_retry
        self._waits = waits or Waits()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.aclose()

    async def store(self, resources: Sequence[Resource]) -> list[RefusedResource]:
        """PUT all ``resources``, whose ids are distinct, and return the refused ones.

        Returns once the server has accepted or refused every one.
        """
        refusals: list[RefusedResource] = []
        for first in range(0, len(resources), BUNDLE_SIZE):
            refusals += await self._store(resources[first : first + BUNDLE_SIZE])
        return refusals

    async def _store(self, resources: Sequence[Resource]) -> list[RefusedResource]:
        entries = [
            {
                "fullUrl": f"{self._base}/{one.reference}",
                "resource": msgspec.Raw(one.body),
                "request": {"method": "PUT", "url": one.reference},
            }
            for one in resources
        ]
        answer = await self._post("transaction", entries)
        if answer.status < REFUSED_FROM:
            return []
        if len(resources) == 1:
            return [RefusedResource(resources[0], answer.status, answer.text)]
        half = len(resources) // 2
        return await self._store(resources[:half]) + await self._store(resources[half:])

    async def read(self, references: Sequence[str]) -> dict[str, dict[str, Any] | None]:
        """Return the resource under each reference, or None where there is none.

        It is a resource without content where the server does not let us read it. A reference that
        the server does not answer is left out.
        """
        found: dict[str, dict[str, Any] | None] = {}
        for first in range(0, len(references), BUNDLE_SIZE):
            chunk = references[first : first + BUNDLE_SIZE]
            entries = [{"request": {"method": "GET", "url": reference}} for reference in chunk]
            answer = await self._post("batch", entries)
            # a server that allows no such reads
            if answer.status >= REFUSED_FROM or len(answer.entries) != len(chunk):
                found |= {reference: {} for reference in chunk}
                continue
            for reference, entry in zip(chunk, answer.entries, strict=True):
                status = _status_of(entry)
                if status in (404, 410):
                    found[reference] = None
                elif not _is_passing(status):
                    there = entry.get("resource") if status == 200 else None
                    found[reference] = there if isinstance(there, dict) else {}
        return found

    async def _post(
        self, bundle: Literal["transaction", "batch"], entries: list[dict[str, Any]]
    ) -> _Answer:
        """Send a bundle until it is answered.

        A status of 400 or more of the whole answer is final. That of an entry is final too, unless
        another attempt may be answered otherwise.
        """
        body = msgspec.json.encode({"resourceType": "Bundle", "type": bundle, "entry": entries})
        unsettled = 0
        async for attempt in stamina.retry_context(
            on=self._wait,
            attempts=None,
            timeout=None,
            wait_initial=self._waits.first,
            wait_max=self._waits.longest,
            wait_jitter=self._waits.jitter,
        ):
            with attempt:
                answer = await self._once(bundle, body)
                if answer.passing and (unsettled := unsettled + 1) < CONFLICTS:
                    raise _Unanswered(answer.passing)
                return answer
        raise AssertionError("attempts without limit ended")

    async def _once(self, bundle: str, body: bytes) -> _Answer:
        """Make one attempt. Returns a final answer (409 too), or raises ``_Unanswered``."""
        try:
            response = await self._http.post(self._base, content=body)
        except httpx.RequestError:  # an answer that cannot be unpacked, too
            # the error's text may hold the address and the request
            raise _Unanswered("transport") from None
        answer = _parse(response, bundle)
        if answer.status == 409 or (answer.status not in CAUSES and answer.status < SERVER_FROM):
            return answer
        raise _Unanswered(
            CAUSES.get(answer.status, "server"), _retry_after(response.headers.get("Retry-After"))
        )

    def _wait(self, error: Exception) -> bool | float:
        """Whether to try again, and after how long, as stamina's hook."""
        if not isinstance(error, _Unanswered):
            return False
        self._on_retry(error.cause)
        return True if error.wait is None else error.wait


def _parse(response: httpx.Response, bundle: str) -> _Answer:
    """Return the server's answer.

    A 2xx counts only with a Bundle, because a log-in page in front of the server answers 200 too.
    """
    if response.status_code >= REFUSED_FROM:
        return _refused(response.status_code, response.text)
    try:
        parsed = msgspec.json.decode(response.content)
        if parsed["resourceType"] != "Bundle":
            raise ValueError("not a Bundle")
        entries = tuple(parsed["entry"])
        statuses = [_status_of(entry) for entry in entries]
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        raise _Unanswered("not_fhir") from None
    if bundle == "transaction":
        for status in statuses:
            # A transaction must not answer so. Take it as the answer to the whole.
            if status >= REFUSED_FROM:
                return _refused(status, response.text)
        return _Answer(response.status_code, "", entries)
    passing = next(
        (CAUSES.get(status, "server") for status in statuses if _is_passing(status)), None
    )
    return _Answer(response.status_code, "", entries, passing)


def _refused(status: int, text: str) -> _Answer:
    """Return a refusal of the whole bundle. A conflict may settle."""
    return _Answer(status, text, passing="conflict" if status == 409 else None)


def _is_passing(status: int) -> bool:
    """Whether another attempt at one entry may be answered otherwise."""
    return (status >= SERVER_FROM and status != NOT_IMPLEMENTED) or CAUSES.get(status) in (
        "transport",
        "throttled",
    )


def _status_of(entry: Any) -> int:
    """The status of one entry of an answer, "201 Created" or "201"."""
    return int(entry["response"]["status"][:3])


def _retry_after(header: str | None) -> float | None:
    """Return the seconds that the server asked for, as a number or a date (RFC 9110)."""
    if header is None:
        return None
    try:
        wait = float(header) if header.strip().isdigit() else _until(header)
    except (ValueError, TypeError):
        return None
    return min(max(wait, 0.0), RETRY_AFTER_MAX)


def _until(header: str) -> float:
    return (parsedate_to_datetime(header) - wall()).total_seconds()
