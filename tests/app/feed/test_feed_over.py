"""What is over and what is so now, on the page: nobody is left to guess whether somebody has
looked.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import get_args

import msgspec
import pytest
from nicegui import ui
from nicegui.testing.user import User
from support.feed.page import Kept, ask, button, opened, until, until_seen
from support.feed.records import alert, now_of

from rpm_stream.app.feed.page.now import NOBODY_LOOKED, looked_words, now_html, now_lines
from rpm_stream.app.feed.page.questions import offered, what_it_does
from rpm_stream.publish.feed import rows as feed
from rpm_stream.publish.feed.rows import FeedRow
from rpm_stream.records import Action, Alert, PatientEntry, Priority, Transition

KEY = "00000000-0000-4000-8000-000000000001"
# this module may be minutes old
VALUES = now_of("oxygen_saturation", ("96", "84"), minutes=200, trend="rising")
OVER = alert(KEY, "p", title="Oxygen low", over=True, now=(VALUES,))
HIGH = msgspec.structs.replace(OVER, over=False)


def row_of(found: Alert) -> FeedRow:
    return feed.row(found, PatientEntry(patient="p"), "ref", datetime.now(UTC))


def texts(user: User) -> str:
    """All labels and all HTML of the page."""
    return " ".join(
        [
            *(each.text for each in user.find(ui.label).elements),
            *(each.content for each in user.find(ui.html).elements),
        ]
    )


def test_an_alert_that_is_over_says_that_nobody_has_looked_and_a_click_on_seen_sends_that() -> None:
    async def look() -> list[Action]:
        kept = Kept(OVER)
        async with opened(kept) as user:
            await until_seen(user, NOBODY_LOOKED)
            await user.should_see("Over, not seen")
            assert "3 hours ago" in texts(user) and "84 " in texts(user)
            await asyncio.sleep(0.1)
            assert kept.actions == []  # nothing is sent because it is shown
            ask(user, "Seen")
            await until_seen(user, "the alert can leave the list")
            user.find("Your name").type("N. Adeyemi")
            assert kept.actions == []
            button(user, "Seen")()
            await until(lambda: bool(kept.actions))
            await until_seen(user, "Marking as seen for N. Adeyemi…")
        return kept.actions

    (sent,) = asyncio.run(look())
    assert (sent.action, sent.who, sent.alert) == ("see", "N. Adeyemi", KEY)
    assert (sent.record, sent.seen) == (OVER.updated_at, "high")


def test_newer_values_do_not_take_a_press_away() -> None:
    """A record that brings values alone comes every few minutes: the button that somebody is
    pressing stays.
    """

    async def look() -> None:
        kept = Kept(OVER)
        async with opened(kept) as user:
            await until(lambda: "3 hours ago" in texts(user))
            before = user.find(kind=ui.button, content="Seen").elements
            values = now_of("oxygen_saturation", ("97", "84"), minutes=0)
            at = OVER.updated_at + timedelta(minutes=4)
            kept.state.put_alert(
                msgspec.structs.replace(OVER, now=(values,), updated_at=at, measured_at=at)
            )
            await until(lambda: "just now" in texts(user))
            assert user.find(kind=ui.button, content="Seen").elements == before

    asyncio.run(look())


def test_seen_is_offered_first_where_an_alert_is_over_and_only_there_or_on_high() -> None:
    seen = Transition(
        at=OVER.updated_at, state="open", priority="high", who="N.", reason="", event="seen"
    )
    after = msgspec.structs.replace(OVER, history=(*OVER.history, seen))
    assert offered(row_of(OVER), can_snooze=False)[:2] == ["see", "acknowledge"]
    assert offered(row_of(HIGH), can_snooze=False)[:2] == ["acknowledge", "see"]
    assert "see" not in offered(row_of(after), can_snooze=False)
    assert "see" not in offered(row_of(alert(KEY, "p", "medium")), can_snooze=True)
    assert "see" not in offered(row_of(alert(KEY, "p", state="acknowledged")), can_snooze=False)


@pytest.mark.parametrize(
    ("kind", "found", "words"),
    [
        ("see", HIGH, "escalates until somebody acknowledges it"),
        ("see", OVER, "can leave the list"),
        ("acknowledge", OVER, "can leave the list"),
        ("resolve", HIGH, "otherwise it is acknowledged, and stays there"),
        ("resolve", OVER, "It leaves the list. The next"),
        (
            "resolve",
            msgspec.structs.replace(HIGH, now=()),
            "otherwise it is acknowledged, and stays there",
        ),
        ("resolve", alert(KEY, "p", "medium"), "It leaves the list. The next"),
        ("acknowledge", HIGH, "until measurements are back inside the limits"),
        ("snooze", alert(KEY, "p", "medium"), "a side that is not snoozed"),
    ],
)
def test_a_dialog_says_what_the_decision_does_to_this_alert(
    kind: str, found: Alert, words: str
) -> None:
    assert words in what_it_does(kind, row_of(found))  # type: ignore[arg-type]


def test_an_old_value_says_that_it_is_old() -> None:
    assert 'class="is-old"' not in now_html(row_of(OVER))
    stale = now_html(row_of(msgspec.structs.replace(OVER, stale=True)))
    assert 'class="is-old"' in stale and "old: 3 hours ago" in stale


def test_no_text_of_a_device_becomes_part_of_the_page() -> None:
    odd = now_of("<b>vital</b>", ("1", "2"), minutes=1, unit="<script>")
    shown = now_html(row_of(msgspec.structs.replace(OVER, now=(odd,))))
    assert "<script>" not in shown and "<b>vital" not in shown


def test_the_values_in_sentences_name_the_time() -> None:
    row = row_of(OVER)
    (line,) = now_lines(row, datetime.now(UTC), UTC)
    assert line.startswith("Oxygen saturation now 96 %, rising, measured ")
    assert line.endswith(" UTC; worst 84 %.")


def test_an_alert_without_values_has_no_place_for_them() -> None:
    assert now_html(row_of(alert(KEY, "p"))) == ""


# --- what is not about values ---------------------------------------------------------------------

OTHERS = ("device:silence", "device:battery", "device:not_judged", "settings")
OF_VALUES = re.compile("values?\\b|limits?\\b|measure", re.IGNORECASE)


@pytest.mark.parametrize("group", OTHERS)
@pytest.mark.parametrize("priority", get_args(Priority))
@pytest.mark.parametrize("over", [False, True])
def test_what_is_not_about_values_speaks_of_none(
    group: str, priority: Priority, over: bool
) -> None:
    """And a person ends it, whatever its priority."""
    row = row_of(alert(KEY, "p", priority, group=group, over=over))
    kinds = offered(row, can_snooze=priority != "high")
    assert not {"new_normal", "withdraw"} & set(kinds)
    assert what_it_does("resolve", row).startswith("It leaves the list. ")
    said = (
        [what_it_does(kind, row) for kind in kinds]
        + [looked_words(row)]
        + [mark.meaning for mark in row.marks]
    )
    assert [each for each in said if OF_VALUES.search(each)] == []


@pytest.mark.parametrize(
    ("group", "asks"), [("vital_signs", True), ("settings", False), ("device:silence", False)]
)
def test_only_a_snooze_of_values_asks_for_a_side(group: str, asks: bool) -> None:
    async def look() -> None:
        kept = Kept(alert(KEY, "p", "medium", title="Odd", group=group))
        async with opened(kept) as user:
            await until_seen(user, "Odd")
            ask(user, "Snooze")
            await until_seen(user, "Snooze this alert")
            await (user.should_see if asks else user.should_not_see)("Only low values")

    asyncio.run(look())


def test_the_life_of_a_silence_speaks_of_no_values() -> None:
    history = tuple(
        Transition(
            at=OVER.updated_at,
            state="open",
            priority="high",
            who="rpm-stream",
            reason="",
            event=event,
        )
        for event in ("opened", "over", "returned")
    )
    kept = Kept(alert(KEY, "p", title="No reading", group="device:silence", history=history))
    detail = kept.service.detail(KEY)
    assert detail is not None
    assert [step.what for step in detail.steps if OF_VALUES.search(step.what)] == []
