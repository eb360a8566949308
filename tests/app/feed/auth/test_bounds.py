"""What strangers may send: raw sockets against the feed's own web server, without Kafka and with
short times.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry
from support.feed.page import Kept

from rpm_stream.app.feed.api.v1 import Doors, create_app
from rpm_stream.app.feed.auth import bounds
from rpm_stream.app.feed.auth.bounds import BYTES, OPEN_BYTES, BodyLimit
from rpm_stream.app.feed.auth.guesses import Guesses
from rpm_stream.app.feed.auth.token import OPEN_PATHS, TokenGate
from rpm_stream.app.feed.server import QuietServer, _config
from rpm_stream.app.runtime import metrics_server
from rpm_stream.app.runtime.settings import Settings

TOKEN = "right"
BEARER = f"Authorization: Bearer {TOKEN}\r\n".encode()
WAIT_S = 0.6  # instead of 15: how long a request may take here
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The feed's web server as the stage runs it, without consumers and without the page."""
    before, bounds.REQUEST_S = bounds.REQUEST_S, WAIT_S
    ending, guesses = asyncio.Event(), Guesses()
    app = create_app(Kept().service, Doors(TOKEN, guesses), ending)
    gate = TokenGate(BodyLimit(app, OPEN_PATHS), TOKEN, guesses)
    server = QuietServer(_config(Settings(), gate))
    server.config.port = 0
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(server.serve()), daemon=True)
    thread.start()
    end = time.monotonic() + PATIENCE_S
    while not server.started:
        assert time.monotonic() < end and thread.is_alive()
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(ending.set)
    server.should_exit = True
    thread.join(PATIENCE_S)
    bounds.REQUEST_S = before


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def all_of(connection: socket.socket) -> bytes:
    """What comes until the other side closes; fails where it does not."""
    found = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            found += part
    return found


def post(path: str, body: bytes, more: bytes = b"") -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: feed\r\nConnection: close\r\nContent-Length:"
        f" {len(body)}\r\n"
    )
    kind = b"Content-Type: application/x-www-form-urlencoded\r\n"
    return head.encode() + kind + more + b"\r\n" + body


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


# --- size -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/login", "/healthz"])
def test_a_body_that_says_it_is_large_is_not_waited_for(port: int, path: str) -> None:
    with connected(port) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: feed\r\nContent-Length: 10000000000\r\n\r\n".encode()
        )
        assert status(all_of(connection)) == 413


def test_a_body_that_says_nothing_is_cut_off_when_it_is_large(port: int) -> None:
    """In chunks, without a length: 64 MiB are offered, and far less is taken."""
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    sent = 0
    with connected(port) as connection:
        connection.sendall(
            b"POST /login HTTP/1.1\r\nHost: feed\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(1024):
                connection.sendall(chunk)
                sent += len(chunk)
    assert sent < 16 * 1024 * 1024  # what lies in the system's buffers on the way


@pytest.mark.parametrize(
    "path", ["/api/alerts/6f7d5a0e-0000-4000-8000-000000000000/see", "/logout", "/", "/unknown"]
)
@pytest.mark.parametrize("bearer", [b"", BEARER])
def test_every_path_is_bounded_signed_in_or_not(port: int, path: str, bearer: bytes) -> None:
    with connected(port) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: feed\r\nContent-Length: {BYTES + 1}\r\n".encode()
        connection.sendall(head + bearer + b"\r\n")
        assert status(all_of(connection)) == (413 if bearer else 401)


def test_what_is_within_the_bound_arrives_whole(port: int) -> None:
    """A form of the largest size is read, and a token in it is compared to its last letter."""
    room = OPEN_BYTES - len("token=") - len(TOKEN) - len("&rest=")
    with connected(port) as connection:
        connection.sendall(post("/login", b"rest=" + b"x" * room + b"&token=" + TOKEN.encode()))
        answer = all_of(connection)
    assert status(answer) == 303 and b"set-cookie: rpm_token=" in answer.lower()
    with connected(port) as connection:
        connection.sendall(
            post("/login", b"rest=" + b"x" * room + b"&token=" + TOKEN.encode() + b"x")
        )
        assert status(all_of(connection)) == 413


# --- time -----------------------------------------------------------------------------------------

BEGINNINGS = {
    "nothing": b"",
    "half a line": b"GET /heal",
    "half the headers": b"GET /healthz HTTP/1.1\r\nHost: fe",
    "half a body": b"POST /login HTTP/1.1\r\nHost: feed\r\nContent-Length: 9\r\n\r\ntok",
    "half a chunk": (
        b"POST /login HTTP/1.1\r\nHost: feed\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nto"
    ),
    "a body that nobody reads": (
        b"POST /api/alerts HTTP/1.1\r\nHost: feed\r\nContent-Length: 9\r\n\r\ntok"
    ),
    "a second request": b"GET /login HTTP/1.1\r\nHost: feed\r\n\r\nGET /logi",
}


@pytest.mark.parametrize("begun", BEGINNINGS.values(), ids=BEGINNINGS.keys())
def test_a_request_that_stops_half_way_is_closed(port: int, begun: bytes) -> None:
    began = time.monotonic()
    with connected(port) as connection:
        connection.sendall(begun)
        all_of(connection)
    assert time.monotonic() - began < PATIENCE_S / 2


@pytest.mark.parametrize(
    "begun", [b"GET /login HTTP/1.1\r\nX-Slow: ", BEGINNINGS["half a body"][:-3]]
)
def test_a_request_that_drips_is_closed(port: int, begun: bytes) -> None:
    """A byte now and then keeps a connection from being idle, and not from being late."""
    began = time.monotonic()
    with connected(port) as connection:
        connection.sendall(begun)
        with suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - began < PATIENCE_S / 2:
                connection.sendall(b"a")
                time.sleep(WAIT_S / 10)
    assert WAIT_S / 2 < time.monotonic() - began < PATIENCE_S / 2


def test_an_answer_that_goes_on_is_not_cut_off(port: int) -> None:
    """The stream of events: the request has arrived, and its answer lasts longer than a request
    may.
    """
    with connected(port) as connection:
        connection.sendall(b"GET /api/alerts/stream HTTP/1.1\r\nHost: feed\r\n" + BEARER + b"\r\n")
        time.sleep(2 * WAIT_S)
        connection.settimeout(WAIT_S)
        found = connection.recv(65536)
        assert b"event: snapshot" in found + (
            b"" if b"snapshot" in found else connection.recv(65536)
        )
        with pytest.raises(TimeoutError):  # still open, and nothing to say
            assert connection.recv(65536) != b"", "it was closed"


def test_a_connection_serves_one_request_after_another(port: int) -> None:
    with connected(port) as connection:
        for _ in range(4):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: feed\r\n\r\n")
            answer = b""
            while b"judging" not in answer:
                answer += connection.recv(65536)
            assert status(answer) == 200
            time.sleep(WAIT_S / 2)


@pytest.mark.parametrize("begun", [b"", b"GET /metrics HTTP/1.1\r\nHost: x"])
def test_the_door_of_prometheus_waits_for_nobody_for_ever(
    begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_server, "REQUEST_S", WAIT_S)
    listening = metrics_server.listen(0, "127.0.0.1", CollectorRegistry())
    try:
        with connected(listening.port) as connection:
            connection.sendall(begun)
            assert b"200" not in all_of(connection)
        with connected(listening.port) as connection:
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert status(all_of(connection)) == 200
    finally:
        listening.stop()
