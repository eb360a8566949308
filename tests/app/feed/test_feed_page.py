"""The page never looks better than what is known: no empty list before the first look, and no
silence after it.
"""

from __future__ import annotations

import asyncio
import json

import pytest
from nicegui import ui
from nicegui.testing.user import User
from pydantic import SecretStr
from support.feed.page import Kept, button, opened, until, until_seen
from support.feed.records import alert

from rpm_stream.app.feed.api.v1 import events
from rpm_stream.app.feed.auth.token import choose_token
from rpm_stream.app.feed.page import list as page_list
from rpm_stream.app.feed.page import page as page_module
from rpm_stream.app.runtime.settings import Settings

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
            await until(
                lambda: not any("UTC" in label.text for label in user.find(ui.label).elements)
            )

    asyncio.run(look())


def test_a_press_on_a_row_is_not_lost_when_the_tab_says_its_zone() -> None:
    """The rows are there before; one that was built anew would no longer know what was pressed."""

    async def look() -> None:
        kept = Kept(HIGH)
        async with opened(kept, zone="Asia/Tokyo") as user:
            before = user.find(kind=ui.button, content="Acknowledge").elements
            await until(
                lambda: not any("UTC" in label.text for label in user.find(ui.label).elements)
            )
            assert user.find(kind=ui.button, content="Acknowledge").elements == before

    asyncio.run(look())


def icons(user: User) -> set[str]:
    """The icons that the page shows."""
    return {icon.name for icon in user.find(ui.icon).elements}


def test_law_3_while_alerts_are_still_being_read_a_list_does_not_pass_for_whole() -> None:
    async def look() -> None:
        kept = Kept(HIGH)
        kept.state.ready = False
        async with opened(kept) as user:
            await until_seen(user, "Oxygen low")
            await user.should_see("Still reading: alerts may be missing here.")
            assert "check_circle" not in icons(user)
            kept.state.ready = True
            kept.state.touch()
            await until(lambda: "check_circle" in icons(user))
            await user.should_not_see("Still reading: alerts may be missing here.")

    asyncio.run(look())


def test_a_stream_is_told_when_the_alerts_have_been_read() -> None:
    async def read() -> list[tuple[str | None, bool]]:
        kept, found = Kept(HIGH), []
        kept.state.ready = False
        async for event in events(kept.service, asyncio.Event()):
            if event.event == "snapshot":
                found.append((event.event, json.loads(event.data or "")["ready"]))
            if len(found) == 2:
                break
            kept.state.ready = True
            kept.state.touch()
        return found

    assert asyncio.run(asyncio.wait_for(read(), 5)) == [("snapshot", False), ("snapshot", True)]


def test_more_of_a_long_list_is_there_as_soon_as_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(page_list, "FIRST_SHOWN", 2)
    monkeypatch.setattr(page_module, "LOOK_S", 60.0)

    async def look() -> None:
        low = [
            alert(str(number), "p", "low", title=f"Number {number}", minutes=number)
            for number in range(4)
        ]
        async with opened(Kept(*low), zone=None) as user:
            await until_seen(user, "Number 1")
            await user.should_not_see("Number 3")
            button(user, "Show more")()
            await until_seen(user, "Number 3")

    asyncio.run(look())


def test_a_token_from_a_mounted_file_opens_whatever_line_end_it_has() -> None:
    assert choose_token(Settings(token=SecretStr("secret\r\n"))) == ("secret", False)
    made, is_new = choose_token(Settings(token=SecretStr("\n")))
    assert is_new and len(made) >= 43
