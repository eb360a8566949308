"""The feed over HTTP: JSON, and server-sent events for changes.

The token is checked before (auth/token.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import msgspec
from aiokafka.errors import KafkaError
from fastapi import APIRouter, FastAPI, Form, HTTPException, Request
from fastapi import Query as Parameters
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import AwareDatetime, BaseModel, Field
from sse_starlette import EventSourceResponse, ServerSentEvent

from rpm_stream.app.feed.auth.guesses import Guesses
from rpm_stream.app.feed.auth.login import login_html
from rpm_stream.app.feed.auth.reader_name import WHO_COOKIE, who_of
from rpm_stream.app.feed.auth.token import COOKIE, client_of, cookie_value, same, too_many
from rpm_stream.app.feed.read_model import ActionKind
from rpm_stream.app.feed.service import (
    KEPT,
    Decision,
    DecisionRefused,
    Service,
    Unanswered,
    Unlisted,
)
from rpm_stream.publish.feed.rows import PRIORITIES, Filter
from rpm_stream.records import Direction, Priority

HEARTBEAT_S = 15
GATHER_S = 0.1  # so that a burst of changes is sent together
NO_STORE = {"cache-control": "no-store"}


class SeenBody(BaseModel):
    """``priority`` and ``why`` of the alert as they were when the person decided."""

    priority: Priority
    why: list[str] | None = None


class Body(BaseModel):
    """The body of a decision: who decides, and the fields that the action needs.

    Without ``who`` the page's cookie names the person. ``record`` is the ``updated_at`` of the
    alert as it was shown, and ``seen`` its content. With either, the decision is refused where the
    alert has become worse since, except ``comment`` and ``assign``.
    """

    who: str | None = Field(None, min_length=1, max_length=128, pattern=r"\S")
    reason: str = Field("", max_length=1000)
    until: AwareDatetime | None = None
    direction: Direction | None = None
    to: str | None = Field(None, min_length=1, max_length=128, pattern=r"\S")
    seen: SeenBody | None = None
    record: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class Doors:
    """The token, and the limit on tries."""

    token: str
    guesses: Guesses


class Query(BaseModel):
    """The filter of the list.

    It never hides high alerts, except for ``patient_ref``, which selects one patient.
    """

    resolved: bool = False
    patient_ref: str | None = None
    priority: list[Priority] = list(PRIORITIES)
    group: str | None = None
    only_open: bool = False
    person: str | None = None


def create_app(service: Service, doors: Doors, stop: asyncio.Event) -> FastAPI:
    """Return the application without its token check. ``stop`` ends the streams."""
    app = FastAPI(
        title="rpm-stream feed", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json"
    )
    app.include_router(_alerts(service, stop))
    app.include_router(_decisions(service))
    app.include_router(_doors(service, doors))
    app.add_exception_handler(RequestValidationError, _invalid)
    return app


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    """Answer with the wrong fields, without repeating the request's values."""
    assert isinstance(error, RequestValidationError)
    found = [
        {"field": ".".join(str(part) for part in e["loc"]), "problem": e["msg"]}
        for e in error.errors()
    ]
    return JSONResponse({"detail": found}, status_code=422)


def _json(content: Any) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json", headers=NO_STORE)


def _alerts(service: Service, stop: asyncio.Event) -> APIRouter:
    router = APIRouter(prefix="/api")

    @router.get("/alerts", response_class=Response)
    async def alerts(query: Annotated[Query, Parameters()]) -> Response:
        """The ranked list, or with ``resolved`` the alerts resolved in the last 24 hours.

        ``person`` selects the alerts that this person has taken on.
        """
        wanted = Filter(
            priorities=frozenset(query.priority),
            only_open=query.only_open,
            group=query.group,
            person=query.person,
        )
        listing = service.listing(resolved=query.resolved, wanted=wanted)
        if query.patient_ref is not None:
            kept = tuple(
                view for view in listing.alerts if view.row.patient_ref == query.patient_ref
            )
            listing = msgspec.structs.replace(listing, alerts=kept)
        return _json(listing)

    @router.get("/alerts/stream")
    async def stream() -> EventSourceResponse:
        """Events: ``snapshot`` (a listing), ``alert`` (a view, also resolved) and ``progress``."""
        return EventSourceResponse(events(service, stop), ping=HEARTBEAT_S, headers=NO_STORE)

    @router.get("/alerts/{alert}", response_class=Response)
    async def detail(alert: UUID) -> Response:
        """One alert with its history and charts."""
        found = service.detail(str(alert))
        if found is None:
            raise HTTPException(404, "no such alert")
        return _json(found)

    return router


