"""The HTTP server that Prometheus asks. It holds no request for ever.

The answer itself is the one of the library.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from threading import Thread, Timer
from typing import Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import REGISTRY, CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

REQUEST_S = 15.0  # for a whole request and its answer; Prometheus gives up after 10


class _Handler(WSGIRequestHandler):
    """One connection, which is cut after ``REQUEST_S`` in whatever state it is.

    The library's own handler would wait for a line for ever.
    """

    def handle(self) -> None:
        timer = Timer(REQUEST_S, self._cut)
        timer.daemon = True
        timer.start()
        try:
            super().handle()
        finally:
            timer.cancel()

    def _cut(self) -> None:
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the connection has ended by itself

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
        """Log nothing of a scrape."""


class _Server(ThreadingWSGIServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing of a client that went away in the middle of a request."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class Listening(NamedTuple):
    """The port, and the function that closes it."""

    port: int
    stop: Callable[[], None]


def listen(port: int, host: str, registry: CollectorRegistry = REGISTRY) -> Listening:
    """Serve ``/metrics`` on a thread of its own. Port 0 takes a free port.

    Raises OSError for a port in use.
    """
    server = make_server(
        host, port, make_wsgi_app(registry), _Server6 if ":" in host else _Server, _Handler
    )
    thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return Listening(int(server.server_address[1]), stop)
