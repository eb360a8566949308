"""The page never looks better than what is known: no empty list before the first look, and no silence after it."""

from __future__ import annotations

import asyncio

import pytest
from feed_for_tests import alert
from nicegui import ui
from page_for_tests import Kept, opened, until, until_seen

from rpm_stream.app.web import page as page_module

HIGH = alert("00000000-0000-4000-8000-000000000001", "p", title="Oxygen low")
LATER = alert("00000000-0000-4000-8000-000000000002", "q", title="Pulse high")


def test_law_3_a_tab_that_never_says_its_zone_shows_what_there_is_and_what_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A slow line: the page stays on UTC, says so, and goes on."""
    monkeypatch.setattr(page_module, "ZONE_S", 0.05)

    async def look() -> None:
        kept = Kept(HIGH)
        async with opened(kept, zone=None) as user:
            await until_seen(user, "Oxygen low")
            await until_seen(user, "UTC")
            kept.state.put_alert(LATER)
            await until_seen(user, "Pulse high")

    asyncio.run(look())


def test_times_are_the_readers_own_once_the_tab_has_said_its_zone() -> None:
    async def look() -> None:
        async with opened(Kept(HIGH), zone="Asia/Tokyo") as user:
            await until(lambda: not any("UTC" in label.text for label in user.find(ui.label).elements))

    asyncio.run(look())
