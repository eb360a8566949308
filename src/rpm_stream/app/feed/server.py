"""The feed as a stage: consumers, watcher and web server in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Coroutine, Iterator
from functools import partial
from typing import Any

import msgspec
import structlog
import uvicorn

from rpm_stream.app.feed import answers
from rpm_stream.app.feed import consumer as consume
from rpm_stream.app.feed.api.v1 import Doors, create_app
from rpm_stream.app.feed.auth.bounds import BYTES, BodyLimit, BoundedRequests
from rpm_stream.app.feed.auth.guesses import Guesses
from rpm_stream.app.feed.auth.token import OPEN_PATHS, TokenGate, choose_token, unguessable
from rpm_stream.app.feed.consumer import Sources
from rpm_stream.app.feed.machines import Machines
from rpm_stream.app.feed.page.page import mount_page
from rpm_stream.app.feed.progress import Progress, Watcher
from rpm_stream.app.feed.read_model import FeedState
from rpm_stream.app.feed.service import Service
from rpm_stream.app.kafka import retention
from rpm_stream.app.kafka.broker_time import BrokerTime
from rpm_stream.app.runtime.clock import Clock
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.ready import LOOK_SECONDS, tell_ready
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.knowledge import Knowledge, KnowledgeError, load

# the feed writes its own log, and does not name the library to strangers
SILENT: dict[str, Any] = {"access_log": False, "log_config": None, "server_header": False}
GRACE_S = 3  # how long open requests may take to finish when the feed stops

log = structlog.get_logger("rpm_stream.feed")


class QuietServer(uvicorn.Server):
    """A server that leaves the signals to the supervisor.

    There may be other stages in its process.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def run(settings: Settings, stop: asyncio.Event, sources: Sources | None = None) -> None:
    """Serve the feed on ``feed_host:feed_port`` until ``stop`` is set, once per process.

    The page's library is global to the process. Raises the error of any part, because the feed
    never goes on with a dead consumer. ``sources`` names other topics than the service's own.
    """
    sources = sources or Sources()
    token, new = choose_token(settings)
    state = FeedState()
    actions = consume.Actions(settings.bootstrap, sources.actions)
    clock = Clock.of(settings)
    broker_time = BrokerTime(settings, clock, "feed")
    machines = Machines(clock.real)
    watcher = Watcher(settings.bootstrap, sources.groups, clock.real)
    progress = partial(_progress, watcher, clock, machines)
    service = Service(
        state, progress, actions.send, clock.now, _knowledge(settings), token.encode()
    )
    ending = asyncio.Event()
    guesses = _guesses(token)
    app = create_app(service, Doors(token, guesses), ending)
    mount_page(app, service)
    server = QuietServer(_config(settings, TokenGate(BodyLimit(app, OPEN_PATHS), token, guesses)))
    address = f"http://{settings.feed_host}:{settings.feed_port}/login"
    if new:
        sys.stderr.write(
            f"feed: sign in at {address} with the token {token} (set RPM_TOKEN to keep one)\n"
        )
    log.info("feed.starting", address=address)
    await broker_time.try_to_begin()  # without a broker the feed starts all the same and shows it
    try:
        await _together(
            (stop, ending),
            server,
            [
                *_consumers(settings.bootstrap, sources, state, clock),
                watcher.run(lambda: answers.look(state, progress())),
                retention.watch(settings.bootstrap, now=clock.real),
                broker_time.run(),
                machines.follow(settings.bootstrap),
                _tell_when_answering(server, state),
            ],
        )
    finally:
        await actions.stop()


def _guesses(token: str) -> Guesses:
    if not unguessable(token):
        log.warning(
            "feed.short_token",
            hint="set RPM_TOKEN to what `openssl rand -hex 24` gives: it cannot be guessed",
        )
    return Guesses(unguessable(token))


async def _tell_when_answering(server: uvicorn.Server, state: FeedState) -> None:
    """Report to the supervisor once the feed answers, then wait for ever.

    It answers when the server listens and the past alerts are read.
    """
    while not (server.started and state.ready):
        await asyncio.sleep(LOOK_SECONDS)
    tell_ready()
    await asyncio.Event().wait()


def _consumers(
    bootstrap: str, sources: Sources, state: FeedState, clock: Clock
) -> tuple[Coroutine[Any, Any, None], ...]:
    """Return the coroutines that keep the state current."""
    return (
        consume.follow_alerts(bootstrap, sources.alerts, state, clock.now),
        consume.follow_registry(bootstrap, sources.registry, state),
        consume.follow_readings(bootstrap, sources.readings, state, clock.real),
        consume.prune_for_ever(state, clock.now),
    )


def _progress(watcher: Watcher, clock: Clock, machines: Machines) -> Progress:
    """Return the finding in the service's own time.

    Beside the alerts a demo's fast clock is the right one.
    """
    found = watcher.progress()
    judged = found.judged_up_to
    return msgspec.structs.replace(
        found,
        judged_up_to=judged and clock.at(judged),
        checked_at=clock.at(found.checked_at),
        clocks=machines.off(),
    )


def _knowledge(settings: Settings) -> Knowledge:
    try:
        return load(settings.knowledge)
    except KnowledgeError as error:
        raise UsageError(str(error)) from None


def _config(settings: Settings, app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.feed_host,
        port=settings.feed_port,
        http=BoundedRequests,
        ws_max_size=BYTES,
        timeout_graceful_shutdown=GRACE_S,
        **SILENT,
    )


async def _together(
    stop_and_ending: tuple[asyncio.Event, asyncio.Event],
    server: uvicorn.Server,
    parts: list[Coroutine[Any, Any, None]],
) -> None:
    """Run all parts until ``stop`` or until one ends, then end the others.

    Raises the error that ended a part.
    """
    stop, ending = stop_and_ending
    serving = asyncio.create_task(_serve(server))
    stopping = asyncio.create_task(stop.wait())
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(
            [serving, stopping, *tasks], return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()
    finally:
        ending.set()  # ends the streams, which would keep the server from stopping
        server.should_exit = True
        for task in [stopping, *tasks]:
            task.cancel()
        await asyncio.gather(serving, stopping, *tasks, return_exceptions=True)


async def _serve(server: uvicorn.Server) -> None:
    """Serve as the library does, but raise UsageError when the port is taken.

    The library would end the interpreter.
    """
    try:
        await server.serve()
    except SystemExit:
        where = f"{server.config.host}:{server.config.port}"
        raise UsageError(
            f"the feed cannot listen on {where}: is the port taken? RPM_FEED_PORT sets another"
        ) from None
    if not server.started:
        raise RuntimeError("the feed's web server did not start")
