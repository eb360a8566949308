"""Limits the size and the time of a request before its sender is known.

The web server itself limits the headers' size (64 KiB) and nothing else. ``BoundedRequests`` closes
a connection whose request, headers and body together, has not arrived whole in time, also when it
comes byte by byte. ``BodyLimit`` reads the body before the application does. It answers 413 to a
body that is too large, by its declared length or as soon as the received part is too large.
"""

from __future__ import annotations

import asyncio

from prometheus_client import Counter
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 15.0  # a login over a bad line takes 2 s
OPEN_BYTES = 8 * 1024  # for a body that anybody may send: a login form
# for a body from a client with the token: the most that the page's library sends
BYTES = 1024 * 1024
CLOSE = {"connection": "close"}  # the rest of the request is not read

SLOW = Counter(
    "rpm_feed_slow_requests", "Connections closed because their request did not arrive in time"
)
LARGE = Counter("rpm_feed_large_requests", "Requests refused because of their body's size")


class BoundedRequests(H11Protocol):
    """One connection of the feed, closed if its next request does not arrive in ``REQUEST_S``.

    The time runs from the beginning of the connection, and from the end of each answer. It does not
    run while an answer is made, so a stream of events lasts as long as its reader likes.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time of a new connection."""
        super().connection_made(transport)
        self._wait_for_request()

    def on_response_complete(self) -> None:
        """Start the time of the next request."""
        super().on_response_complete()
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time of a closed connection."""
        super().connection_lost(exc)
        self._forget()

    def _wait_for_request(self) -> None:
        self._forget()
        self._deadline = self.loop.call_later(REQUEST_S, self._close_if_late)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close_if_late(self) -> None:
        self._deadline = None
        if self.transport.get_protocol() is not self:  # it has become a websocket
            return
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            SLOW.inc()
            self.transport.abort()


class BodyLimit:
    """ASGI middleware that passes on a request with its whole body, or not at all."""

    def __init__(self, app: ASGIApp, open_paths: frozenset[str]) -> None:
        """``open_paths`` are the paths that anybody may use."""
        self._app = app
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 413."""
        if scope["type"] != "http" or not has_body(scope):
            await self._app(scope, receive, send)
            return
        most = OPEN_BYTES if scope["path"] in self._open_paths else BYTES
        body = None if _declared_length(scope) > most else await _body(receive, most)
        if body is None:
            LARGE.inc()
            refusal = JSONResponse(
                {"detail": "the request is too large"}, status_code=413, headers=CLOSE
            )
            await refusal(scope, receive, send)
            return
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def read() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, read, send)


def has_body(scope: Scope) -> bool:
    """Whether the headers of a request announce a body."""
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or _declared_length(scope) > 0


def _declared_length(scope: Scope) -> int:
    """Return the declared length. The web server has refused one that is no number."""
    return int(Headers(scope=scope).get("content-length", "0"))


async def _body(receive: Receive, most: int) -> bytes | None:
    """Return the whole body, or None as soon as it is larger than ``most``.

    It is empty where the client has gone.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)