def _decisions(service: Service) -> APIRouter:
    router = APIRouter(prefix="/api")

    @router.post("/alerts/{alert}/{action}", status_code=202)
    async def decide(alert: UUID, action: ActionKind, body: Body, request: Request) -> JSONResponse:
        """Accept a decision, which is then in ``rpm.actions``.

        The alert changes when the service has applied it. ``see`` means that somebody has looked at
        the alert and nothing else. Send it when a person confirms this, never because a list was
        shown. An alert that is ``over`` waits for it.

        The answer is 409 with one plain line where the decision cannot be done: a high alert cannot
        be snoozed, or the alert got worse since its ``record``. It is 404 where the alert is not
        listed. It is 503 where the decision could not be stored, or is not stored yet, and the line
        says which.
        """
        who = body.who or who_of(request.cookies)
        decision = msgspec.convert(body.model_dump() | {"action": action, "who": who}, Decision)
        try:
            await service.decide(str(alert), decision)
        except KafkaError:
            raise HTTPException(503, "it could not be stored; try again") from None
        except Unanswered:
            raise HTTPException(503, KEPT) from None
        except Unlisted:
            raise HTTPException(404, "no such alert, or it is resolved") from None
        except DecisionRefused as refused:
            raise HTTPException(409, str(refused)) from None
        return JSONResponse({"accepted": True}, status_code=202)

    return router


def _doors(service: Service, doors: Doors) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz")
    async def healthz() -> JSONResponse:
        """200 once the alerts have been read, with nothing about patients."""
        ready = service.state.ready
        progress = service.progress()
        status = {"ready": ready, "judging": progress.status, "clocks": progress.clocks}
        return JSONResponse(status, status_code=200 if ready else 503)

    @router.get("/login")
    async def login_page() -> HTMLResponse:
        """The page where a person types the token."""
        return HTMLResponse(login_html(), headers=NO_STORE)

    @router.post("/login")
    async def login(
        request: Request, token_field: Annotated[str, Form(alias="token", max_length=1024)]
    ) -> Response:
        """Set the cookie that the page, its websocket and the stream send from then on."""
        return _log_in(request, token_field.strip(), doors)

    @router.post("/logout")
    async def logout() -> Response:
        """Delete the cookies, because the next user of this browser may be another person."""
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(WHO_COOKIE, path="/", samesite="strict")
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    return router


def _log_in(request: Request, shown: str, doors: Doors) -> Response:
    """Return the page with the cookie if the token that was shown is right."""
    client = client_of(request.scope)
    verdict = doors.guesses.look(client, shown, "login", lambda: same(shown, doors.token))
    if verdict.wait:
        return too_many(verdict.wait, html=True)
    if not verdict.right:
        return HTMLResponse(
            login_html("That token is not right."), status_code=401, headers=NO_STORE
        )
    doors.guesses.admit(client, cookie_value(doors.token), "cookie")
    answer = RedirectResponse("/", status_code=303)
    answer.set_cookie(
        COOKIE,
        cookie_value(doors.token),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
    )
    return answer


async def events(service: Service, stop: asyncio.Event) -> AsyncIterator[ServerSentEvent]:
    """Yield the stream of one viewer: the snapshot, then the changes.

    Nothing is queued for a slow reader, which gets the latest record of each alert that changed
    since its last turn.
    """
    state = service.state
    seen = state.version
    ready = state.ready
    yield _event("snapshot", service.listing())
    progress = service.progress()
    while not stop.is_set():
        await _either(state.wait(seen), stop.wait())
        if stop.is_set():
            return
        await asyncio.sleep(GATHER_S)
        since = seen
        seen = state.version
        if state.removed_at > since or state.ready != ready:
            ready = state.ready
            yield _event("snapshot", service.listing())
        else:
            for alert in state.changed_since(since):
                yield _event("alert", service.view(alert))
        if (latest := service.progress()) != progress:
            progress = latest
            yield _event("progress", progress)


def _event(name: str, content: Any) -> ServerSentEvent:
    return ServerSentEvent(msgspec.json.encode(content).decode(), event=name)


async def _either(*waiting: Any) -> None:
    """Return when the first of the coroutines does, and cancel the others."""
    tasks = [asyncio.ensure_future(each) for each in waiting]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
