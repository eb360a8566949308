"""OAUTHBEARER tokens from a real HTTP server: fetched once, refreshed in time, refused in one
line.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiokafka import conn
from aiokafka.errors import AuthenticationFailedError
from faust.auth import OAuthCredentials

from rpm_stream.app.kafka import token
from rpm_stream.app.kafka.security import security
from rpm_stream.app.kafka.token import TokenEndpoint
from rpm_stream.app.runtime.errors import UsageError


class Endpoint:
    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.status, self.body = 200, None
        self.expires: float = 300
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                outer.asked.append(
                    (b64decode(self.headers["authorization"].split()[1]).decode(), form)
                )
                made = {"access_token": f"token-{len(outer.asked)}", "expires_in": outer.expires}
                body = json.dumps(made).encode() if outer.body is None else outer.body
                self.send_response(outer.status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/token"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    thread = Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def test_one_token_serves_all_clients_and_loops(endpoint: Endpoint) -> None:
    tokens = TokenEndpoint(endpoint.url, "judge", "secret", "kafka")

    async def many() -> list[str]:
        return await asyncio.gather(*(tokens.token() for _ in range(8)))

    assert set(asyncio.run(many())) == set(asyncio.run(many())) == {"token-1"}
    assert endpoint.asked == [
        ("judge:secret", {"grant_type": ["client_credentials"], "scope": ["kafka"]})
    ]


@pytest.mark.asyncio
async def test_a_token_is_replaced_before_it_ends(endpoint: Endpoint) -> None:
    endpoint.expires = 0.25
    tokens = TokenEndpoint(endpoint.url, "judge", "secret")
    assert await tokens.token() == "token-1"
    await asyncio.sleep(0.22)
    assert await tokens.token() == "token-2"


@pytest.mark.asyncio
async def test_while_the_endpoint_is_away_a_token_serves_to_its_end(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(token, "monotonic", lambda: now)
    endpoint.expires = 100.0
    tokens = TokenEndpoint(endpoint.url, "judge", "secret")
    assert await tokens.token() == "token-1"
    endpoint.status = 503
    now = 85.0
    assert await tokens.token() == "token-1"
    assert len(endpoint.asked) == 2
    now = 86.0  # the others do not wait for it one after another
    assert await tokens.token() == "token-1"
    assert len(endpoint.asked) == 2
    now = 101.0
    with pytest.raises(AuthenticationFailedError, match="says 503: look at RPM_KAFKA_TOKEN_URL"):
        await tokens.token()
    endpoint.status = 200
    assert await tokens.token() == "token-4"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "body"),
    [(401, b"secret"), (200, b"no json"), (200, b"[]"), (200, b'{"access_token": 3}')],
)
async def test_a_refusal_names_no_secret_and_is_not_kept(
    endpoint: Endpoint, status: int, body: bytes
) -> None:
    endpoint.status, endpoint.body = status, body
    tokens = TokenEndpoint(endpoint.url, "judge", "secret")
    with pytest.raises(AuthenticationFailedError) as caught:
        await tokens.token()
    assert "secret" not in str(caught.value)
    endpoint.status, endpoint.body = 200, None
    assert await tokens.token() == "token-2"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "why"),
    [(b'{"status":"invalid_token"}', "invalid_token"), (b"?", "no reason given"), (b"[]", "no ")],
)
async def test_a_refusal_of_the_broker_is_not_taken_for_a_sign_in(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, answer: bytes, why: str
) -> None:
    """aiokafka passes over the answer by itself."""
    tokens = TokenEndpoint(endpoint.url, "judge", "secret")
    signing_in = conn.OAuthAuthenticator(sasl_oauth_token_provider=tokens)
    first = await signing_in.step(None)
    assert first is not None
    assert b"auth=Bearer token-1\x01" in first[0]
    with pytest.raises(AuthenticationFailedError, match=f"refuses our token .{why}"):
        await signing_in.step(answer)
    assert str(tokens.refusal).startswith(why)
    assert await tokens.token() == "token-1"  # so new that another would be refused too
    monkeypatch.setattr(token, "AGAIN_SECONDS", 0.0)
    tokens.answered("invalid_token")
    assert await tokens.token() == "token-2"
    again = conn.OAuthAuthenticator(sasl_oauth_token_provider=tokens)
    assert await again.step(None) is not None
    assert await again.step(b"") is None
    assert tokens.refusal is None


@pytest.mark.parametrize(
    "url", ["http://id.example.org/token", "id.example.org", "ftp://localhost/", ""]
)
def test_a_secret_never_goes_in_the_clear(url: str) -> None:
    with pytest.raises(UsageError, match="https"):
        TokenEndpoint(url, "judge", "secret")


def test_the_settings_give_it_to_aiokafka_and_faust(
    endpoint: Endpoint, tmp_path: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"PROTOCOL": "SASL_SSL", "USER": "judge", "PASSWORD": "secret"}.items():
        monkeypatch.setenv(f"RPM_KAFKA_{name}", value)
    monkeypatch.setenv("RPM_KAFKA_MECHANISM", "OAUTHBEARER")
    with pytest.raises(UsageError, match="need each other"):
        security()
    monkeypatch.setenv("RPM_KAFKA_TOKEN_URL", endpoint.url)
    given = security().arguments()
    assert given["sasl_mechanism"] == "OAUTHBEARER"
    assert asyncio.run(given["sasl_oauth_token_provider"].token()) == "token-1"
    assert isinstance(security().faust(), OAuthCredentials)
    assert "secret" not in repr(security())
    monkeypatch.setenv("RPM_KAFKA_MECHANISM", "PLAIN")
    with pytest.raises(UsageError, match="need each other"):
        security()
