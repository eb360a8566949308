"""Tokens for OAUTHBEARER, fetched with client credentials (RFC 6749, 4.4) and cached.

A token is fetched again before it expires.
"""

from __future__ import annotations

import asyncio
from threading import Lock
from time import monotonic
from urllib.parse import urlsplit

import httpx
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import AuthenticationFailedError

from rpm_stream.app.runtime.errors import UsageError

TIMEOUT_SECONDS = 10.0
SPENT = 0.8  # the part of its life after which a token is replaced
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class TokenEndpoint(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka ships no types for it
    """One token for all clients of the process.

    The thread lock is needed because Faust's consumer has an event loop of its own. Raises
    UsageError for a URL that would send the secret in the clear.
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
        self._kept: tuple[str, float] | None = None  # the token, and when to replace it

    async def token(self) -> str:
        """Return a token that is valid now.

        Raises AuthenticationFailedError, which holds no secret.
        """
        known = self._fresh()
        return known if known is not None else await asyncio.to_thread(self._fetched)

    def _fresh(self) -> str | None:
        kept = self._kept
        return kept[0] if kept is not None and monotonic() < kept[1] else None

    def _fetched(self) -> str:
        with self._lock:
            if (known := self._fresh()) is not None:  # another client fetched it meanwhile
                return known
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
                raise AuthenticationFailedError(
                    f"the token endpoint says {error.response.status_code}"
                ) from None
            except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise AuthenticationFailedError(
                    f"the token endpoint gives no token ({type(error).__name__})"
                ) from None
            if not isinstance(token, str) or not token:
                raise AuthenticationFailedError("the token endpoint gives no token")
            self._kept = token, asked + life * SPENT
            return token
