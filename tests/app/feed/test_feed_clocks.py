"""A machine with a wrong clock is named at the top of the page and in the feed's health, while
it is so.
"""

from __future__ import annotations

import asyncio

import httpx
import msgspec
import pytest
from support.feed.page import Kept, opened, until_seen

from rpm_stream.app.feed.api.v1 import Doors, create_app
from rpm_stream.app.feed.auth.guesses import Guesses
from rpm_stream.app.feed.progress import Progress

SAID = (
    "A machine's clock is wrong (judge: 1 day ahead). Times here follow Kafka's clock. Tell the"
    " operator."
)


class Off(Kept):
    """The machine of the judge is so many seconds ahead."""

    off: dict[str, int] = {"judge": 86_400}  # noqa: RUF012  # a test sets another one

    def progress(self) -> Progress:
        return msgspec.structs.replace(super().progress(), clocks=self.off)


@pytest.mark.asyncio
async def test_the_page_names_it_until_it_is_mended() -> None:
    kept = Off()
    async with opened(kept) as user:
        await until_seen(user, SAID)
        kept.off = {}
        kept.state.touch()
        await user.should_not_see("clock is wrong", retries=50)


def test_health_names_it() -> None:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(
            create_app(Off().service, Doors("t", Guesses()), asyncio.Event())
        )
        async with httpx.AsyncClient(transport=transport, base_url="http://feed") as client:
            return await client.get("/healthz")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["clocks"]) == (200, {"judge": 86_400})
