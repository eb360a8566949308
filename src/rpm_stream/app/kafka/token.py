"""Tokens for OAUTHBEARER, fetched with client credentials (RFC 6749, 4.4) and cached.

A token is fetched again before it expires. aiokafka asks for one with each connection and does not
sign in again on it. A broker with ``connections.max.reauth.ms`` closes the connection at the first
request after the token's end, before it does that request. The client then connects with a new
token and sends the request again.

A broker that refuses a token answers with a reason and waits for the client to give up (RFC 7628,
3.2.3). aiokafka 0.14 passes over that answer and takes itself for signed in: its next request fails
without a word of the token. So its authenticator is replaced by one that reads the answer.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from urllib.parse import urlsplit

import httpx
from aiokafka import conn
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import AuthenticationFailedError

from rpm_stream.app.runtime.errors import UsageError

TIMEOUT_SECONDS = 10.0
SPENT = 0.8  # the part of its life after which a token is replaced
LONGEST_STATUS = 40
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
PAUSE_SECONDS = 5.0  # without asking an endpoint that did not answer, while a token is still good
AGAIN_SECONDS = 30.0  # after which a refused token is replaced: the issuer may have changed its key
REFUSED = frozenset({400, 401, 403})  # RFC 6749, 5.2: the client or what it asks for is wrong


@dataclass(frozen=True)
class Token:
    """A token. The times are those of ``monotonic``."""

    text: str = field(repr=False)
    asked_at: float
    replace_at: float
    ends_at: float


class TokenEndpoint(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka ships no types for it
    """One token for all clients of the process.

    ``refusal`` is the broker's reason where it refused the last token that it got. The thread lock
    is needed because Faust's consumer has an event loop of its own. Raises UsageError for a URL
    that would send the secret in the clear.
    """

    def __init__(self, url: str, client: str, secret: str, scope: str | None = None) -> None:
        parts = urlsplit(url)
        if not parts.hostname or not (
            parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        ):
            raise UsageError(
                "RPM_KAFKA_TOKEN_URL must begin with https://: the client's secret is sent there"
            )
        self._url = url
        self._auth = httpx.BasicAuth(client, secret)
        self._form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
        self._lock = Lock()
        self._kept: Token | None = None
        self._ask_from = 0.0  # monotonic
        self.refusal: str | None = None

    async def token(self) -> str:
        """Return a token that is valid now.

        Raises AuthenticationFailedError, which holds no secret.
        """
        known = self._fresh()
        return known if known is not None else await asyncio.to_thread(self._fetched)

    def answered(self, refusal: str | None) -> None:
        """Note the broker's answer to a token: None, or its reason for a refusal.

        A refused token is replaced, unless it is so new that the next would be refused too.
        """
        self.refusal = refusal
        kept = self._kept
        if refusal is not None and kept is not None and monotonic() > kept.asked_at + AGAIN_SECONDS:
            self._kept = None

    def _fresh(self) -> str | None:
        kept = self._kept
        return kept.text if kept is not None and monotonic() < kept.replace_at else None

    def _fetched(self) -> str:
        with self._lock:
            if (known := self._fresh()) is not None:  # another client fetched it meanwhile
                return known
            old = self._kept
            if old is not None and monotonic() < min(self._ask_from, old.ends_at):
                return old.text
            try:
                new = self._kept = self._asked()
            except AuthenticationFailedError:
                # The endpoint may be away for a moment, and the old token is still good.
                if old is None or monotonic() >= old.ends_at:
                    raise
                self._ask_from = monotonic() + PAUSE_SECONDS
                return old.text
            return new.text

    def _asked(self) -> Token:
        asked = monotonic()
        try:
            answer = httpx.post(
                self._url, data=self._form, auth=self._auth, timeout=TIMEOUT_SECONDS
            )
            answer.raise_for_status()
            body = answer.json()
            token = body["access_token"]
            life = float(body.get("expires_in", 0))  # without it, a token serves one connection
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            where = (
                "RPM_KAFKA_USER and its password" if status in REFUSED else "RPM_KAFKA_TOKEN_URL"
            )
            raise AuthenticationFailedError(
                f"the token endpoint says {status}: look at {where}"
            ) from None
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _no_token(type(error).__name__) from None
        if not isinstance(token, str) or not token:
            raise _no_token("an empty one")
        return Token(token, asked, asked + life * SPENT, asked + life)


def _no_token(why: str) -> AuthenticationFailedError:
    return AuthenticationFailedError(
        f"the token endpoint gives no token ({why}): look at RPM_KAFKA_TOKEN_URL"
    )


class Authenticator(conn.OAuthAuthenticator):  # type: ignore[misc]  # aiokafka ships no types for it
    """aiokafka's authenticator, which reads the broker's answer to the token."""

    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        """Return the next message to the broker, or None at the end.

        Raises AuthenticationFailedError where the broker refuses the token.
        """
        if self._token_sent:
            refusal = _refusal(payload) if payload else None
            if isinstance(self._sasl_oauth_token_provider, TokenEndpoint):
                self._sasl_oauth_token_provider.answered(refusal)
            if refusal is not None:
                raise AuthenticationFailedError(f"the broker refuses our token ({refusal})")
        step: tuple[bytes, bool] | None = await super().step(payload)
        return step


def _refusal(payload: bytes) -> str:
    """Return the status of the broker's answer, a word such as ``invalid_token``."""
    try:
        status = json.loads(payload)["status"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "no reason given"
    return str(status)[:LONGEST_STATUS]


conn.OAuthAuthenticator = Authenticator
