"""A feed's service in this process, without a broker. Decisions are kept in a list."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
from nicegui import ui
from nicegui.testing.user import User
from nicegui.testing.user_interaction import UserInteraction
from nicegui.testing.user_simulation import user_simulation

from rpm_stream.app.feed.api.v1 import Doors, create_app
from rpm_stream.app.feed.auth.guesses import Guesses
from rpm_stream.app.feed.page.page import FeedPage
from rpm_stream.app.feed.progress import Progress
from rpm_stream.app.feed.read_model import FeedState
from rpm_stream.app.feed.service import Service
from rpm_stream.knowledge import shipped
from rpm_stream.records import Action, Alert


class Kept:
    """A service, the actions that it sent, and its clock, which a test moves."""

    def __init__(self, *alerts: Alert) -> None:
        self.state = FeedState()
        self.state.ready = True
        self.actions: list[Action] = []
        self.ahead = timedelta()
        self.is_away = False
        for each in alerts:
            self.state.put_alert(each)
        self.service = Service(self.state, self.progress, self.act, self.now, shipped(), b"key")

    def now(self) -> datetime:
        """Return the wall clock plus what the test added."""
        return datetime.now(UTC) + self.ahead

    def progress(self) -> Progress:
        """Report a judge that is up to date."""
        now = self.now()
        return Progress(
            status="current", judged_up_to=now, checked_at=now, lag={}, workers={"g": 1}
        )

    async def act(self, action: Action) -> asyncio.Future[None]:
        """Give the action to the broker at once, or with ``is_away`` when the test wants it."""
        self.actions.append(action)
        self.sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self.is_away:
            self.sent.set_result(None)
        return self.sent


@asynccontextmanager
async def opened(kept: Kept, zone: str | None = "UTC") -> AsyncIterator[User]:
    """Open the page in a simulated browser that reports a time zone.

    With None the browser never reports one.
    """

    async def show() -> None:
        await FeedPage(kept.service).show()

    async with user_simulation(show) as user:
        if zone is not None:
            user.javascript_rules[re.compile("Intl.*")] = lambda _: zone
        await user.open("/")
        yield user


async def answer_of(kept: Kept, path: str, body: dict[str, object]) -> httpx.Response:
    """Return the API's answer to a POST."""
    transport = httpx.ASGITransport(
        create_app(kept.service, Doors("token", Guesses()), asyncio.Event())
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://feed") as client:
        return await client.post(path, json=body)


async def until(condition: Callable[[], bool]) -> None:
    """Let the page work until the condition is true. Fails after five seconds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def until_seen(user: User, text: str) -> None:
    """Wait until the page shows the text."""
    await user.should_see(text, retries=50)


def ask(user: User, text: str) -> None:
    """Press the button with this text in the list's first row that has one."""
    found = min(user.find(kind=ui.button, content=text).elements, key=lambda each: each.id)
    UserInteraction(user, {found}, text).trigger("click.stop")


async def asked(user: User, listed: str, decision: str, title: str) -> Callable[[], object]:
    """Open the dialogue ``title`` of a decision when ``listed`` is there, and give a name.

    Returns a function that presses the dialogue's button.
    """
    await until_seen(user, listed)
    ask(user, decision)
    await until_seen(user, title)
    press = button(user, decision)
    user.find("Your name").type("N. Adeyemi")
    return press


def button(user: User, text: str) -> Callable[[], object]:
    """Return a function that presses the dialogue's button with this text.

    The newest such button counts. It does nothing while the button is disabled.
    """
    found = max(user.find(kind=ui.button, content=text).elements, key=lambda each: each.id)
    return lambda: UserInteraction(user, {found}, text).click()
