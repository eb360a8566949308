"""Checks the one token of the feed before anything else runs.

The token comes in a bearer header or in a cookie. The check is one ASGI layer around the whole
application, so it is the same for the page, its websocket, its static files and the API. The token
is never in a URL, a log line or an answer. Deriving the cookie takes some tenths of a second. A
cookie is therefore always compared, so open pages survive a restart of the feed while somebody
guesses, and an attacker pays that cost for each guessed cookie.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rpm_stream.app.feed.auth.bounds import CLOSE, has_body
from rpm_stream.app.feed.auth.guesses import Guesses, Way
from rpm_stream.app.feed.auth.login import login_html
from rpm_stream.app.runtime.settings import Settings

COOKIE = "rpm_token"
OPEN_PATHS = frozenset({"/healthz", "/login"})
CLOSED_BY_POLICY = 1008  # websocket close code, RFC 6455 7.4.1

# Nothing is fetched from elsewhere, because the page is served whole from here. The page's library
# compiles templates and writes inline scripts, which need the two `unsafe` sources.
CONTENT_POLICY = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self'"
    b" 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; connect-src 'self';"
    b" frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
)
SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", CONTENT_POLICY),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
)


def choose_token(settings: Settings) -> tuple[str, bool]:
    """Return the configured token or a new random one (256 bits), and whether it is new.

    The line end of a mounted file is removed from the configured token.
    """
    if settings.token is not None and (token := settings.token.get_secret_value().strip()):
        return token, False
    return secrets.token_urlsafe(32), True


def same(shown: str, token: str) -> bool:
    """Whether both are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(
        shown.encode(errors="surrogatepass"), token.encode(errors="surrogatepass")
    )


def unguessable(token: str) -> bool:
    """Whether the token looks like 80 random bits or more.

    That is at least 22 characters, ten of them different. An attacker may try as many wrong ones as
    the feed can answer, and never find such a token.
    """
    return len(token) >= 22 and len(set(token)) >= 10


@lru_cache(maxsize=8)
def cookie_value(token: str) -> str:
    """Return the value that the login puts into the cookie.

    It is derived from the token, so that the token itself is not kept there. The derivation is
    expensive, so that it is no quick way to guess.
    """
    key = token.encode(errors="surrogatepass")
    derived = hashlib.scrypt(
        key, salt=b"rpm-stream feed cookie", n=2**15, r=8, p=3, maxmem=2**26, dklen=32
    )
    return derived.hex()


def shown(headers: Headers) -> tuple[Way, str] | None:
    """Return the way and the value of the request's token: a bearer, or else the cookie."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value:
        return "bearer", value.strip()
    cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE)
    return None if cookie is None else ("cookie", cookie)


def is_token(way: Way, value: str, token: str) -> bool:
    """Whether the value is the token, or in a cookie the value derived from it."""
    return same(value, cookie_value(token) if way == "cookie" else token)


def client_of(scope: Scope) -> str:
    """Return the address that a request comes from.

    Behind a proxy that the web server trusts it is the address that the proxy names.
    """
    client = scope.get("client")
    return client[0] if client else "unknown"


def too_many(wait: float, html: bool) -> Response:
    """Return a 429 answer with the seconds after which the token is compared."""
    seconds = math.ceil(wait)
    headers = {"retry-after": str(seconds), "cache-control": "no-store"}
    message = f"Too many wrong tokens. Try again in {seconds} second{'' if seconds == 1 else 's'}."
    if html:
        return HTMLResponse(login_html(message), status_code=429, headers=headers)
    return JSONResponse({"detail": message}, status_code=429, headers=headers)


def same_origin(headers: Headers) -> bool:
    """Whether the request comes from a page of this host, by the browser's Origin header.

    Clients without the header pass.
    """
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


class TokenGate:
    """ASGI middleware that answers 401 or closes the websocket, unless the token is sent.

    Browsers get a login page with the 401.
    """

    def __init__(self, app: ASGIApp, token: str, guesses: Guesses) -> None:
        self._app = app
        self._token = token
        self._guesses = guesses
        cookie_value(token)  # derived now, and not while a client waits for an answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer in place of the application."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(
                scope, receive, _with_headers(send) if scope["type"] == "http" else send
            )
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": CLOSED_BY_POLICY})
        else:
            if has_body(scope):  # the body is not read
                refusal.headers.update(CLOSE)
            await refusal(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        guarded = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if guarded and not same_origin(headers):
            return JSONResponse({"detail": "the request comes from another site"}, status_code=403)
        if scope["type"] == "http" and scope["path"] in OPEN_PATHS:
            return None
        html = "text/html" in headers.get("accept", "")
        if (found := shown(headers)) is not None:
            way, value = found
            verdict = self._guesses.look(
                client_of(scope), value, way, lambda: is_token(way, value, self._token)
            )
            if verdict.right:
                return None
            if verdict.wait:
                return too_many(verdict.wait, html)
        if html:
            return HTMLResponse(login_html(), status_code=401)
        return JSONResponse(
            {"detail": "show the token"}, status_code=401, headers={"www-authenticate": "Bearer"}
        )


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *SECURITY_HEADERS]
        await send(message)

    return sending
